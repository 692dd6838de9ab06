//! Tokens that are swapped at another provider's token endpoint before they count.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

use attach_tests::gateway::Builder;
use attach_tests::mint::Mint;
use attach_tests::request::Request;
use attach_tests::upstream::{Exchange, Upstream};
use attach_tests::wait;
use serde_json::json;

use crate::AUDIENCE;
use crate::site::Site;

const PROJECT: &str = "P2abcDEF";
const SECRET: &str = "descope-client-secret";

/// Descope as it is on the wire: a set of keys and a token endpoint.
struct Descope {
    server: Upstream,
    mint: Mint,
    /// Answers so; `None`: with a token for the subject of the one that came.
    answer: Arc<Mutex<Option<(&'static str, String)>>>,
}

impl Descope {
    fn start() -> Self {
        let server = Upstream::start();
        let issuer = format!("{}/v1/apps/{PROJECT}", server.url());
        let descope = Self { mint: Mint::new(&issuer, AUDIENCE), answer: Arc::default(), server };
        let keys = json!({"keys": descope.mint.jwks()}).to_string();
        descope
            .server
            .on(&format!("/{PROJECT}/.well-known/jwks.json"), move |exchange| reply(exchange, &keys));
        let (mint, answer) = (descope.mint.clone(), Arc::clone(&descope.answer));
        descope.server.on("/oauth2/v1/apps/token", move |exchange| {
            let form = form(&exchange.body()?);
            let scripted = answer.lock().expect("not poisoned").clone();
            if let Some((status, body)) = scripted {
                return exchange.reply(status, &[("content-type", "application/json")], body.as_bytes());
            }
            let token = form.get("assertion").or_else(|| form.get("subject_token")).expect("a token to swap");
            let token = mint.token(&format!("descope-{}", subject(token)));
            let body = json!({
                "access_token": token, "token_type": "Bearer", "expires_in": 3600,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            });
            reply(exchange, &body.to_string())
        });
        descope
    }

    /// A gateway that has other providers' tokens swapped here.
    fn site(&self, name: &str, mode: &str) -> Site {
        let builder = Builder::new(name)
            .set("AUTH_MODE", mode)
            .set("AUTH_BACKEND", "descope")
            .set("DESCOPE_BASE_URL", self.server.url())
            .set("DESCOPE_PROJECT_ID", PROJECT)
            .set("DESCOPE_CLIENT_ID", "descope-client")
            .set("DESCOPE_CLIENT_SECRET", SECRET)
            .set("ENABLE_DESCOPE_EXCHANGE", "true")
            .set("OIDC_AUD", AUDIENCE);
        Site::start_with(builder, self.mint.clone(), &[], |builder| builder.set("ENVOY_CONCURRENCY", 1))
    }

    fn asked(&self) -> usize {
        self.server.seen("/oauth2/v1/apps/token").len()
    }

    fn answer(&self, answer: Option<(&'static str, String)>) {
        *self.answer.lock().expect("not poisoned") = answer;
    }
}

fn reply(exchange: &mut Exchange, body: &str) -> std::io::Result<()> {
    exchange.reply("200 OK", &[("content-type", "application/json")], body.as_bytes())
}

/// A form's members; `+` and `%XX` decoded.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(body).expect("a form is text");
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (decoded(n), decoded(v))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                u8::from_str_radix(std::str::from_utf8(&digits).expect("digits"), 16).expect("hexadecimal")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("text")
}

fn subject(token: &str) -> String {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).expect("a payload");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&payload).expect("claims");
    claims["sub"].as_str().expect("a subject").to_owned()
}

#[test]
fn descope_swaps_another_providers_token_once() {
    let descope = Descope::start();
    let foreign = Mint::new("https://accounts.foreign.example", "foreign-app");
    let site = descope.site("descope", "enforce");

    let token = foreign.token("bob");
    for path in ["/descope-first", "/descope-second"] {
        let response = site.send(&Request::post(path, "a body").bearer(&token));
        assert_eq!(response.status, 200, "{}", response.text());
        let seen = site.upstream.only(path);
        assert_eq!(seen.headers.one("x-attach-user"), Some("descope-bob"));
        assert_eq!(seen.body, b"a body");
    }
    assert_eq!(descope.asked(), 1, "the second request finds what the first one brought");
    let asked = descope.server.only("/oauth2/v1/apps/token");
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.headers.one("content-type"), Some("application/x-www-form-urlencoded"));
    let expected = [
        ("assertion", &*token),
        ("client_id", "descope-client"),
        ("client_secret", SECRET),
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("issuer", "https://accounts.foreign.example"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    assert_eq!(form(&asked.body), expected);

    // Descope's own tokens count as they are.
    site.send(&Request::get("/descope-own").bearer(&descope.mint.token("carol"))).expect(200);
    assert_eq!(site.user("/descope-own").as_deref(), Some("carol"));
    assert_eq!(descope.asked(), 1);

    // What it refuses, and what it gives that is no token of its own, lets nobody in.
    let refusal = json!({"errorCode": "E061301", "errorDescription": "Bad token"}).to_string();
    descope.answer(Some(("400 Bad Request", refusal)));
    site.send(&Request::get("/descope-refused").bearer(&foreign.token("mallory"))).expect(401);
    assert!(site.reason("/descope-refused").starts_with("exchange_refused"));
    let stolen = json!({"access_token": foreign.token("admin"), "token_type": "Bearer"}).to_string();
    descope.answer(Some(("200 OK", stolen)));
    site.send(&Request::get("/descope-echoed").bearer(&foreign.token("echo"))).expect(401);
    let other = descope.mint.token_of(&json!({"sub": "eve", "aud": "another-app"}));
    descope.answer(Some(("200 OK", json!({"access_token": other, "token_type": "Bearer"}).to_string())));
    site.send(&Request::get("/descope-audience").bearer(&foreign.token("eve"))).expect(401);
    descope.answer(Some(("500 Internal Server Error", String::new())));
    site.send(&Request::get("/descope-down").bearer(&foreign.token("late"))).expect(503);
    for mark in ["/descope-refused", "/descope-echoed", "/descope-audience", "/descope-down"] {
        site.nothing_arrived(mark);
    }
    assert!(!site.gateway.logs().contains(SECRET));
    let rendered = site.gateway.run(&["config", "render"]).expect_success().stdout;
    assert!(!rendered.contains(SECRET));
}

#[test]
fn any_provider_that_speaks_rfc_8693_swaps_tokens_too() {
    let sts = Descope::start();
    let foreign = Mint::new("https://workloads.example", "cluster");
    let document = format!(
        "issuers:\n\
         \x20 - issuer: {issuer}\n\
         \x20   audiences: [{AUDIENCE}]\n\
         \x20   user_prefix: \"sts|\"\n\
         \x20   jwks_url: {base}/{PROJECT}/.well-known/jwks.json\n\
         exchanges:\n\
         \x20 - from: https://workloads.example\n\
         \x20   to: {issuer}\n\
         \x20   grant: token-exchange\n\
         \x20   token_url: {base}/oauth2/v1/apps/token\n\
         \x20   client_id: gateway\n\
         \x20   client_secret_env: STS_SECRET\n\
         \x20   audience: {AUDIENCE}\n\
         \x20   scope: \"chat:run models:read\"\n",
        issuer = sts.mint.issuer,
        base = sts.server.url(),
    );
    let site = Site::start("token-exchange", &[], |builder| {
        builder
            .document(&document)
            .environment("STS_SECRET", "s3cret&more=yes+%2B")
            .set("ENVOY_CONCURRENCY", 1)
    });
    let token = foreign.token("job-7");
    for path in ["/sts-first", "/sts-second"] {
        site.send(&Request::get(path).bearer(&token)).expect(200);
        assert_eq!(site.user(path).as_deref(), Some("sts|descope-job-7"));
    }
    let asked = sts.server.only("/oauth2/v1/apps/token");
    let form = form(&asked.body);
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &*token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("client_id", "gateway"),
        ("client_secret", "s3cret&more=yes+%2B"),
        ("audience", AUDIENCE),
        ("scope", "chat:run models:read"),
    ];
    for (name, value) in expected {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name} in {form:?}");
    }
    // Nobody else's tokens go there.
    let other = Mint::new("https://elsewhere.example", "x").token("x");
    site.send(&Request::get("/sts-other").bearer(&other)).expect(401);
    site.send(&Request::get("/sts-alice").bearer(&site.mint.token("alice"))).expect(200);
    assert_eq!(sts.asked(), 1);
}

#[test]
fn when_too_many_are_being_asked_about_a_request_still_goes_upstream_once() {
    // A token endpoint that answers when it is told to.
    let descope = Descope::start();
    let released = Arc::new((Mutex::new(false), Condvar::new()));
    let gate = Arc::clone(&released);
    descope.server.on("/oauth2/v1/apps/token", move |exchange| {
        exchange.body()?;
        let (open, changed) = &*gate;
        let mut open = open.lock().expect("not poisoned");
        while !*open {
            open = changed.wait(open).expect("not poisoned");
        }
        exchange.reply("400 Bad Request", &[], b"{}")
    });
    let foreign = Mint::new("https://accounts.foreign.example", "foreign-app");
    let site = descope.site("exchange-shadow", "shadow");
    let paths: Vec<String> = (100..148).map(|n| format!("/many-{n}")).collect();
    std::thread::scope(|scope| {
        let sends: Vec<_> = paths
            .iter()
            .map(|path| {
                let request = Request::post(path, "a body").bearer(&foreign.token(path));
                scope.spawn(|| site.send(&{ request }).status)
            })
            .collect();
        // As many as may be asked about are, and the others have gone on without.
        wait::until("the endpoint to be full", || (descope.asked() == 32).then_some(()));
        wait::until("the others to be through", || {
            (paths.iter().filter(|path| !site.upstream.seen(path).is_empty()).count() == 16).then_some(())
        });
        *released.0.lock().expect("not poisoned") = true;
        released.1.notify_all();
        for send in sends {
            assert_eq!(send.join().expect("an answer"), 200);
        }
    });
    for path in &paths {
        assert_eq!(site.upstream.only(path).body, b"a body", "{path}");
    }
}
