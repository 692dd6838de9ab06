use std::collections::BTreeMap;

use attach_core::authn::jws::Jws;
use attach_core::crypto::to_base64url;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::form_urlencoded;

use crate::clock::unix_now;
use crate::serve::tests::{SECRET, options};
use crate::serve::{State, app};
use crate::signing::{Purpose, rotate};
use crate::supervise::tests::Folder;

const URL: &str = "https://gateway.example";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

struct Bench {
    state: State,
    now: u64,
    folder: Folder,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Folder::new(&format!("token-{name}"));
        let mut options = options(folder.path());
        options.public_url = URL.to_owned();
        options.agents = BTreeMap::from([
            ("planner".to_owned(), "key:planner".to_owned()),
            ("coder".to_owned(), "key:coder".to_owned()),
        ]);
        let now = unix_now();
        Self { state: options.open(now).unwrap(), now, folder }
    }

    /// What the filter would say to the planner about alice, with changes.
    fn claims(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut claims = json!({
            "iss": URL, "sub": "alice", "sid": "00", "aud": "planner", "iat": self.now,
            "exp": self.now + 120, "user_exp": self.now + 3600, "scope": "chat:run files:read",
            "claims": { "x-attach-tenant": "acme" },
        });
        change(&mut claims);
        claims
    }

    fn signed(&self, typ: &str, claims: &Value) -> String {
        self.state.assertions.sign(typ, claims, self.now).unwrap()
    }

    fn assertion(&self, change: impl FnOnce(&mut Value)) -> String {
        self.signed("attach-assertion+jwt", &self.claims(change))
    }

    async fn post(&self, stamps: &[(&str, &str)], body: String) -> (StatusCode, Value) {
        let mut request = Request::post("/auth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-attach-control-secret", SECRET)
            .header("x-attach-session", "abc");
        for (name, value) in stamps {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = app(self.state.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        if status != StatusCode::UNAUTHORIZED {
            assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
        }
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The planner's request with these parameters instead of, or besides, the usual ones.
    async fn ask(&self, token: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
        let usual = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", JWT)];
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(
            usual.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name)),
        );
        form.extend_pairs(changes);
        self.post(&[("x-attach-user", "key:planner")], form.finish()).await
    }

    /// The claims of a token that was given.
    fn read(&self, granted: &Value) -> Value {
        let token = granted["access_token"].as_str().unwrap();
        let jws = Jws::parse(token).unwrap();
        assert_eq!((jws.algorithm_name.as_str(), jws.media_type.as_deref()), ("EdDSA", Some("at+jwt")));
        let kid = jws.key_id.as_deref().unwrap();
        assert!(self.state.assertions.find(kid, self.now).is_none(), "the rings are never mixed");
        let key = self.state.gateway.find(kid, self.now).unwrap();
        assert!(key.verifies(jws.signing_input, &jws.signature));
        let payload = attach_core::crypto::base64url(token.split('.').nth(1).unwrap().as_bytes());
        serde_json::from_slice(&payload.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn an_agent_gets_a_token_that_names_the_user_and_itself() {
    let bench = Bench::new("granted");
    let (status, granted) = bench.ask(&bench.assertion(|_| {}), &[]).await;
    assert_eq!(status, StatusCode::OK, "{granted}");
    assert_eq!(granted["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["scope"], "chat:run files:read");
    assert!((898..=900).contains(&granted["expires_in"].as_u64().unwrap()), "{granted}");
    let claims = bench.read(&granted);
    let iat = claims["iat"].as_u64().unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": URL, "aud": URL, "sub": "alice", "act": { "sub": "key:planner" },
            "client_id": "key:planner", "scope": "chat:run files:read",
            "claims": { "x-attach-tenant": "acme" },
            "iat": iat, "exp": iat + 900, "jti": claims["jti"],
        })
    );
    let (_, again) = bench.ask(&bench.assertion(|_| {}), &[]).await;
    assert_ne!(bench.read(&again)["jti"], claims["jti"]);
}

#[tokio::test]
async fn a_token_never_outlives_the_user_s_own_credential() {
    let bench = Bench::new("expiry");
    let soon = bench.now + 300;
    let (_, granted) = bench.ask(&bench.assertion(|claims| claims["user_exp"] = soon.into()), &[]).await;
    assert_eq!(bench.read(&granted)["exp"], soon);
    let past = bench.assertion(|claims| claims["user_exp"] = (bench.now - 1).into());
    let (status, refused) = bench.ask(&past, &[]).await;
    assert_eq!((status, refused["error"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid_grant")));
}

#[tokio::test]
async fn a_scope_may_be_narrowed_and_never_widened() {
    let bench = Bench::new("scope");
    let token = bench.assertion(|_| {});
    for (asked, expected) in [
        ("chat:run", Ok("chat:run")),
        ("files:read  chat:run files:read", Ok("files:read chat:run")),
        ("", Ok("chat:run files:read")),
        ("chat:run admin", Err("invalid_scope")),
        ("chat", Err("invalid_scope")),
    ] {
        let (_, answer) = bench.ask(&token, &[("scope", asked)]).await;
        match expected {
            Ok(scope) => {
                assert_eq!(answer["scope"], scope);
                assert_eq!(bench.read(&answer)["scope"], scope);
            }
            Err(error) => assert_eq!(answer["error"], error, "{asked}"),
        }
    }
    let nothing = bench.assertion(|claims| claims["scope"] = "".into());
    let (_, granted) = bench.ask(&nothing, &[]).await;
    assert!(granted.get("scope").is_none() && bench.read(&granted).get("scope").is_none());
    assert_eq!(bench.ask(&nothing, &[("scope", "chat:run")]).await.1["error"], "invalid_scope");
}

#[tokio::test]
async fn whoever_acted_before_is_named_within() {
    let bench = Bench::new("before");
    let token = bench.assertion(|claims| claims["act"] = json!({ "sub": "key:coder" }));
    let (_, granted) = bench.ask(&token, &[]).await;
    assert_eq!(bench.read(&granted)["act"], json!({ "sub": "key:planner", "act": { "sub": "key:coder" } }));
}

#[tokio::test]
async fn only_the_agent_that_it_is_addressed_to_may_swap_a_statement() {
    let bench = Bench::new("callers");
    let token = bench.assertion(|_| {});
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", EXCHANGE), ("subject_token", &token), ("subject_token_type", JWT)])
        .finish();
    for (stamps, expected) in [
        (&[("x-attach-user", "key:planner")][..], None),
        (&[("x-attach-user", "key:coder")], Some("invalid_request")),
        (&[("x-attach-user", "planner")], Some("unauthorized_client")),
        (&[("x-attach-user", "alice")], Some("unauthorized_client")),
        (&[("x-attach-user", "key:planner"), ("x-attach-agent", "sig:bot")], Some("unauthorized_client")),
    ] {
        let (_, answer) = bench.post(stamps, form.clone()).await;
        assert_eq!(answer["error"].as_str(), expected, "{stamps:?}");
        assert_eq!(answer["detail"], answer["error_description"]);
    }
    let twice = [("x-attach-user", "key:planner"), ("x-attach-agent", "a"), ("x-attach-agent", "b")];
    assert_eq!(bench.post(&twice, form.clone()).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(bench.post(&[], form).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_statement_that_is_not_the_filter_s_own_is_refused() {
    let bench = Bench::new("statements");
    let good = bench.assertion(|_| {});
    let parts: Vec<&str> = good.split('.').collect();
    let foreign = Bench::new("statements-foreign");
    let header =
        |header: Value| format!("{}.{}.{}", to_base64url(header.to_string().as_bytes()), parts[1], parts[2]);
    let swapped = format!(
        "{}.{}.{}",
        parts[0],
        to_base64url(bench.claims(|c| c["sub"] = "bob".into()).to_string().as_bytes()),
        parts[2]
    );
    for (name, token) in [
        ("nothing", "x".to_owned()),
        ("another gateway's key", foreign.assertion(|_| {})),
        (
            "a gateway token",
            bench.state.gateway.sign("attach-assertion+jwt", &bench.claims(|_| {}), bench.now).unwrap(),
        ),
        ("another type", bench.signed("at+jwt", &bench.claims(|_| {}))),
        ("no type", header(json!({ "alg": "EdDSA", "kid": "x" }))),
        ("no signature", header(json!({ "alg": "none", "typ": "attach-assertion+jwt" }))),
        ("another algorithm", header(json!({ "alg": "HS256", "typ": "attach-assertion+jwt", "kid": "x" }))),
        ("another user", swapped),
        ("a cut signature", good.get(..good.len() - 4).unwrap().to_owned()),
        ("another issuer", bench.assertion(|claims| claims["iss"] = "https://evil.example".into())),
        ("the engine's", bench.assertion(|claims| claims["aud"] = "engine".into())),
        ("control's", bench.assertion(|claims| claims["aud"] = "control".into())),
        ("several audiences", bench.assertion(|claims| claims["aud"] = json!(["planner"]))),
        ("expired", bench.assertion(|claims| claims["exp"] = (bench.now - 60).into())),
        ("of the future", bench.assertion(|claims| claims["iat"] = (bench.now + 90).into())),
        ("no user", bench.assertion(|claims| claims["sub"] = "".into())),
        ("a line end", bench.assertion(|claims| claims["sub"] = "a\r\nb".into())),
        (
            "no expiry of the user's",
            bench.assertion(|claims| {
                claims.as_object_mut().unwrap().remove("user_exp");
            }),
        ),
        ("a blank expiry", bench.assertion(|claims| claims["exp"] = Value::Null)),
    ] {
        let (status, refused) = bench.ask(&token, &[]).await;
        assert_eq!(
            (status, refused["error"].as_str()),
            (StatusCode::BAD_REQUEST, Some("invalid_request")),
            "{name}"
        );
        assert!(!refused.to_string().contains(&token) || token.len() < 3, "{name}");
    }
    let late = bench.assertion(|claims| claims["exp"] = (bench.now - 30).into());
    assert_eq!(bench.ask(&late, &[]).await.0, StatusCode::OK, "clocks may differ by a minute");
}

#[tokio::test]
async fn a_request_of_another_form_is_refused_with_the_rfc_s_word() {
    let bench = Bench::new("forms");
    let token = bench.assertion(|_| {});
    for (changes, expected) in [
        (&[("grant_type", "client_credentials")][..], Some("unsupported_grant_type")),
        (&[("grant_type", "")], Some("invalid_request")),
        (&[("grant_type", EXCHANGE), ("grant_type", EXCHANGE)], Some("invalid_request")),
        (&[("subject_token", "")], Some("invalid_request")),
        (&[("subject_token_type", "urn:ietf:params:oauth:token-type:access_token")], Some("invalid_request")),
        (&[("actor_token", "x")], Some("invalid_request")),
        (&[("requested_token_type", JWT)], Some("invalid_request")),
        (&[("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")], None),
        (&[("scope", "chat:run"), ("scope", "chat:run")], Some("invalid_request")),
        (&[("audience", "https://other.example")], Some("invalid_target")),
        (&[("resource", URL), ("resource", "https://other.example")], Some("invalid_target")),
        (&[("audience", URL), ("resource", "https://gateway.example/")], None),
        (&[("extra", "is passed over")], None),
    ] {
        let (_, answer) = bench.ask(&token, changes).await;
        assert_eq!(answer["error"].as_str(), expected, "{changes:?}");
    }
    let (status, answer) = bench.ask(&token, &[("extra", &"x".repeat(17 * 1024))]).await;
    assert_eq!((status, answer["error"].as_str()), (StatusCode::PAYLOAD_TOO_LARGE, Some("invalid_request")));
}

#[tokio::test]
async fn keys_that_were_rotated_work_without_a_restart() {
    let bench = Bench::new("rotate");
    let path = bench.folder.path().join(Purpose::Assertions.file_name());
    let old = bench.assertion(|_| {});
    rotate(&path, Purpose::Assertions, bench.now).unwrap();
    let next = crate::signing::start_key(&path, bench.now).unwrap();
    let new = next.sign("attach-assertion+jwt", &bench.claims(|_| {})).unwrap();
    for token in [&old, &new] {
        assert_eq!(bench.ask(token, &[]).await.0, StatusCode::OK);
    }
}
