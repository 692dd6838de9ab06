//! The table of requests against `attach-core`, without Envoy.

use attach_tests::cases::{self, Case, Verdict, World};
use attach_tests::mint;
use attach_tests::native::Native;
use attach_tests::sent::Sent;
use serde_json::json;

fn world() -> World {
    World::new(
        "http://127.0.0.1:1/first",
        "http://127.0.0.1:1/second",
        ["http://127.0.0.1:1", "http://127.0.0.1:2"],
    )
}

fn judge(native: &mut Native, case: &Case) -> Verdict {
    for _ in 0..case.earlier {
        let verdict = native.judge(&case.sent);
        assert!(matches!(verdict, Verdict::User { .. }), "{}, before: {verdict:?}", case.name);
    }
    native.judge(&case.sent)
}

#[test]
fn every_request_of_the_table_is_judged_as_it_says() {
    let world = world();
    let now = mint::now();
    let mut native = Native::new(&world, now);
    let cases = cases::all(&world, now);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let verdict = judge(&mut native, case);
            (!case.allows(&verdict)).then(|| format!("{}: {verdict:?}, not {:?}", case.name, case.expect))
        })
        .collect();
    let refused = cases.iter().filter(|case| case.is_refused()).count();
    println!("{} requests, {refused} of them to be refused", cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(refused >= 600 && cases.len() - refused >= 100, "{refused} of {}", cases.len());
}

#[test]
fn no_two_rows_of_the_table_have_one_name() {
    let world = world();
    let mut names: Vec<String> = cases::all(&world, mint::now()).into_iter().map(|case| case.name).collect();
    names.sort();
    let doubled: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}

#[test]
fn a_token_is_refused_from_the_second_in_which_its_leeway_has_passed() {
    let world = world();
    let now = mint::now();
    let mut native = Native::new(&world, now);
    for (claims, good) in [
        (json!({"exp": now - 59}), true),
        (json!({"exp": now - 60}), false),
        (json!({"nbf": now + 60}), true),
        (json!({"nbf": now + 61}), false),
        (json!({"iat": now + 60}), true),
        (json!({"iat": now + 61}), false),
    ] {
        let sent = Sent::get("gateway", "/").bearer(&world.first.token_of(&claims));
        let verdict = native.judge(&sent);
        assert_eq!(matches!(verdict, Verdict::User { .. }), good, "{claims}: {verdict:?}");
    }
}
