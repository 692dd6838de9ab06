//! Issuers and services: every algorithm by npm's `jose`, scopes and claims by npm's `oidc-provider`.

use std::fs;
use std::sync::OnceLock;

use attach_tests::gateway::Builder;
use attach_tests::issuer::{Answer, Issuer};
use attach_tests::mint::{Mint, now};
use attach_tests::peers::{OidcProvider, node};
use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::site::{Site, text};
use crate::{AUDIENCE, BILLING_SECRET};

/// The provider wants its resources to be URIs (RFC 8707 section 2).
const RESOURCE: &str = "urn:attach:test";
const PARTNERS: &str = "urn:attach:partners";

#[test]
fn tokens_of_every_algorithm_that_jose_signs_get_in() {
    let issuer = Issuer::start(Vec::new());
    let made = node(
        "jose.mjs",
        &json!({
            "algorithms": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
            "claims": {"iss": issuer.url(), "aud": AUDIENCE, "sub": "jose", "exp": now() + 600},
        }),
    );
    issuer.answer(Answer::Keys(made["keys"].as_array().expect("keys").clone()));
    let builder = Builder::new("jose").set("OIDC_ISSUER", issuer.url()).set("OIDC_AUD", AUDIENCE);
    let site = Site::start_with(builder, Mint::new(&issuer.url(), AUDIENCE), &[], |builder| builder);
    let tokens = made["tokens"].as_object().expect("tokens");
    assert_eq!(tokens.len(), 9);
    for (algorithm, token) in tokens {
        let mark = format!("/jose-{algorithm}");
        let response = site.send(&Request::get(&mark).bearer(text(token)));
        assert_eq!(response.status, 200, "{algorithm}: {}", response.text());
        assert_eq!(site.user(&mark).as_deref(), Some("jose"), "{algorithm}");
    }
}

/// Tokens of shared keys, by algorithm.
fn shared(kid: &str, secret: &str, claims: &Value) -> Value {
    let asked =
        json!({"algorithms": ["HS256", "HS384", "HS512"], "claims": claims, "secret": secret, "kid": kid});
    node("jose.mjs", &asked)["tokens"].take()
}

#[test]
fn services_get_in_with_the_key_they_share_and_it_is_written_nowhere() {
    let site = Site::start("hmac", &[], |builder| {
        builder.set("HMAC_KEYS", format!("billing={BILLING_SECRET},reports={}", "r".repeat(64)))
    });
    let claims = json!({"aud": AUDIENCE, "exp": now() + 600, "scope": "everything"});
    for (algorithm, token) in shared("billing", BILLING_SECRET, &claims).as_object().expect("tokens") {
        let mark = format!("/hmac-{algorithm}");
        let response = site.send(&Request::get(&mark).bearer(text(token)));
        assert_eq!(response.status, 200, "{algorithm}: {}", response.text());
        assert_eq!(site.user(&mark).as_deref(), Some("hmac:billing"), "{algorithm}");
    }
    let with_issuer = json!({"iss": "billing", "aud": AUDIENCE, "exp": now() + 600});
    let token = shared("billing", BILLING_SECRET, &with_issuer);
    site.send(&Request::get("/hmac-issuer").bearer(text(&token["HS256"]))).expect(200);

    let rows = [
        ("other-key", "reports", json!({}), "signature_invalid"),
        ("unknown-key", "nobody", json!({}), "hmac_key_unknown"),
        ("other-issuer", "billing", json!({"iss": "reports"}), "hmac_issuer"),
        ("oidc-issuer", "billing", json!({"iss": site.mint.issuer, "sub": "alice"}), "hmac_issuer"),
        ("other-audience", "billing", json!({"aud": "other"}), "audience_wrong"),
        ("expired", "billing", json!({"exp": now() - 3600}), "expired"),
    ];
    for (name, kid, over, reason) in rows {
        let tokens = shared(kid, BILLING_SECRET, &attach_tests::mint::merged(&claims, &over));
        let mark = format!("/hmac-{name}");
        site.send(&Request::get(&mark).bearer(text(&tokens["HS256"]))).expect(401);
        assert!(site.reason(&mark).starts_with(reason), "{name}: {}", site.reason(&mark));
        site.nothing_arrived(&mark);
    }
    // By reference: not in what Envoy is started with, not in what is shown, not in a log.
    let rendered = site.gateway.run(&["config", "render"]).expect_success().stdout;
    assert!(!rendered.contains(BILLING_SECRET));
    assert!(!site.gateway.logs().contains(BILLING_SECRET));
    let mut folders = vec![site.gateway.state()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                let content = fs::read(entry.path()).unwrap_or_default();
                let found =
                    content.windows(BILLING_SECRET.len()).any(|part| part == BILLING_SECRET.as_bytes());
                assert!(!found, "the key stands in {}", entry.path().display());
            }
        }
    }
}

#[test]
fn keys_of_services_may_stand_in_a_file() {
    let site = Site::start("hmac-file", &[], |builder| {
        builder
            .file("hmac.keys", &format!("# who bills\nbilling={BILLING_SECRET}\n\n"))
            .set("HMAC_KEYS", "@hmac.keys")
    });
    let tokens = shared("billing", BILLING_SECRET, &json!({"aud": AUDIENCE, "exp": now() + 600}));
    site.send(&Request::get("/hmac-from-file").bearer(text(&tokens["HS512"]))).expect(200);
    assert_eq!(site.user("/hmac-from-file").as_deref(), Some("hmac:billing"));
}

#[test]
fn what_is_off_is_no_credential_and_says_so() {
    let site = Site::start("methods-off", &[], |builder| builder.set("AUTH_METHODS", "oidc"));
    let did = node("did.mjs", &json!([{"kind": "ed25519", "claims": {"aud": AUDIENCE, "exp": now() + 600}}]));
    let hmac = shared("billing", BILLING_SECRET, &json!({"aud": AUDIENCE, "exp": now() + 600}));
    for (name, token) in [("did", &did[0]["token"]), ("hmac", &hmac["HS256"])] {
        let mark = format!("/off-{name}");
        site.send(&Request::get(&mark).bearer(text(token))).expect(401);
        site.nothing_arrived(&mark);
    }
    assert!(site.reason("/off-did").contains("DID_ALLOW"), "{}", site.reason("/off-did"));
    // Headers of a method that is off are headers like any other.
    let alice = site.mint.token("alice");
    let signed = Request::get("/off-signature")
        .bearer(&alice)
        .header("signature-input", "sig=(\"@method\");created=1;keyid=\"x\"")
        .header("signature", "sig=:AAAA:");
    site.send(&signed).expect(200);
    let seen = site.upstream.only("/off-signature");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert!(!seen.headers.has("x-attach-agent"));
    site.send(&Request::get("/off-alone").header("signature", "sig=:AAAA:")).expect(401);
}

struct Providers {
    site: Site,
    first: OidcProvider,
    second: OidcProvider,
}

/// Two certified providers, scopes that are required, and models that are not everybody's.
fn providers() -> &'static Providers {
    static FIXTURE: OnceLock<Providers> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let scopes = "chat:run models:read admin";
        let first = OidcProvider::with(RESOURCE, scopes, &json!({}));
        let second = OidcProvider::with(PARTNERS, scopes, &json!({"tenant": "gold", "groups": ["a", "b"]}));
        let document = format!(
            "issuers:\n\
             \x20 - issuer: {}\n\
             \x20   audiences: [\"{PARTNERS}\"]\n\
             \x20   user_prefix: \"partner|\"\n\
             \x20   required_scopes: [\"models:read\"]\n\
             \x20   claim_headers:\n\
             \x20     - {{claim: tenant, header: x-attach-tenant}}\n\
             \x20     - {{claim: groups, header: x-attach-groups}}\n\
             routes:\n\
             \x20 - path: /administration/**\n\
             \x20   scopes: [admin]\n\
             models:\n\
             \x20 - {{user: agent, allow: [tiny]}}\n\
             \x20 - {{claim: {{header: x-attach-tenant, value: gold}}, allow: [\"llama3*\"]}}\n",
            second.url(),
        );
        let builder = Builder::new("scopes")
            .set("OIDC_ISSUER", first.url())
            .set("OIDC_AUD", RESOURCE)
            .set("REQUIRED_SCOPES", "chat:run")
            .document(&document);
        let mint = Mint::new(&first.url(), RESOURCE);
        let site = Site::start_with(builder, mint, &[], |builder| builder);
        Providers { site, first, second }
    })
}

#[test]
fn a_missing_scope_is_a_403_that_names_it() {
    let Providers { site, first, second } = providers();
    let rows = [
        ("none", first.token(), "/scope-none", Some("chat:run")),
        ("another", first.token_for("models:read"), "/scope-another", Some("chat:run")),
        ("enough", first.token_for("chat:run"), "/scope-enough", None),
        ("more", first.token_for("models:read chat:run"), "/scope-more", None),
        ("route", first.token_for("chat:run"), "/administration/scope-route", Some("admin")),
        ("route-enough", first.token_for("chat:run admin"), "/administration/scope-ok", None),
        ("issuer", second.token_for("chat:run"), "/scope-of-issuer", Some("models:read")),
        ("issuer-enough", second.token_for("chat:run models:read"), "/scope-of-ok", None),
    ];
    for (name, token, path, missing) in rows {
        let response = site.send(&Request::get(path).bearer(&token));
        let Some(scope) = missing else {
            assert_eq!(response.status, 200, "{name}: {}", response.text());
            continue;
        };
        assert_eq!(response.status, 403, "{name}: {}", response.text());
        assert!(response.detail().contains(scope), "{name}: {}", response.detail());
        let challenge = response.headers.one("www-authenticate").expect("a challenge");
        for part in ["error=\"insufficient_scope\"", &format!("scope=\"{scope}\""), "resource_metadata=\""] {
            assert!(challenge.contains(part), "{name}: no {part} in {challenge}");
        }
        for limit in ["retry-after", "ratelimit", "ratelimit-policy"] {
            assert!(!response.headers.has(limit), "{name} has {limit}");
        }
        site.nothing_arrived(path);
    }
}

#[test]
fn scp_and_lists_of_scopes_count_as_scope_does() {
    let site = Site::start("scp", &[], |builder| builder.set("REQUIRED_SCOPES", "chat:run,models:read"));
    let rows = [
        (json!({"scope": "models:read chat:run"}), 200),
        (json!({"scp": "models:read chat:run"}), 200),
        (json!({"scp": ["chat:run", "models:read"]}), 200),
        (json!({"scp": ["chat:run models:read x"]}), 403),
        (json!({"scope": "chat:run:models:read"}), 403),
        (json!({"scope": "chat:run"}), 403),
    ];
    for (claims, status) in rows {
        let response = site.send(&Request::get("/scp").bearer(&site.mint.token_of(&claims)));
        // A list whose elements are no scopes may as well be a token out of form.
        let same = response.status == status || (status == 403 && response.status == 401);
        assert!(same, "{claims}: {} {}", response.status, response.text());
    }
}

#[test]
fn a_second_issuers_users_have_its_prefix_and_its_claims_travel_on() {
    let Providers { site, second, .. } = providers();
    let token = second.token_for("chat:run models:read");
    let request = Request::get("/claims-travel").bearer(&token).header("x-attach-tenant", "platinum");
    site.send(&request).expect(200);
    let seen = site.upstream.only("/claims-travel");
    assert_eq!(seen.headers.one("x-attach-user"), Some("partner|agent"));
    assert_eq!(seen.headers.one("x-attach-tenant"), Some("gold"));
    assert_eq!(seen.headers.one("x-attach-groups"), Some("a,b"));
}

#[test]
fn models_are_only_for_whom_they_are_allowed_to() {
    let Providers { site, first, second } = providers();
    let (agent, gold) = (first.token_for("chat:run"), second.token_for("chat:run models:read"));
    let chat = |model: &Value| json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
    let rows = [
        (&agent, json!("tiny"), 200),
        (&agent, json!("llama3.2"), 403),
        (&agent, json!("tiny:latest"), 403),
        (&agent, json!(null), 403),
        (&gold, json!("llama3.2"), 200),
        (&gold, json!("tiny"), 403),
    ];
    for (number, (token, model, status)) in rows.into_iter().enumerate() {
        let path = format!("/v1/chat/completions?row={number}-");
        let response = site.send(&Request::post_json(&path, &chat(&model)).bearer(token));
        assert_eq!(response.status, status, "{number} {model}: {}", response.text());
        if status == 200 {
            let seen = site.upstream.only(&format!("row={number}-"));
            assert_eq!(serde_json::from_slice::<Value>(&seen.body).expect("JSON")["model"], model);
        } else {
            site.nothing_arrived(&format!("row={number}-"));
        }
    }
    // Two names in one body: engines would not agree which one is meant.
    let twice = r#"{"model":"tiny","model":"llama3.2"}"#;
    site.send(&Request::post("/v1/chat/completions?row=twice", twice).bearer(&agent)).expect(403);
    site.nothing_arrived("row=twice");
}
