//! The table of credentials against `attach-core`, without Envoy.

use attach_tests::cases::{self, World};
use attach_tests::mint;
use attach_tests::native::Native;
use serde_json::json;

fn world() -> World {
    World::new("http://127.0.0.1:1/first", "http://127.0.0.1:1/second")
}

#[test]
fn every_credential_of_the_table_is_judged_as_it_says() {
    let world = world();
    let now = mint::now();
    let mut native = Native::new(&world, now);
    let cases = cases::all(&world, now);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let verdict = native.judge(&case.authorization);
            (!case.allows(&verdict)).then(|| format!("{}: {verdict:?}, not {:?}", case.name, case.expect))
        })
        .collect();
    assert!(cases.len() >= 60, "{}", cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
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
        let token = world.first.token_of(&claims);
        let verdict = native.judge(&[format!("Bearer {token}").into_bytes()]);
        assert_eq!(matches!(verdict, cases::Verdict::User(_)), good, "{claims}: {verdict:?}");
    }
}
