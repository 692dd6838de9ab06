//! Limits by claim, project and model, limits that several share, and those of a day.

use attach_tests::fixture::Fixture;
use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, CHAT, PROMPT, quota, settled};

const OUTPUT: u64 = 100 - PROMPT;

fn engine(fixture: &Fixture, target: &str) {
    fixture.upstream.on(target, |exchange| kit::reply(exchange, &kit::reported(PROMPT, OUTPUT)));
}

/// A call that costs a hundred.
fn hundred(target: &str, token: &str, more: &Value) -> Request {
    let mut body = kit::chat(kit::HI, &json!({"max_tokens": OUTPUT}));
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    Request::post_json(target, &body).bearer(token)
}

#[test]
fn a_claim_decides_whose_limit_it_is() {
    let fixture = kit::limited();
    let target = format!("{CHAT}?by-claim");
    engine(fixture, &target);
    let token =
        |user: &str, tenant: &str| fixture.world.first.token_of(&json!({"sub": user, "tenant": tenant}));
    let none = json!({});
    for user in ["claim-one", "claim-two"] {
        let trial = hundred(&target, &token(user, "trial"), &none);
        fixture.gateway.send(&trial).expect(200);
        fixture.gateway.send(&trial).expect(429);
    }
    for _ in 0..3 {
        fixture.gateway.send(&hundred(&target, &token("claim-one", "gold"), &none)).expect(200);
    }
    // Whoever writes the header himself has no claim.
    let written = hundred(&target, &token("claim-three", "gold"), &none).header("x-attach-tenant", "trial");
    for _ in 0..2 {
        fixture.gateway.send(&written).expect(200);
    }
}

#[test]
fn a_project_has_a_limit_of_its_own() {
    let fixture = kit::limited();
    let target = format!("{CHAT}?by-project");
    engine(fixture, &target);
    let token = fixture.world.first.token("project-user");
    let call = hundred(&target, &token, &json!({}));
    let lab = call.clone().header("X-Attach-Project", "lab");
    fixture.gateway.send(&lab).expect(200);
    fixture.gateway.send(&lab).expect(429);
    fixture.gateway.send(&call.clone().header("x-attach-project", "other")).expect(200);
    fixture.gateway.send(&call).expect(200);
    let arrived = fixture.upstream.seen(&target);
    assert!(
        arrived.iter().all(|seen| !seen.headers.has("x-attach-project")),
        "it is no header of the engine's"
    );
}

#[test]
fn a_model_has_a_limit_of_its_own() {
    let fixture = kit::limited();
    let target = format!("{CHAT}?by-model");
    engine(fixture, &target);
    let token = fixture.world.first.token("model-user");
    let with = |model: &str| hundred(&target, &token, &json!({"model": model}));
    fixture.gateway.send(&with("big-one")).expect(200);
    for model in ["big-one", "big-two", "big"] {
        fixture.gateway.send(&with(model)).expect(429);
    }
    for model in ["small", "not-big"] {
        fixture.gateway.send(&with(model)).expect(200);
    }
    // However a body is written, the model that an engine could read is the one that counts.
    let odd =
        r#"{"model":"small","MODEL":"big-one","messages":[{"role":"user","content":"hi"}],"max_tokens":91}"#;
    let odd = Request::post(&target, odd).bearer(&token);
    let status = fixture.gateway.send(&odd).status;
    println!("a body that names two models: {status}");
}

#[test]
fn a_shared_limit_is_everybodys_together() {
    let fixture = kit::limited();
    let target = format!("{CHAT}?shared");
    engine(fixture, &target);
    let call = |user: &str| hundred(&target, &fixture.world.first.token(user), &json!({}));
    fixture.gateway.send(&call("team-one")).expect(200);
    settled(fixture, "team-one", "team", 100);
    fixture.gateway.send(&call("team-two")).expect(429);
    let two = quota(fixture, &fixture.world.first.token("team-two"), "team");
    assert_eq!((&two["used"], &two["remaining"]), (&json!(100), &json!(0)), "{two:#}");
}

/// What was used of a day is control's to remember, whatever becomes of Envoy and of control.
#[test]
fn a_day_outlives_the_gateway() {
    let fixture = Fixture::start("tokens-day", |builder| {
        builder.document("limits:\n  - {name: daily, tokens: 250, per: day}\n  - {name: monthly, tokens: 1000, per: month}\n")
    });
    engine(&fixture, CHAT);
    let token = fixture.world.first.token("daily");
    let call = hundred(CHAT, &token, &json!({}));
    for _ in 0..2 {
        fixture.gateway.send(&call).expect(200);
    }
    settled(&fixture, "daily", "daily", 200);
    // A third would hold a hundred: there are fifty left.
    let refused = fixture.gateway.send(&call).expect(429);
    assert_eq!(refused.json()["limit"], "daily");
    assert!(refused.json()["retry_after"].as_u64().is_some_and(|seconds| seconds <= 86_400));

    fixture.gateway.run(&["down"]).expect_success();
    fixture.gateway.up().expect_success();
    settled(&fixture, "daily", "daily", 200);
    settled(&fixture, "daily", "monthly", 200);
    fixture.gateway.send(&call).expect(429);
    // Another has a day of his own.
    fixture.gateway.send(&hundred(CHAT, &fixture.world.first.token("other"), &json!({}))).expect(200);
}
