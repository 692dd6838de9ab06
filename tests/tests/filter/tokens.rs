//! The table of credentials through Envoy, the reason read from the access log.

use std::collections::HashMap;

use attach_tests::cases::{self, Expect, Verdict};
use attach_tests::mint;
use attach_tests::request::Request;

use crate::fixture;

#[test]
fn every_credential_of_the_table_is_judged_as_it_says() {
    let fixture = fixture();
    let cases = cases::all(&fixture.world, mint::now());
    let mut wrong = Vec::new();
    let mut users = HashMap::new();
    for (number, case) in cases.iter().enumerate() {
        let path = format!("/case-{number}-of-table");
        let mut request = Request::get(&path);
        for value in &case.authorization {
            request = request.header("Authorization", value);
        }
        let response = fixture.gateway.send(&request);
        let arrived = fixture.upstream.seen(&path);
        if response.status == 200 {
            let user = arrived.first().and_then(|seen| seen.headers.one("x-attach-user")).unwrap_or_default();
            users.insert(number, user.to_owned());
            continue;
        }
        let challenge = response.headers.one("www-authenticate").unwrap_or_default();
        let complete = response.status == 401
            && arrived.is_empty()
            && !response.detail().is_empty()
            && challenge.starts_with("Bearer ")
            && challenge.contains("error=\"")
            && challenge.contains("resource_metadata=\"");
        if !complete {
            wrong.push(format!("{}: {} {challenge:?} {}", case.name, response.status, response.text()));
        }
    }
    let lines = fixture.gateway.access_log("-of-table", cases.len());
    for (number, case) in cases.iter().enumerate() {
        let mark = format!("/case-{number}-of-table");
        let line = lines.iter().find(|line| line["path"] == mark.as_str());
        let reason = line.and_then(|line| line["reason"].as_str()).unwrap_or("not in the log");
        let verdict = match users.remove(&number) {
            Some(user) => Verdict::User(user),
            None => Verdict::Reason(reason.to_owned()),
        };
        if !case.allows(&verdict) {
            wrong.push(format!("{}: {verdict:?}, not {:?}", case.name, case.expect));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

    let logs = fixture.gateway.logs();
    for case in cases.iter().filter(|case| matches!(case.expect, Expect::Reason(_))) {
        for value in &case.authorization {
            let text = String::from_utf8_lossy(value);
            let secret = text.rsplit(['.', ' ']).next().unwrap_or_default();
            assert!(secret.len() < 20 || !logs.contains(secret), "{} stands in a log", case.name);
        }
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
