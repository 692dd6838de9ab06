//! What a caller may ask of its own rows, and the answer.

use attach_core::clock::date::{self, LAST_MILLISECOND, Rfc3339};
use attach_core::meter::UsageRecord;
use attach_core::meter::bounds::is_id;
use rusqlite::{Connection, named_params};
use serde::Serialize;

use super::{COLUMNS, record, source_name};
use crate::store::{self, rusqlite};

/// The rows of a page where `limit` says nothing.
const DEFAULT_LIMIT: u32 = 100;
/// The most rows of a page.
const MAX_LIMIT: u32 = 1_000;
/// The longest value of a parameter, in bytes: a cursor with the longest id.
const MAX_VALUE: usize = 512;

/// Which rows. Times are milliseconds of Unix time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// How many rows at most.
    pub limit: u32,
    /// Only rows that come behind this one.
    pub before: Option<Cursor>,
    /// The first moment.
    pub since: u64,
    /// The first moment that does not count any more.
    pub until: u64,
    /// Only this project's.
    pub project: Option<String>,
    /// Only this model's.
    pub model: Option<String>,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            before: None,
            since: 0,
            until: LAST_MILLISECOND + 1,
            project: None,
            model: None,
        }
    }
}

/// A row's place in the order, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: u64,
    id: String,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('-')?;
        let digits = !at.is_empty() && at.bytes().all(|b| b.is_ascii_digit());
        let at = at.parse().ok().filter(|at| digits && *at <= LAST_MILLISECOND)?;
        is_id(id).then(|| Self { at, id: id.to_owned() })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at, self.id)
    }
}

/// What is wrong with a question; it is told to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A parameter that there is not.
    #[error("There is no such parameter; these are known: limit, before, since, until, project, model")]
    Unknown,
    /// A parameter that stands twice.
    #[error("{0} may be given once")]
    Twice(&'static str),
    /// A value that is none.
    #[error("{0} must be {1}")]
    Value(&'static str, &'static str),
}

impl Question {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// See [`Wrong`]: the first mistake.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Wrong> {
        const NAMES: [&str; 6] = ["limit", "before", "since", "until", "project", "model"];
        const TIME: &str =
            "a time: RFC 3339 (2025-01-31T00:00:00Z), a date (2025-01-31) or seconds of Unix time";
        let mut question = Self::default();
        let mut seen = Vec::new();
        for (name, value) in parameters {
            let name = *NAMES.iter().find(|known| *known == name).ok_or(Wrong::Unknown)?;
            if seen.contains(&name) {
                return Err(Wrong::Twice(name));
            }
            seen.push(name);
            if value.is_empty() || value.len() > MAX_VALUE {
                return Err(Wrong::Value(name, "given a value of 512 bytes at most, or left out"));
            }
            let moment = || date::parse(value).ok_or(Wrong::Value(name, TIME));
            match name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    question.limit = limit.ok_or(Wrong::Value(name, "a whole number from 1 to 1000"))?;
                }
                "before" => {
                    let wrong = Wrong::Value(name, "the `next` of an earlier answer");
                    question.before = Some(Cursor::parse(value).ok_or(wrong)?);
                }
                "since" => question.since = moment()?,
                "until" => question.until = moment()?,
                "project" => question.project = Some(value.clone()),
                _ => question.model = Some(value.clone()),
            }
        }
        Ok(question)
    }
}

/// One row, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    id: String,
    at: String,
    user: String,
    agent: Option<String>,
    project: String,
    model: String,
    credential: String,
    request_id: String,
    status: u16,
    milliseconds: u64,
    input: u64,
    output: u64,
    cached: u64,
    reasoning: u64,
    source: &'static str,
}

impl From<UsageRecord> for Entry {
    fn from(record: UsageRecord) -> Self {
        Self {
            id: record.id,
            at: Rfc3339(record.at).to_string(),
            user: record.user,
            agent: record.agent,
            project: record.project,
            model: record.model,
            credential: record.credential,
            request_id: record.request_id,
            status: record.status,
            milliseconds: record.milliseconds,
            input: record.input,
            output: record.output,
            cached: record.cached,
            reasoning: record.reasoning,
            source: source_name(record.source),
        }
    }
}

/// Sums over all rows that were asked for, those of other pages among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    requests: u64,
    input: u64,
    output: u64,
    cached: u64,
    reasoning: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    data: Vec<Entry>,
    totals: Totals,
    /// What to give as `before` for the rows that follow; `None`: there are none.
    next: Option<String>,
}

const WHERE: &str = "user = :user AND at >= :since AND at < :until \
                     AND (:project IS NULL OR project = :project) AND (:model IS NULL OR model = :model)";

/// A user's page.
pub(super) fn page(connection: &Connection, user: &str, asked: &Question) -> Result<Page, store::Error> {
    let sums = format!(
        "SELECT count(*), coalesce(sum(input), 0), coalesce(sum(output), 0), coalesce(sum(cached), 0), \
         coalesce(sum(reasoning), 0) FROM usage WHERE {WHERE}"
    );
    let totals = connection.prepare_cached(&sums)?.query_row(
        named_params! {
            ":user": user, ":since": asked.since, ":until": asked.until,
            ":project": asked.project, ":model": asked.model,
        },
        |row| {
            Ok(Totals {
                requests: row.get(0)?,
                input: row.get(1)?,
                output: row.get(2)?,
                cached: row.get(3)?,
                reasoning: row.get(4)?,
            })
        },
    )?;
    let rows = format!(
        "SELECT {COLUMNS} FROM usage WHERE {WHERE} AND at <= :at AND (at < :at OR id < :id) \
         ORDER BY at DESC, id DESC LIMIT :limit"
    );
    // Without a cursor: behind everything there can be.
    let (at, id) = asked.before.as_ref().map_or((LAST_MILLISECOND + 1, ""), |c| (c.at, c.id.as_str()));
    let mut query = connection.prepare_cached(&rows)?;
    let found = query.query_map(
        named_params! {
            ":user": user, ":since": asked.since, ":until": asked.until,
            ":project": asked.project, ":model": asked.model,
            // One more than is told: whether there is a next page.
            ":at": at, ":id": id, ":limit": asked.limit + 1,
        },
        record,
    )?;
    let mut records = found.collect::<Result<Vec<_>, _>>()?;
    let length = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let more = records.len() > length;
    records.truncate(length);
    let last = records.last().filter(|_| more);
    let next = last.map(|record| Cursor { at: record.at, id: record.id.clone() }.to_string());
    Ok(Page { data: records.into_iter().map(Entry::from).collect(), totals, next })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(parameters: &[(&str, &str)]) -> Result<Question, Wrong> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Question::parse(&parameters.iter().map(own).collect::<Vec<_>>())
    }

    #[test]
    fn a_question_is_read_and_a_wrong_one_says_what_is_wrong() {
        assert_eq!(parse(&[]), Ok(Question::default()));
        let cursor = Cursor { at: 5, id: "ab-1-2".to_owned() };
        assert_eq!(
            parse(&[
                ("limit", "1000"),
                ("before", &cursor.to_string()),
                ("since", "2025-01-01"),
                ("until", "2025-01-01T00:00:01Z"),
                ("project", "p"),
                ("model", "m"),
            ]),
            Ok(Question {
                limit: 1000,
                before: Some(cursor),
                since: 1_735_689_600_000,
                until: 1_735_689_601_000,
                project: Some("p".to_owned()),
                model: Some("m".to_owned()),
            })
        );
        for (name, value) in [
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "-1"),
            ("limit", "ten"),
            ("before", "x"),
            ("before", "+5-a"),
            ("before", "5-"),
            ("before", "5-ü"),
            ("before", "99999999999999999999-a"),
            ("since", "yesterday"),
            ("until", ""),
            ("project", ""),
        ] {
            let why = parse(&[(name, value)]).unwrap_err().to_string();
            assert!(why.starts_with(&format!("{name} must be ")), "{why}");
        }
        assert!(parse(&[("model", &"m".repeat(MAX_VALUE + 1))]).is_err());
        assert_eq!(parse(&[("user", "bob")]), Err(Wrong::Unknown));
        assert_eq!(parse(&[("limit", "1"), ("limit", "2")]), Err(Wrong::Twice("limit")));
    }

    proptest! {
        #[test]
        fn no_parameter_makes_it_panic(name in "limit|before|since|until|model|.{0,8}", value in ".{0,60}") {
            let _ = parse(&[(&name, &value)]);
        }
    }
}
