//! What a query says: every parameter is known, given once and has a value that means something.

use attach_core::authn::identity::fits_header;
use attach_core::clock::UnixMillis;
use attach_core::clock::date::{self, LAST_MILLISECOND};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::{READ_ALL, Refusal};
use crate::memory::{Reach, SessionFilter};
use crate::trust::Caller;

/// How many rows a page has where `limit` says nothing: the original's.
const DEFAULT_LIMIT: usize = 10;
/// The most rows of a page. One may have 64 KiB.
const MAX_LIMIT: usize = 100;
/// The longest value, in bytes.
const MAX_VALUE: usize = 1024;

/// How axum gives a query.
pub(super) type Asked = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Reads a query in which no others than `known` may stand: what is not understood must not widen what is read or
    /// forgotten.
    pub(super) fn read(asked: Asked, known: &'static [&'static str]) -> Result<Self, Refusal> {
        let Ok(Query(pairs)) = asked else { return Err(Refusal::question("The query cannot be read")) };
        let mut read = Self::default();
        for (name, value) in pairs {
            let Some(name) = known.iter().find(|known| **known == name).copied() else {
                let text = if known.is_empty() {
                    "This route has no parameters".to_owned()
                } else {
                    format!("There is no such parameter; these are known: {}", known.join(", "))
                };
                return Err(Refusal::question(text));
            };
            if read.get(name).is_some() {
                return Err(Refusal::question(format!("{name} may be given once")));
            }
            if value.is_empty() || value.len() > MAX_VALUE {
                return Err(wrong(name, &format!("given a value of {MAX_VALUE} bytes at most, or left out")));
            }
            read.0.push((name, value));
        }
        Ok(read)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// `limit`: how many rows at most.
    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let Some(limit) = self.get("limit") else { return Ok(DEFAULT_LIMIT) };
        let limit = limit.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| wrong("limit", &format!("a whole number from 1 to {MAX_LIMIT}")))
    }

    /// `before`: rows that are older than a time, or that come after a row in the order of a page.
    pub(super) fn before(&self) -> Result<Option<(UnixMillis, String)>, Refusal> {
        let Some(before) = self.get("before") else { return Ok(None) };
        let place = place(before).or_else(|| Some((UnixMillis(date::parse(before)?), String::new())));
        place.map(Some).ok_or_else(|| {
            wrong("before", "a time (2025-01-31T00:00:00Z, 2025-01-31) or the `next` of an earlier answer")
        })
    }

    /// `before` of a history: a version.
    pub(super) fn version(&self) -> Result<Option<u32>, Refusal> {
        let Some(before) = self.get("before") else { return Ok(None) };
        before.parse().map(Some).map_err(|_| wrong("before", "a version, or the `next` of an earlier answer"))
    }

    /// `session`: one session's rows.
    pub(super) fn session(&self) -> Result<Option<SessionFilter>, Refusal> {
        let Some(session) = self.get("session") else { return Ok(None) };
        let digits = session.to_ascii_lowercase();
        match session.len() {
            64 | 16 if !session.bytes().all(|b| b.is_ascii_hexdigit()) => None,
            64 => Some(SessionFilter::Whole(digits)),
            16 => Some(SessionFilter::Beginning(digits)),
            _ => None,
        }
        .map(Some)
        .ok_or_else(|| wrong("session", "a session id: 64 hexadecimal digits, or the first 16"))
    }

    /// `q`: what is searched for.
    pub(super) fn query(&self) -> Result<String, Refusal> {
        let query = self.get("q").filter(|query| !query.trim().is_empty());
        query.map(str::to_owned).ok_or_else(|| wrong("q", "given: the words to search for"))
    }

    /// `all=true` or `user=…`: what is not the caller's own, with [`READ_ALL`]; its own without them.
    pub(super) fn reach(&self, caller: &Caller) -> Result<Reach, Refusal> {
        let across = match (self.get("all"), self.get("user")) {
            (None, None) | (Some("false"), None) => return Ok(Reach::Owner(caller.user.clone())),
            (Some("true"), None) => Reach::Everyone,
            (Some("true" | "false"), Some(_)) => {
                return Err(Refusal::question("Give either all or user, not both"));
            }
            (Some(_), _) => return Err(wrong("all", "true or false")),
            // A space's owner is no user, so nobody reads a space by this.
            (None, Some(user)) if fits_header(user) => Reach::Owner(user.to_owned()),
            (None, Some(_)) => return Err(wrong("user", "a user's name, as X-Attach-User has it")),
        };
        if !caller.scopes.iter().any(|scope| scope == READ_ALL) {
            return Err(Refusal::Scope);
        }
        tracing::info!(user = caller.user, "memory of others is read");
        Ok(across)
    }
}

fn wrong(name: &str, must: &str) -> Refusal {
    Refusal::question(format!("{name} must be {must}"))
}

/// A row's place in the order of pages, newest first, as [`place`] reads it.
pub(super) fn cursor(at: UnixMillis, id: &str) -> String {
    format!("{}-{id}", at.0)
}

/// What [`cursor`] has written: a time, and a UUID or a document's id.
fn place(text: &str) -> Option<(UnixMillis, String)> {
    let (at, id) = text.split_once('-')?;
    let is_number = !at.is_empty() && at.bytes().all(|b| b.is_ascii_digit());
    let at = at.parse().ok().filter(|at| is_number && *at <= LAST_MILLISECOND)?;
    let is_id = matches!(id.len(), 32 | 36) && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_id.then(|| (UnixMillis(at), id.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["limit", "before", "session", "q", "all", "user"];

    fn read(query: &str) -> Result<Parameters, Refusal> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Parameters::read(Query::try_from_uri(&uri), KNOWN)
    }

    fn caller(scopes: &[&str]) -> Caller {
        Caller {
            user: "alice".to_owned(),
            session: "ab".repeat(32),
            agent: None,
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            spaces: Vec::new(),
        }
    }

    #[test]
    fn a_page_is_asked_for_by_time_or_by_the_place_of_a_row() {
        let id = "2ed6657d-e927-568b-95e1-2665a8aea6a2";
        for (query, expected) in [
            ("limit=1", None),
            ("before=2025-01-01", Some((1_735_689_600_000, ""))),
            ("before=2025-01-01T00:00:00Z", Some((1_735_689_600_000, ""))),
            ("before=2025-01-01T01:00:00+01:00", Some((1_735_689_600_000, ""))),
            (&format!("before={}", cursor(UnixMillis(5), id)), Some((5, id))),
            (&format!("before=5-{}", "ab".repeat(16)), Some((5, &"ab".repeat(16)))),
        ] {
            let expected = expected.map(|(at, id)| (UnixMillis(at), id.to_owned()));
            assert_eq!(read(query).unwrap().before(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn a_wrong_value_is_told_with_its_name() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=-1", "limit"),
            ("limit=ten", "limit"),
            ("limit=18446744073709551616", "limit"),
            ("before=x", "before"),
            ("before=5-", "before"),
            ("before=5-2ed6657d", "before"),
            ("before=99999999999999999999-2ed6657d-e927-568b-95e1-2665a8aea6a2", "before"),
            ("before=%2B5-2ed6657d-e927-568b-95e1-2665a8aea6a2", "before"),
            ("before=1969-12-31", "before"),
            ("session=abc", "session"),
            ("session=zzzzzzzzzzzzzzzz", "session"),
            ("session=%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4", "session"),
            ("session=abcdefabcdefabc%22", "session"),
            ("q=%20%20", "q"),
            ("limit=1", "q"),
            ("all=yes", "all"),
            ("user=%C2%A7team-a", "user"),
        ] {
            let read = read(query).unwrap();
            let refusals = [
                read.limit().err(),
                read.before().err(),
                read.session().err(),
                read.reach(&caller(&[READ_ALL])).err(),
                read.query().err().filter(|_| name == "q"),
            ];
            let told = refusals.into_iter().flatten().next();
            let Some(Refusal::Wrong(status, text)) = told else { panic!("{query}: {told:?}") };
            assert_eq!(status.as_u16(), 400);
            assert!(text.starts_with(&format!("{name} must be ")), "{query}: {text}");
        }
        for query in
            ["limit=", "q=&limit=1", &format!("q={}", "a".repeat(1025)), "limit=1&limit=2", "x=1", "Limit=1"]
        {
            assert!(matches!(read(query), Err(Refusal::Wrong(..))), "{query}");
        }
    }

    #[test]
    fn a_session_is_named_whole_or_by_what_clients_see_of_it() {
        let whole = "AB".repeat(32);
        let asked = |query: &str| read(query).unwrap().session().unwrap();
        assert_eq!(asked(&format!("session={whole}")), Some(SessionFilter::Whole("ab".repeat(32))));
        assert_eq!(
            asked("session=0123456789abcdef"),
            Some(SessionFilter::Beginning("0123456789abcdef".into()))
        );
        assert_eq!(asked("limit=1"), None);
    }

    #[test]
    fn only_the_scope_reads_what_is_not_ones_own() {
        let own = Ok(Reach::Owner("alice".to_owned()));
        for (query, scopes, expected) in [
            ("limit=1", &[][..], own.clone()),
            ("all=false", &[], own.clone()),
            ("limit=1", &[READ_ALL], own),
            ("all=true", &[READ_ALL], Ok(Reach::Everyone)),
            ("user=bob", &["x", READ_ALL], Ok(Reach::Owner("bob".to_owned()))),
            ("all=true", &[], Err(Refusal::Scope)),
            ("user=bob", &["mem:read", "mem:read:all:x", "MEM:READ:ALL"], Err(Refusal::Scope)),
        ] {
            assert_eq!(read(query).unwrap().reach(&caller(scopes)), expected, "{query} {scopes:?}");
        }
        assert!(read("all=true&user=bob").unwrap().reach(&caller(&[READ_ALL])).is_err());
    }

    proptest! {
        #[test]
        fn a_place_comes_back(at in 0..=LAST_MILLISECOND, id in "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}") {
            prop_assert_eq!(place(&cursor(UnixMillis(at), &id)), Some((UnixMillis(at), id)));
        }

        #[test]
        fn no_query_makes_it_panic(query in "((limit|before|session|q|all|user)=[!-~]{0,70}&?){0,3}") {
            let Ok(uri) = format!("/x?{query}").parse::<Uri>() else { return Ok(()) };
            if let Ok(read) = Parameters::read(Query::try_from_uri(&uri), KNOWN) {
                let _ = (read.limit(), read.before(), read.session(), read.query(), read.reach(&caller(&[])), read.version());
            }
        }
    }
}
