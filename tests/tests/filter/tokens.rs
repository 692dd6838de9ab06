//! The table of requests through Envoy, the reason read from the access log.

use std::collections::HashMap;

use attach_tests::cases::{self, Case, Verdict};
use attach_tests::fixture::Fixture;
use attach_tests::mint;
use attach_tests::request::{Request, Response};
use attach_tests::upstream::Seen;
use serde_json::Value;

use crate::fixture;

#[test]
fn every_request_of_the_table_is_judged_as_it_says() {
    let fixture = Fixture::of_everybody("table");
    let cases = cases::all(&fixture.world, mint::now());
    let mut wrong = Vec::new();
    let mut answers = Vec::new();
    let mut sent = 0;
    for case in &cases {
        let mut answer = None;
        for _ in 0..=case.earlier {
            answer = Some(fixture.gateway.send(&case.sent.request()));
            sent += 1;
        }
        let answer = answer.expect("an answer");
        if answer.status != 200
            && let Some(problem) = incomplete(&answer)
        {
            wrong.push(format!("{}: {} {problem}: {}", case.name, answer.status, answer.text()));
        }
        answers.push(answer);
    }
    let mut log = Log::new(fixture.gateway.access_log(cases::MARK, sent));
    let mut arrived = Arrived(&fixture, HashMap::new());
    for (case, answer) in cases.iter().zip(answers) {
        let reasons: Vec<_> = (0..=case.earlier).map(|_| log.next(path(case))).collect();
        let passed = arrived.next(path(case), usize::from(answer.status == 200) + case.earlier);
        let verdict = match (answer.status, passed) {
            (200, Ok(Some(seen))) => Verdict::User {
                user: seen.headers.one("x-attach-user").unwrap_or_default().to_owned(),
                agent: seen.headers.one("x-attach-agent").map(str::to_owned),
            },
            (status, Ok(_)) if status != 200 => Verdict::Reason { reason: reasons.concat(), status },
            (status, seen) => {
                wrong.push(format!("{}: {status}, and upstream {seen:?}", case.name));
                continue;
            }
        };
        if !case.allows(&verdict) {
            wrong.push(format!("{}: {verdict:?}, not {:?}", case.name, case.expect));
        }
    }
    wrong.extend(arrived.unaccounted());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    nothing_secret_is_logged(&fixture, &cases);
}

/// What the log calls a row: its path.
fn path(case: &Case) -> &str {
    case.sent.target.split('?').next().unwrap_or_default()
}

/// What a refusal lacks that a client may expect of it.
fn incomplete(answer: &Response) -> Option<&'static str> {
    let challenge = answer.headers.one("www-authenticate").unwrap_or_default();
    if answer.headers.one("content-type") != Some("application/json") || answer.detail().is_empty() {
        return Some("without a detail");
    }
    // A challenge is for those who may come again with something else.
    if answer.status != 401 && answer.status != 403 {
        return None;
    }
    let has = |part: &str| challenge.contains(part);
    let whole = challenge.starts_with("Bearer ") && has("error=\"") && has("resource_metadata=\"");
    (!whole).then_some("without a challenge")
}

/// The log's lines by their paths, in their order.
struct Log(HashMap<String, std::vec::IntoIter<Value>>);

impl Log {
    fn new(lines: Vec<Value>) -> Self {
        let mut by_path: HashMap<String, Vec<Value>> = HashMap::new();
        for line in lines {
            by_path.entry(line["path"].as_str().unwrap_or_default().to_owned()).or_default().push(line);
        }
        Self(by_path.into_iter().map(|(path, lines)| (path, lines.into_iter())).collect())
    }

    /// The reason in the next line about a path; empty where it has none.
    fn next(&mut self, path: &str) -> String {
        match self.0.get_mut(path).and_then(Iterator::next) {
            Some(line) => {
                line["reason"].as_str().filter(|reason| *reason != "-").unwrap_or_default().to_owned()
            }
            None => "not in the log".to_owned(),
        }
    }
}

/// What has reached the engine, by path.
struct Arrived<'a>(&'a Fixture, HashMap<String, std::vec::IntoIter<Seen>>);

impl Arrived<'_> {
    /// The last of so many requests with a path that must have reached the engine, those of an earlier row
    /// with the same path left out.
    fn next(&mut self, path: &str, count: usize) -> Result<Option<Seen>, String> {
        let seen = self.1.entry(path.to_owned()).or_insert_with(|| {
            let of_path = |seen: &Seen| seen.target.split('?').next() == Some(path);
            self.0.upstream.seen(path).into_iter().filter(of_path).collect::<Vec<_>>().into_iter()
        });
        let mut last = None;
        for number in 0..count {
            last = Some(seen.next().ok_or_else(|| format!("{number} in place of {count}"))?);
        }
        Ok(last)
    }

    /// Whatever has arrived and no row has accounted for.
    fn unaccounted(self) -> Vec<String> {
        let rest = self.1.into_iter().filter(|(_, seen)| seen.len() > 0);
        rest.map(|(path, seen)| format!("{path} reached the engine {} times more than it should", seen.len()))
            .collect()
    }
}

/// No log holds the signature of a token.
fn nothing_secret_is_logged(fixture: &Fixture, cases: &[Case]) {
    let logs = fixture.gateway.logs();
    for case in cases {
        for (name, value) in &case.sent.headers {
            let text = String::from_utf8_lossy(value);
            let secret = match name.as_str() {
                "authorization" => text.rsplit(['.', ' ']).next().unwrap_or_default(),
                "signature" => text.split(':').nth(1).unwrap_or_default(),
                _ => continue,
            };
            assert!(secret.len() < 20 || !logs.contains(secret), "{} stands in a log", case.name);
        }
    }
    for service in &fixture.world.services {
        assert!(!logs.contains(&service.secret), "the key of {} stands in a log", service.name);
    }
}

#[test]
fn the_log_names_who_was_let_in() {
    let fixture = fixture();
    fixture.gateway.send(&Request::get("/logged-user").bearer(&fixture.alice())).expect(200);
    let line = &fixture.gateway.access_log("/logged-user", 1)[0];
    assert_eq!(line["user"], "alice", "{line}");
    assert_eq!(line["status"], 200, "{line}");
}

#[test]
fn the_log_holds_neither_queries_nor_credentials() {
    let fixture = fixture();
    let token = fixture.alice();
    let request = Request::get("/logged-plain?access_token=query-secret")
        .bearer(&token)
        .header("cookie", "cookie-secret");
    fixture.gateway.send(&request).expect(200);
    let basic = Request::get("/logged-plain?x=query-secret").header("authorization", "Basic basic-secret");
    fixture.gateway.send(&basic).expect(401);
    let lines = fixture.gateway.access_log("/logged-plain", 2);
    assert!(lines.iter().all(|line| line["path"] == "/logged-plain"), "{lines:?}");
    let logs = fixture.gateway.logs();
    let signature = token.rsplit('.').next().expect("a signature");
    for secret in ["query-secret", "cookie-secret", "basic-secret", signature] {
        assert!(!logs.contains(secret), "{secret} stands in a log");
    }
}

#[test]
fn a_token_in_the_query_is_no_credential() {
    let fixture = fixture();
    fixture.gateway.send(&Request::get(format!("/query-token?access_token={}", fixture.alice()))).expect(401);
    fixture.nothing_arrived("/query-token");
}
