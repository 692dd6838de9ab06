use attach_core::config::Grant;
use attach_core::policy::route::Access;

use super::*;

#[test]
fn a_whole_document_is_read() {
    let mut findings = Findings::default();
    let document = parse(
        "attach.yaml",
        "issuers:\n  - {issuer: 'https://p.example/', audiences: [a, b], user_prefix: 'p:', jwks_url: 'https://k.example/k'}\n\
         routes:\n  - {path: /v1/models, access: public}\n  - {path: /v1/chat/**, forward_credential: true}\n\
         jwks: {refresh_seconds: 60}\n",
        &mut findings,
    );
    assert_eq!(findings.problems, []);
    assert_eq!(document.issuers[0].audiences, ["a", "b"]);
    assert_eq!(document.issuers[0].jwks_url.as_ref().unwrap().as_str(), "https://k.example/k");
    assert_eq!(document.routes[0].access, Access::Public);
    assert!(document.routes[1].forward_credential);
    assert_eq!(document.jwks, JwksTimes { refresh_seconds: 60, max_stale_seconds: 86_400 });
}

#[test]
fn an_empty_document_says_nothing() {
    for text in ["", "# only a comment\n", "issuers:\nroutes:\n"] {
        let mut findings = Findings::default();
        let document = parse("attach.yaml", text, &mut findings);
        assert_eq!((findings.problems, document.issuers.len()), (vec![], 0), "{text:?}");
    }
}

#[test]
fn every_mistake_is_named_by_its_path() {
    let mut findings = Findings::default();
    parse(
        "attach.yaml",
        "OIDC_ISSUER: https://x.example\n\
         colour: red\n\
         issuers:\n  - {audiences: [], user_prefix: 7}\n  - {issuer: 'http://far.example', audiences: a, jwks_url: nope, scope: x}\n\
         routes:\n  - {path: '/v1/logs'}\n  - {path: a, access: everyone, forward_credential: 1}\n  - {to: control}\n\
         jwks: {refresh_seconds: 1, max_stale_seconds: 100}\n",
        &mut findings,
    );
    let mut found: Vec<_> = findings.problems.iter().map(|p| p.setting.as_str()).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "OIDC_ISSUER",
            "colour",
            "issuers[0].audiences",
            "issuers[0].issuer",
            "issuers[0].user_prefix",
            "issuers[1].issuer",
            "issuers[1].jwks_url",
            "issuers[1].scope",
            "jwks.max_stale_seconds",
            "jwks.refresh_seconds",
            "routes[0].path",
            "routes[1].access",
            "routes[1].forward_credential",
            "routes[1].path",
            "routes[2].path",
            "routes[2].to",
        ]
    );
}

#[test]
fn what_is_not_a_mapping_or_not_yaml_is_one_problem() {
    for text in ["- a\n", "just text", "a: [", "issuers: []\nissuers: []\n"] {
        let mut findings = Findings::default();
        parse("attach.yaml", text, &mut findings);
        assert_eq!(findings.problems.len(), 1, "{text}: {:?}", findings.problems);
        assert_eq!(findings.problems[0].setting, "attach.yaml", "{text}");
    }
}

#[test]
fn what_stands_behind_the_issuers_is_read() {
    let mut findings = Findings::default();
    let document = parse(
        "attach.yaml",
        "oidc: {claim_headers: [{claim: org, header: x-attach-org}]}\n\
         issuers: [{issuer: 'https://p.example', audiences: a, user_prefix: p, required_scopes: 'a b', \
           claim_headers: [{claim: tid, header: x-attach-tenant}]}]\n\
         exchanges: [{from: '*', to: 'https://p.example', grant: jwt-bearer, token_url: 'https://p.example/t', \
           client_id: c, client_secret_env: S}]\n\
         routes: [{path: /v1/x, scopes: [a], httpsig: {components: ['@authority', signature-agent]}}]\n\
         grants: [{user: 'key:*', scopes: 'a, b'}]\n\
         models: [{user: 'hmac:billing', allow: ['llama*']}, {claim: {header: x-attach-org, value: gold}, allow: ['*']}]\n\
         prefixes: {hmac: 'svc:'}\n\
         httpsig: {components: ['@target-uri'], max_age_seconds: 60}\n",
        &mut findings,
    );
    assert_eq!(findings.problems, []);
    assert_eq!(document.issuers[0].required_scopes, ["a", "b"]);
    assert_eq!(document.issuers[0].claim_headers[0].header, "x-attach-tenant");
    assert_eq!(document.oidc.claim_headers[0].claim, "org");
    let exchange = document.exchanges[0].exchange.as_ref().unwrap();
    assert_eq!((exchange.client_id.as_str(), exchange.grant), ("c", Grant::JwtBearer));
    assert_eq!(document.exchanges[0].secret.as_ref().unwrap().0, "S");
    assert_eq!(document.routes[0].scopes, ["a"]);
    assert_eq!(document.routes[0].components.as_ref().unwrap().len(), 2);
    assert_eq!(document.grants[0].scopes, ["a", "b"]);
    assert_eq!(document.models[1].claim.as_ref().unwrap().value, "gold");
    assert_eq!((document.prefixes.hmac.as_str(), document.prefixes.rotagent.as_str()), ("svc:", "key:"));
    assert_eq!((document.httpsig.components.len(), document.httpsig.max_age_seconds), (1, 60));
}

#[test]
fn each_mistake_behind_the_issuers_is_named_by_its_path() {
    for (text, path) in [
        ("oidc: {issuer: 'https://x.example'}", "oidc.issuer"),
        ("oidc: {required_scopes: []}", "oidc.required_scopes"),
        ("oidc: {required_scopes: ' '}", "oidc.required_scopes"),
        ("oidc: {claim_headers: [{claim: a}]}", "oidc.claim_headers[0].header"),
        ("oidc: {claim_headers: [{header: x-attach-a}]}", "oidc.claim_headers[0].claim"),
        ("oidc: {claim_headers: [{claim: a, header: x-attach-user}]}", "oidc.claim_headers[0].header"),
        (
            "oidc: {claim_headers: [{claim: a, header: x-attach-a}, {claim: b, header: x-attach-a}]}",
            "oidc.claim_headers[1].header",
        ),
        ("routes: [{path: /v1/x, scopes: ['a b']}]", "routes[0].scopes[0]"),
        ("routes: [{path: /v1/x, access: public, scopes: a}]", "routes[0].scopes"),
        ("routes: [{path: /v1/x, httpsig: {components: ['@method']}}]", "routes[0].httpsig.components"),
        ("routes: [{path: /v1/x, httpsig: {components: ['@nothing']}}]", "routes[0].httpsig.components[0]"),
        ("routes: [{path: /v1/x, httpsig: ['@authority']}]", "routes[0].httpsig"),
        ("grants: [{user: 'a*b', scopes: a}]", "grants[0].user"),
        ("grants: [{user: a}]", "grants[0].scopes"),
        ("grants: [{scopes: a}]", "grants[0].user"),
        ("models: [{allow: ['*']}]", "models[0].user"),
        ("models: [{user: a, claim: {header: x-attach-a, value: b}, allow: [a]}]", "models[0].user"),
        ("models: [{user: a}]", "models[0].allow"),
        ("models: [{user: a, allow: []}]", "models[0].allow"),
        ("models: [{user: a, allow: ['*x']}]", "models[0].allow[0]"),
        ("models: [{claim: {header: x-attach-user, value: a}, allow: [a]}]", "models[0].claim.header"),
        ("models: [{claim: {header: x-attach-a}, allow: [a]}]", "models[0].claim.value"),
        ("prefixes: {oidc: 'x:'}", "prefixes.oidc"),
        ("prefixes: {hmac: 7}", "prefixes.hmac"),
        ("httpsig: {max_age_seconds: 0}", "httpsig.max_age_seconds"),
        ("httpsig: {components: []}", "httpsig.components"),
        ("exchanges: {}", "exchanges"),
    ] {
        let mut findings = Findings::default();
        parse("attach.yaml", text, &mut findings);
        let paths: Vec<_> = findings.problems.iter().map(|problem| problem.setting.as_str()).collect();
        assert_eq!(paths.first(), Some(&path), "{text}: {paths:?}");
    }
}

#[test]
fn an_exchange_that_lacks_something_says_all_of_it_and_shows_no_secret() {
    let mut findings = Findings::default();
    let text = "exchanges: [{grant: password, client_secret_env: 'hunter2-hunter2!'}]";
    let document = parse("attach.yaml", text, &mut findings);
    assert!(document.exchanges[0].exchange.is_none());
    let mut paths: Vec<_> = findings.problems.iter().map(|problem| problem.setting.as_str()).collect();
    paths.sort_unstable();
    let expected = ["client_id", "client_secret_env", "from", "grant", "to", "token_url"];
    assert_eq!(paths, expected.map(|member| format!("exchanges[0].{member}")));
    assert!(!format!("{:?}", findings.problems).contains("hunter2"));
}
