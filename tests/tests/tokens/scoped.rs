//! Limits by claim, project and model, limits that several share, and those of a day.

use std::process::Command;

use attach_tests::fixture::Fixture;
use attach_tests::gateway::{finish, is_running};
use attach_tests::request::Request;
use attach_tests::wait;
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
    // Where engines would read different models, no limit is got around.
    for names in [r#""model":"small","MODEL":"big-one""#, r#""model":"small","model":"big-one""#] {
        let body = format!(r#"{{{names},"messages":[{{"role":"user","content":"hi"}}],"max_tokens":91}}"#);
        fixture.gateway.send(&Request::post(&target, body).bearer(&token)).expect(429);
    }
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
    assert_eq!(refused.json()["limit"], "daily", "{}", refused.text());
    assert!(refused.json()["retry_after"].as_u64().is_some_and(|seconds| seconds <= 86_400));

    fixture.gateway.run(&["down"]).expect_success();
    fixture.gateway.up().expect_success();
    settled(&fixture, "daily", "daily", 200);
    settled(&fixture, "daily", "monthly", 200);
    fixture.gateway.send(&call).expect(429);
    // Another has a day of his own.
    fixture.gateway.send(&hundred(CHAT, &fixture.world.first.token("other"), &json!({}))).expect(200);
}

/// Sixty-four calls at once against a day for ten, on four workers that all must ask control.
#[test]
fn of_a_day_no_eleventh_is_let_in_either() {
    let fixture = Fixture::start("tokens-day-parallel", |builder| {
        builder.set("ENVOY_CONCURRENCY", 4).document("limits:\n  - {name: daily, tokens: 1000, per: day}\n")
    });
    engine(&fixture, CHAT);
    let call = hundred(CHAT, &fixture.world.first.token("daily"), &json!({}));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..64).map(|_| scope.spawn(|| fixture.gateway.send(&call).status)).collect();
        calls.into_iter().map(|call| call.join().expect("a status")).collect()
    });
    let let_in = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert!((7..=10).contains(&let_in), "{let_in} were let in");
    assert_eq!(fixture.upstream.seen(CHAT).len(), let_in);
    settled(&fixture, "daily", "daily", 100 * let_in as u64);
    wait::until("the rest of the day to be had", || {
        let _ = fixture.gateway.send(&call);
        (fixture.upstream.seen(CHAT).len() == 10).then_some(())
    });
    for _ in 0..5 {
        fixture.gateway.send(&call).expect(429);
    }
    assert_eq!(fixture.upstream.seen(CHAT).len(), 10);
}

/// Who cannot be asked about his limits is refused, or let go where a route says so; and all is well again when
/// control is back.
#[test]
fn without_control_a_day_is_as_its_route_says() {
    let fixture = Fixture::start("tokens-day-alone", |builder| {
        builder.document(
            "limits:\n  - {name: daily, tokens: 1000, per: day}\n\
             routes:\n  - path: /easy/**\n    tokens: {failure_mode: allow}\n",
        )
    });
    engine(&fixture, "/");
    let send = |target: &str, user: &str| {
        fixture.gateway.send(&hundred(target, &fixture.world.first.token(user), &json!({})))
    };
    send(CHAT, "before").expect(200);
    let pid = fixture.gateway.pid("control").expect("control runs");
    finish(Command::new("kill").args(["-9", &pid.to_string()])).expect_success();
    wait::until("control to end", || (!is_running(pid)).then_some(()));
    let refused = send(CHAT, "alone").expect(503);
    assert!(refused.detail().contains("limits") && refused.headers.has("retry-after"), "{}", refused.text());
    send("/easy/v1/chat/completions", "alone").expect(200);
    fixture.gateway.up().expect_success();
    wait::until("control to be asked again", || (send(CHAT, "alone").status == 200).then_some(()));
}
