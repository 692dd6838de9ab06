use super::*;
use serde_json::{Value, json};

fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("0123456789abcdef".repeat(4)),
        "KEY" => Some("sk-test".to_owned()),
        _ => None,
    }
}

fn document() -> Value {
    json!({
        "version": 1,
        "public_url": "http://localhost:8080",
        "issuers": [{
            "issuer": "https://idp.example/",
            "audiences": ["attach"],
            "jwks": {"keys": {"cluster": "idp_0", "scheme": "https", "authority": "idp.example", "path": "/jwks"}}
        }],
        "control": {"secret_env": "SECRET"}
    })
}

fn errors(document: &Value) -> Vec<String> {
    match compile(document.to_string().as_bytes(), &environment) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.path).collect(),
    }
}

#[test]
fn a_whole_document_compiles() {
    let policy = compile(document().to_string().as_bytes(), &environment).unwrap();
    assert_eq!(&*policy.schemes.providers[0].issuer, "https://idp.example");
    assert_eq!(policy.sources[0].schedule.refresh, Duration::from_secs(600));
    assert_eq!(&*policy.resource_metadata, "http://localhost:8080/.well-known/oauth-protected-resource");
}

#[test]
fn every_error_is_named_at_once() {
    let mut bad = document();
    bad["version"] = json!(2);
    bad["public_url"] = json!("localhost/");
    bad["issuers"][0]["audiences"] = json!([]);
    bad["issuers"][0]["jwks"]["keys"]["scheme"] = json!("ftp");
    bad["routes"] = json!([{"path": "nowhere"}, {"path": "/x", "to": "control"}]);
    bad["engine"] = json!({"api_key_env": "NONE"});
    bad["control"]["secret_env"] = json!("NONE");
    assert_eq!(
        errors(&bad),
        [
            "version",
            "public_url",
            "issuers[0].audiences",
            "issuers[0].jwks.keys.scheme",
            "routes[0].path",
            "routes[1].to",
            "engine.api_key_env",
            "control.secret_env",
        ]
    );
}

#[test]
fn a_misspelt_field_is_refused() {
    let mut bad = document();
    bad["isuers"] = json!([]);
    assert_eq!(errors(&bad), ["configuration"]);
    assert_eq!(compile(b"", &environment).unwrap_err().len(), 1);
}

#[test]
fn prefixes_that_could_make_two_users_one_are_refused() {
    for (prefixes, wrong) in [
        (vec![""], vec![]),
        (vec!["", "a|", "b|"], vec![]),
        (vec!["x"], vec![0]),
        (vec!["", ""], vec![1]),
        (vec!["", "a", "ab"], vec![1]),
        (vec!["", "ab", "a"], vec![2]),
        (vec!["", "a|", "a|"], vec![1, 2]),
        (vec!["", "did:x"], vec![1]),
        (vec!["", "d"], vec![1]),
        (vec!["", "a b"], vec![1]),
    ] {
        let prefixes: Vec<Option<&str>> = prefixes.into_iter().map(Some).collect();
        let found: Vec<usize> = prefix_problems(&prefixes).into_iter().map(|(at, _)| at).collect();
        assert_eq!(found, wrong, "{prefixes:?}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    let mut bad = document();
    bad["control"]["secret_env"] = json!("SHORT");
    let secret = |name: &str| (name == "SHORT").then(|| "hunter2".to_owned());
    let errors = compile(bad.to_string().as_bytes(), &secret).unwrap_err();
    assert!(!format!("{errors:?}").contains("hunter2"));
}
