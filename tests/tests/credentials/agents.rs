//! Agents that act for a user: a planner is handed a statement, swaps it, and asks the engine on the user's
//! account without ever holding the user's token.

use std::sync::OnceLock;

use attach_tests::mint::{Mint, merged, now};
use attach_tests::peers::{node, python};
use attach_tests::request::{Request, Response};
use attach_tests::upstream::Upstream;
use serde_json::{Value, json};

use crate::assertions::claims_of;
use crate::rotagent::Orchestrator;
use crate::site::{KEYS, Site, text, with_headers};
use crate::{AUDIENCE, BILLING_SECRET};

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A gateway with two agents behind it: one signs its requests, the other shares a key.
pub struct Agents {
    pub site: Site,
    pub planner: Upstream,
    pub coder: Upstream,
    pub orchestrator: Orchestrator,
    stranger: Orchestrator,
}

impl Agents {
    pub fn start(name: &str) -> Self {
        let orchestrator = Orchestrator::new("planner");
        let stranger = Orchestrator::new("stranger");
        let (planner, coder) = (Upstream::start(), Upstream::start());
        let keys = [("planner.pem", &*orchestrator.public), ("stranger.pem", &*stranger.public)];
        let site = Site::start(name, &keys, |builder| {
            builder
                .set("AUTHORIZED_KEYS_DIR", KEYS)
                .set("HMAC_KEYS", format!("coder={BILLING_SECRET}"))
                // Only services sign messages here; a directory there must be.
                .set("HTTPSIG_DIRECTORIES", planner.url())
                .set("A2A_TARGETS", format!("planner={},coder={}", planner.url(), coder.url()))
                .set("A2A_AGENTS", "planner=key:planner,coder=hmac:coder")
                .document(
                    "oidc:\n  claim_headers:\n    - {claim: tenant, header: x-attach-tenant}\n\
                     routes:\n  - path: /scoped/**\n    scopes: [chat:run]\n  - path: /secret/**\n    scopes: [admin]\n\
                     grants:\n  - {user: \"key:planner\", scopes: [admin]}\n",
                )
        });
        Self { site, planner, coder, orchestrator, stranger }
    }

    /// What an agent finds in `X-Attach-Assertion` when a user with these claims asks it.
    pub fn handed(&self, agent: &str, mark: &str, claims: &Value) -> String {
        let token = self.site.mint.token_of(claims);
        self.site
            .send(&Request::post(format!("/agents/{agent}/{mark}"), "a task").bearer(&token))
            .expect(200);
        let upstream = if agent == "planner" { &self.planner } else { &self.coder };
        let seen = upstream.only(mark);
        assert!(!seen.headers.has("authorization"), "an agent never holds the user's token: {seen:#?}");
        seen.headers.one("x-attach-assertion").expect("an assertion").to_owned()
    }

    /// What the planner gets for it, authenticated by rotagent.
    pub fn swap(&self, form: &[(&str, &str)]) -> Response {
        self.swap_as(&self.orchestrator, form)
    }

    fn swap_as(&self, agent: &Orchestrator, form: &[(&str, &str)]) -> Response {
        let body = encoded(form);
        let token = agent.token(&body, &json!({}));
        self.site.send(&exchange(&body).bearer(&token))
    }

    /// A gateway token for a user with these claims.
    pub fn token(&self, mark: &str, claims: &Value) -> Value {
        let assertion = self.handed("planner", mark, claims);
        self.swap(&usual(&assertion)).expect(200).json()
    }
}

fn exchange(body: &str) -> Request {
    Request::post("/auth/token", body).header("content-type", "application/x-www-form-urlencoded")
}

pub fn usual(assertion: &str) -> [(&str, &str); 3] {
    [("grant_type", GRANT), ("subject_token", assertion), ("subject_token_type", JWT)]
}

fn encoded(form: &[(&str, &str)]) -> String {
    let escape =
        |text: &str| text.replace('%', "%25").replace(' ', "+").replace(':', "%3A").replace('/', "%2F");
    form.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

fn agents() -> &'static Agents {
    static FIXTURE: OnceLock<Agents> = OnceLock::new();
    FIXTURE.get_or_init(|| Agents::start("agents"))
}

#[test]
fn a_planner_asks_the_engine_and_the_coder_on_the_users_account() {
    let agents = agents();
    let site = &agents.site;
    let granted = agents.token("task-whole", &json!({"scope": "chat:run models:read", "tenant": "gold"}));
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(granted["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(granted["scope"], "chat:run models:read");
    let token = text(&granted["access_token"]);
    let claims = claims_of(token);
    assert_eq!((&claims["sub"], &claims["act"]["sub"]), (&json!("alice"), &json!("key:planner")));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(site.gateway.url()), &json!(site.gateway.url())));

    site.send(&Request::post("/scoped/by-planner", "prompt").bearer(token)).expect(200);
    let seen = site.upstream.only("/scoped/by-planner");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert_eq!(seen.headers.one("x-attach-agent"), Some("key:planner"));
    assert_eq!(seen.headers.one("x-attach-tenant"), Some("gold"));
    assert!(!seen.headers.has("authorization"));
    let said = claims_of(seen.headers.one("x-attach-assertion").expect("an assertion"));
    assert_eq!(
        (&said["aud"], &said["sub"], &said["act"]["sub"]),
        (&json!("engine"), &json!("alice"), &json!("key:planner"))
    );

    // The next agent is handed a statement of its own, and may swap it in turn with a key that it shares.
    site.send(&Request::post("/agents/coder/by-planner", "code").bearer(token)).expect(200);
    let seen = agents.coder.only("/by-planner");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    let assertion = seen.headers.one("x-attach-assertion").expect("an assertion");
    let asked = json!({
        "algorithms": ["HS256"], "kid": "coder", "secret": BILLING_SECRET,
        "claims": {"aud": AUDIENCE, "exp": now() + 60},
    });
    let credential = node("jose.mjs", &asked)["tokens"]["HS256"].take();
    let swapped =
        site.send(&exchange(&encoded(&usual(assertion))).bearer(text(&credential))).expect(200).json();
    site.send(&Request::post("/by-coder", "prompt").bearer(text(&swapped["access_token"]))).expect(200);
    let seen = site.upstream.only("/by-coder");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert_eq!(seen.headers.one("x-attach-agent"), Some("hmac:coder"));
}

#[test]
fn an_assertion_is_no_bearer_token() {
    let agents = agents();
    let assertion = agents.handed("planner", "task-bearer", &json!({}));
    for path in ["/assertion-as-bearer", "/auth/token", "/agents/coder/assertion-as-bearer"] {
        agents.site.send(&Request::post(path, "x").bearer(&assertion)).expect(401);
    }
    agents.site.nothing_arrived("/assertion-as-bearer");
    assert!(agents.coder.seen("assertion-as-bearer").is_empty());
}

#[test]
fn a_statement_is_swapped_by_the_one_it_is_for_alone() {
    let agents = agents();
    let mine = agents.handed("planner", "task-mine", &json!({}));
    let coders = agents.handed("coder", "task-coders", &json!({}));
    agents
        .site
        .send(&Request::post("/engines-own", "x").bearer(&agents.site.mint.token("alice")))
        .expect(200);
    let engines = agents.site.upstream.only("/engines-own");
    let engines = engines.headers.one("x-attach-assertion").expect("an assertion");

    agents.swap_as(&agents.stranger, &usual(&mine)).expect(400);
    for assertion in [&*coders, engines] {
        agents.swap(&usual(assertion)).expect(400);
    }
    // Nor does a user swap it, nor nobody at all.
    let body = encoded(&usual(&mine));
    let alice = agents.site.mint.token("alice");
    agents.site.send(&exchange(&body).bearer(&alice)).expect(400);
    agents.site.send(&exchange(&body)).expect(401);
    // Nor one who acts for a user already: a token does not breed tokens.
    let granted = agents.swap(&usual(&mine)).expect(200).json();
    agents.site.send(&exchange(&body).bearer(text(&granted["access_token"]))).expect(400);
}

#[test]
fn what_is_no_statement_of_this_gateway_is_not_swapped() {
    let agents = agents();
    let good = agents.handed("planner", "task-forged", &json!({}));
    let claims = claims_of(&good);
    let own = attach_tests::mint::Key::new("EdDSA", "x");
    let header = json!({"typ": "attach-assertion+jwt"});
    let rows = [
        ("users-token", agents.site.mint.token("alice")),
        ("other-key", own.token_with(&header, &claims)),
        ("changed", {
            let mut parts: Vec<&str> = good.split('.').collect();
            let payload = attach_tests::mint::encode(merged(&claims, &json!({"sub": "admin"})).to_string());
            parts[1] = &payload;
            parts.join(".")
        }),
        ("nothing", "garbage".to_owned()),
    ];
    for (name, token) in rows {
        let response = agents.swap(&usual(&token));
        assert_eq!(response.status, 400, "{name}: {}", response.text());
        assert!(response.json()["error"].is_string(), "{name}");
    }
}

#[test]
fn scopes_never_widen() {
    let agents = agents();
    let site = &agents.site;
    let assertion = agents.handed("planner", "task-scopes", &json!({"scope": "chat:run models:read"}));
    let mut form = usual(&assertion).to_vec();
    form.push(("scope", "chat:run admin"));
    assert_eq!(agents.swap(&form).expect(400).json()["error"], "invalid_scope");
    form[3].1 = "models:read";
    let narrow = agents.swap(&form).expect(200).json();
    assert_eq!(narrow["scope"], "models:read");
    let narrow = text(&narrow["access_token"]);
    site.send(&Request::get("/scoped/narrow").bearer(narrow)).expect(403);
    site.send(&Request::get("/anything-narrow").bearer(narrow)).expect(200);
    // Not by being handed on either: what the coder is told is the narrow one.
    site.send(&Request::post("/agents/coder/narrow", "x").bearer(narrow)).expect(200);
    let seen = agents.coder.only("/narrow");
    assert_eq!(claims_of(seen.headers.one("x-attach-assertion").expect("one"))["scope"], "models:read");
    // What the operator grants to the planner itself is not the user's.
    let whole = agents.swap(&usual(&assertion)).expect(200).json();
    site.send(&Request::get("/secret/by-planner").bearer(text(&whole["access_token"]))).expect(403);
    site.send(&Request::post("/secret/itself", "{}").bearer(&agents.orchestrator.token("{}", &json!({}))))
        .expect(200);
}

#[test]
fn a_gateway_token_ends_with_the_credential_that_the_user_came_with() {
    let agents = agents();
    let lasting = |subject: &str, seconds: u64| json!({"sub": subject, "exp": now() + seconds});
    let seconds = |granted: &Value| granted["expires_in"].as_u64().expect("a number");
    let long = agents.token("task-long", &lasting("dave", 7200));
    assert!((800..=900).contains(&seconds(&long)), "{long}");
    // Whatever longer one the same user had a moment ago, on whichever worker.
    for number in 0..8 {
        agents.handed("planner", &format!("task-long-before-{number}-"), &lasting("carol", 7200));
    }
    let short = agents.token("task-then-short", &lasting("carol", 150));
    assert!((1..=150).contains(&seconds(&short)), "{short}");
}

#[test]
fn a_gateway_token_is_for_one_gateway_alone() {
    let agents = agents();
    let granted = agents.token("task-elsewhere", &json!({}));
    let token = text(&granted["access_token"]);
    let other = Site::start("agents-other", &[], |builder| builder);
    other.send(&Request::get("/from-elsewhere").bearer(token)).expect(401);
    other.nothing_arrived("/from-elsewhere");
    // Another audience, whoever signs it.
    let claims = merged(&claims_of(token), &json!({"aud": "https://other.example"}));
    let forged = attach_tests::mint::Key::new("EdDSA", "x").token(&claims);
    agents.site.send(&Request::get("/forged-gateway-token").bearer(&forged)).expect(401);
    agents.site.nothing_arrived("/forged-gateway-token");
    // And none is asked for another.
    let assertion = agents.handed("planner", "task-audience", &json!({}));
    let mut form = usual(&assertion).to_vec();
    form.push(("audience", "https://other.example"));
    assert_eq!(agents.swap(&form).expect(400).json()["error"], "invalid_target");
}

#[test]
fn two_credentials_that_name_different_agents_are_refused() {
    let agents = agents();
    let site = &agents.site;
    let granted = agents.token("task-two-agents", &json!({}));
    let token = text(&granted["access_token"]);
    // The token says that the planner acts; the signature, that the coder does.
    let sign = |path: &str| {
        let request = json!({
            "algorithm": "hmac-sha256", "key": BILLING_SECRET, "keyid": "coder", "method": "GET",
            "url": format!("{}{path}", site.gateway.url()), "components": ["@method", "@authority", "@path"],
        });
        let headers = python("message_signatures.py", &json!({"op": "sign", "requests": [request]}));
        with_headers(Request::get(path), &headers[0])
    };
    site.send(&sign("/two-agents").bearer(token)).expect(401);
    assert!(site.reason("/two-agents").starts_with("agent_differs"), "{}", site.reason("/two-agents"));
    site.nothing_arrived("/two-agents");
    // Beside the user's own token there is no such contradiction.
    site.send(&sign("/one-agent").bearer(&site.mint.token("alice"))).expect(200);
    let seen = site.upstream.only("/one-agent");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert_eq!(seen.headers.one("x-attach-agent"), Some("hmac:coder"));
}

#[test]
fn an_issuer_cannot_make_a_gateway_token() {
    let agents = agents();
    let url = agents.site.gateway.url();
    let granted = agents.token("task-issuer", &json!({}));
    let claims = claims_of(text(&granted["access_token"]));
    // The same claims signed by the OIDC issuer's keys, as its own and as the gateway's.
    for (name, over) in [("gateways", json!({})), ("issuers", json!({"iss": agents.site.mint.issuer}))] {
        for key in &agents.site.mint.keys {
            let token = key.token(&merged(&claims, &over));
            let path = format!("/made-by-issuer-{name}-{}", key.id);
            let response = agents.site.send(&Request::get(&path).bearer(&token));
            assert_eq!(response.status, 401, "{name} {}: {}", key.id, response.text());
        }
    }
    let elsewhere = Mint::new(&url, &url);
    agents.site.send(&Request::get("/made-elsewhere").bearer(&elsewhere.token("alice"))).expect(401);
}
