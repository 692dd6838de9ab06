//! The operator's own patterns: one lazily built automaton for all of them.
//!
//! The `regex` crate's automaton by itself, without the engines around it that a set with places would need beside
//! it: its memory is what [`CACHE`] says, and its time linear. Patterns see bytes: `\w`, `\d` and `\b` are those of
//! ASCII.

use core::ops::Range;
use std::sync::Mutex;

use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::hybrid::regex::{Builder, Cache, Regex};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, Span};

use super::scan::{Finding, Kind};
use super::{BadPattern, CustomPattern};

/// The longest pattern, in bytes.
const MOST_PATTERN: usize = 1_024;
/// The most bytes of one pattern's automaton, and of all of them.
const ONE_NFA: usize = 256 * 1024;
const ALL_NFA: usize = 512 * 1024;
/// The most bytes of the automaton's states, for each direction.
const CACHE: usize = 256 * 1024;
/// The most caches that are kept: a worker needs one, control one for each of its threads.
const CACHES: usize = 4;
/// How far a match may reach behind the first place where it could end.
const REACH: usize = 1_024;
/// How far before a cut a match may begin that the cut goes through.
const TAIL: usize = 256;

/// The patterns.
pub(super) struct Custom {
    kinds: Box<[Box<str>]>,
    regex: Regex,
    caches: Mutex<Vec<Cache>>,
}

fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).nest_limit(32)
}

fn automaton() -> dfa::Config {
    DFA::config().cache_capacity(CACHE)
}

fn built(patterns: &[&str], most: usize) -> Result<Regex, String> {
    Builder::new()
        .syntax(syntax())
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(most)))
        .dfa(automaton())
        .build_many(patterns)
        .map_err(|error| error.to_string())
}

/// What is wrong with a pattern.
fn problem(custom: &CustomPattern) -> Option<String> {
    let kind = &custom.kind;
    let is_kind = (1..=32).contains(&kind.len())
        && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if !is_kind {
        return Some("kind must be 1 to 32 lower-case letters, digits, '-' and '_'".to_owned());
    }
    if !(1..=MOST_PATTERN).contains(&custom.pattern.len()) {
        return Some(format!("pattern must have 1 to {MOST_PATTERN} bytes"));
    }
    let parsed = match syntax::parse_with(&custom.pattern, &syntax()) {
        Ok(parsed) => parsed,
        Err(error) => {
            let text = error.to_string();
            let said = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            return Some(format!("pattern is none: {said}"));
        }
    };
    match parsed.properties().minimum_len() {
        None => return Some("pattern can match nothing".to_owned()),
        Some(0) => {
            return Some("pattern matches the empty text: let it have at least one character".to_owned());
        }
        Some(_) => {}
    }
    built(&[&custom.pattern], ONE_NFA).err().map(|error| format!("pattern cannot be used: {error}"))
}

impl Custom {
    /// The patterns; `None` if there are none.
    pub(super) fn new(custom: &[CustomPattern]) -> Result<Option<Self>, BadPattern> {
        for (at, one) in custom.iter().enumerate() {
            if let Some(problem) = problem(one) {
                return Err(BadPattern { at, problem });
            }
        }
        let Some(last) = custom.len().checked_sub(1) else { return Ok(None) };
        let patterns: Vec<&str> = custom.iter().map(|one| one.pattern.as_str()).collect();
        let regex = built(&patterns, ALL_NFA).map_err(|error| BadPattern {
            at: last,
            problem: format!("all patterns together cannot be used, have fewer or shorter ones: {error}"),
        })?;
        let kinds = custom.iter().map(|one| one.kind.as_str().into()).collect();
        Ok(Some(Self { kinds, regex, caches: Mutex::default() }))
    }

    /// What a pattern's finds are called.
    pub(super) fn kind(&self, at: usize) -> Option<&str> {
        self.kinds.get(at).map(|kind| &**kind)
    }

    /// What the findings of all of them are called.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|kind| &**kind)
    }

    fn with_cache<R>(&self, step: impl FnOnce(&mut Cache) -> R) -> R {
        // A lock that another has broken holds caches that are as good as before.
        let lock = || self.caches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let kept = lock().pop();
        let mut cache = kept.unwrap_or_else(|| self.regex.create_cache());
        let result = step(&mut cache);
        let mut caches = lock();
        if caches.len() < CACHES {
            caches.push(cache);
        }
        result
    }

    /// Every match in a piece of a text, in order.
    pub(super) fn find(&self, text: &str, piece: Range<usize>, found: &mut Vec<Finding>) {
        self.with_cache(|cache| {
            let mut at = piece.start;
            while at < piece.end
                && let Some((span, pattern)) = self.next(cache, text, at..piece.end)
            {
                let start = text.floor_char_boundary(span.start);
                let end = text.ceil_char_boundary(span.end);
                found.push(Finding { start, end, kind: Kind::Custom(pattern) });
                at = end.max(at.saturating_add(1));
            }
        });
    }

    /// The next match. It is looked for up to where the first could end, and from its start no further than
    /// [`REACH`] behind that: a search for the longest could read the whole text for each of many short ones.
    fn next(&self, cache: &mut Cache, text: &str, piece: Range<usize>) -> Option<(Span, usize)> {
        let end = piece.end;
        let input = Input::new(text).span(piece);
        let first = self.regex.try_search(cache, &input.clone().earliest(true)).ok()??;
        let reach = first.end().saturating_add(REACH).min(end);
        let from_there = input.span(first.start()..reach).anchored(Anchored::Yes);
        let whole = self.regex.try_search(cache, &from_there).ok().flatten();
        let whole = whole.filter(|whole| whole.end() >= first.end()).unwrap_or(first);
        Some((whole.span(), whole.pattern().as_usize()))
    }

    /// Where the first match may begin that the end of a text cuts through.
    pub(super) fn open(&self, text: &str) -> Option<usize> {
        let tail = text.floor_char_boundary(text.len().saturating_sub(TAIL));
        self.with_cache(|cache| {
            let (forward, states) = (self.regex.forward(), cache.as_parts_mut().0);
            (tail..text.len()).find(|start| is_alive(forward, states, text.as_bytes(), *start))
        })
        .map(|start| text.floor_char_boundary(start))
    }
}

/// Whether a match from a place could go on behind the end of the text.
fn is_alive(automaton: &DFA, states: &mut dfa::Cache, text: &[u8], start: usize) -> bool {
    let input = Input::new(text).span(start..text.len()).anchored(Anchored::Yes);
    let Ok(mut state) = automaton.start_state_forward(states, &input) else { return true };
    for byte in text.get(start..).unwrap_or_default() {
        match automaton.next_state(states, state, *byte) {
            Ok(next) if next.is_dead() => return false,
            Ok(next) if next.is_quit() => return true,
            Ok(next) => state = next,
            Err(_) => return true,
        }
    }
    true
}
