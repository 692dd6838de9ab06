//! What answers a query best.
//!
//! A text is worth the more the more of the query's words it has, the rarer they are among what is searched, and the
//! more they weigh in it: BM25, with weights as rough as [`words::LEVELS`]. No more is looked at than [`BUDGET`] rows
//! of the index, of each word the weightiest and newest, so that words that stand in every text hold up nobody.

use std::cmp::Reverse;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Rows};

use super::row::{self, COLUMNS, rows_of, stored};
use super::{fuse, words};
use crate::memory::terms::{Reach, Stored};
use crate::store::{self, rusqlite};

/// The most events of an answer.
const MAX_FOUND: usize = 1000;
/// How many of the best are ranked by meaning as well.
const BEST: usize = 1000;
/// Among how many that are worth the same the newest are found by their time; beyond, by when they came here. Each is
/// a page of the file that has to be read.
const EQUALS: usize = 200;
/// How many rows of the index are looked at.
const BUDGET: usize = 50_000;
/// How many of one word and level at a time: no word uses up what is another's.
const TURN: usize = 1000;

/// A row, and what it is worth.
pub(super) type Scored = (i64, f32);

pub(super) fn search(
    connection: &Connection,
    reach: &Reach,
    query: &str,
    vector: Option<&[f32]>,
    limit: usize,
) -> Result<Vec<Stored>, store::Error> {
    let terms = words::terms(query);
    let scope = match reach {
        Reach::Everyone => Scope::everyone(connection)?,
        Reach::Owner(name) => match row::number(connection, name)? {
            Some((owner, given)) => Scope::of(owner, given),
            None => return Ok(Vec::new()),
        },
    };
    if terms.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let mut scored = score(connection, &terms, &scope)?;
    let limit = limit.min(MAX_FOUND);
    let order = |scored: &Scored| (Reverse(ordered(scored.1)), Reverse(scored.0));
    if scored.len() > BEST {
        scored.select_nth_unstable_by_key(BEST, order);
        scored.truncate(BEST);
    }
    scored.sort_unstable_by_key(order);
    if let Some(vector) = vector {
        fuse::by_meaning(connection, &mut scored, vector)?;
        scored.sort_unstable_by_key(order);
    }
    newest_of_equals(connection, &mut scored, limit)?;
    let sql = format!("SELECT {COLUMNS} FROM events WHERE row = ? AND name IS NOT NULL");
    let mut fetch = connection.prepare_cached(&sql)?;
    let mut found = Vec::with_capacity(scored.len());
    for (row, _) in scored {
        found.extend(fetch.query_row([row], stored).optional()?);
    }
    Ok(found)
}

/// Where it is searched.
struct Scope {
    first: i64,
    last: i64,
    /// How many texts there are, those that are gone among them.
    texts: i64,
    /// Whether the rows follow each other without gaps.
    is_dense: bool,
}

impl Scope {
    fn of(owner: i64, given: i64) -> Self {
        let first = rows_of(owner).0;
        Self { first, last: first.saturating_add(given).saturating_sub(1), texts: given, is_dense: true }
    }

    fn everyone(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut sum =
            connection.prepare_cached("SELECT coalesce(sum(next), 0) FROM owners WHERE name IS NOT NULL")?;
        let texts = sum.query_row([], |row| row.get(0))?;
        Ok(Self { first: 0, last: i64::MAX, texts, is_dense: false })
    }
}

/// The rows that have one word at one level.
struct List<'a> {
    term: usize,
    weight: f32,
    /// Those that have not been looked at; `None`: there are no more.
    rest: Option<Rows<'a>>,
    found: Vec<i64>,
}

impl List<'_> {
    /// How many there are, judged by those that were looked at.
    #[expect(clippy::cast_precision_loss, reason = "a rough count")]
    fn texts(&self, scope: &Scope) -> f32 {
        let found = self.found.len() as f32;
        match (&self.rest, self.found.last()) {
            (Some(_), Some(last)) if scope.is_dense => {
                let looked_at = scope.last.saturating_sub(*last).saturating_add(1).max(1);
                found * (scope.texts as f32 / looked_at as f32).max(1.0)
            }
            _ => found,
        }
    }
}

/// Every row that has one of the words, as far as the budget goes.
#[expect(clippy::cast_precision_loss, reason = "a rough count")]
fn score(connection: &Connection, terms: &[String], scope: &Scope) -> Result<Vec<Scored>, store::Error> {
    const FIND: &str =
        "SELECT rowid FROM words WHERE words MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC";
    let mut statements = Vec::new();
    for (at, term) in terms.iter().enumerate() {
        for level in &words::LEVELS {
            // A word is letters and digits only: in quotes it is nothing but itself.
            let question = format!("\"{term}{}\"", level.sign);
            statements.push((at, level.weight, question, connection.prepare_cached(FIND)?));
        }
    }
    let mut lists = Vec::with_capacity(statements.len());
    for (term, weight, question, statement) in &mut statements {
        let rest = Some(statement.query((&*question, scope.first, scope.last))?);
        lists.push(List { term: *term, weight: *weight, rest, found: Vec::new() });
    }
    let mut budget = BUDGET;
    while budget > 0 && lists.iter().any(|list| list.rest.is_some()) {
        for List { rest, found, .. } in &mut lists {
            let Some(rows) = rest else { continue };
            let turn = TURN.min(budget);
            let before = found.len();
            while found.len() - before < turn {
                let Some(row) = rows.next()? else {
                    *rest = None;
                    break;
                };
                found.push(row.get(0)?);
            }
            budget = budget.saturating_sub(found.len() - before);
        }
    }
    let mut texts = vec![0.0_f32; terms.len()];
    for list in &lists {
        if let Some(texts) = texts.get_mut(list.term) {
            *texts += list.texts(scope);
        }
    }
    let all = scope.texts as f32;
    let rarity = |term: usize| {
        let with = texts.get(term).copied().unwrap_or_default().min(all);
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    };
    let mut scores: Vec<Scored> = Vec::with_capacity(lists.iter().map(|list| list.found.len()).sum());
    for list in &lists {
        let worth = list.weight * rarity(list.term);
        scores.extend(list.found.iter().map(|row| (*row, worth)));
    }
    scores.sort_unstable_by_key(|(row, _)| *row);
    scores.dedup_by(|again, first| {
        let same = again.0 == first.0;
        if same {
            first.1 += again.1;
        }
        same
    });
    Ok(scores)
}

/// Scores in their order; they are never negative, nor no numbers.
fn ordered(score: f32) -> u32 {
    // Sums of the same numbers in another order must be the same.
    (score.max(0.0) * 4096.0) as u32
}

/// Leaves as many as are asked for, and among those that are worth the same the newest, the newest first.
fn newest_of_equals(
    connection: &Connection,
    scored: &mut Vec<Scored>,
    limit: usize,
) -> Result<(), rusqlite::Error> {
    let Some(last) = scored.get(limit.min(scored.len()).saturating_sub(1)) else { return Ok(()) };
    let least = ordered(last.1);
    scored.truncate(scored.partition_point(|(_, score)| ordered(*score) >= least).min(limit.max(EQUALS)));
    let mut when = connection.prepare_cached("SELECT at, id FROM events WHERE row = ?")?;
    let mut times: HashMap<i64, (i64, [u8; 16])> = HashMap::with_capacity(scored.len());
    for (row, _) in &*scored {
        times.extend(when.query_row([row], |found| Ok((*row, (found.get(0)?, found.get(1)?)))).optional()?);
    }
    scored.sort_by_key(|(row, score)| (Reverse(ordered(*score)), Reverse(times.get(row).copied())));
    scored.truncate(limit);
    Ok(())
}
