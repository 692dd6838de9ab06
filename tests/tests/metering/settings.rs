//! What `attach` says of settings about usage before anything is started.

use attach_tests::gateway::Builder;
use attach_tests::peers::OpenMeter;

#[test]
fn openmeter_without_a_key_is_an_error_that_names_the_setting() {
    for name in ["USAGE_METERING", "USAGE_BACKEND"] {
        let gateway = Builder::new("no-key").set(name, "openmeter").prepare();
        for arguments in [&["up"][..], &["config", "check"]] {
            let ended = gateway.run(arguments).expect_failure();
            assert!(ended.stderr.contains("OPENMETER_API_KEY"), "{}", ended.stderr);
            assert!(ended.stderr.contains(&format!("{name}=null")), "{}", ended.stderr);
        }
        assert_eq!(gateway.pids(), Vec::new());
    }
}

#[test]
fn the_name_of_before_works_and_is_said_to_be_old() {
    let gateway = Builder::new("alias")
        .set("USAGE_BACKEND", "openmeter")
        .set("OPENMETER_API_KEY", OpenMeter::KEY)
        .prepare();
    let ended = gateway.run(&["config", "check"]).expect_success();
    let said = ended.stdout + &ended.stderr;
    assert!(said.contains("USAGE_BACKEND is deprecated; write USAGE_METERING"), "{said}");
    assert!(!said.contains(OpenMeter::KEY), "{said}");
    // The new name wins, and that is said.
    gateway.set("USAGE_METERING", "null");
    let ended = gateway.run(&["config", "check"]).expect_success();
    let said = ended.stdout + &ended.stderr;
    assert!(said.contains("USAGE_METERING=\"null\" counts"), "{said}");
}

#[test]
fn mistakes_about_usage_and_limits_are_named_with_their_settings() {
    for (name, value) in [
        ("USAGE_METERING", "influx"),
        ("MAX_TOKENS_PER_MIN", "-1"),
        ("MAX_TOKENS_PER_MIN", "0"),
        ("MAX_TOKENS_PER_MIN", "60.5"),
        ("MAX_TOKENS_PER_MIN", "many"),
        ("QUOTA_ENCODING", "p50k_base"),
        ("QUOTA_CONSISTENCY", "eventual"),
        ("QUOTA_FAILURE_MODE", "open"),
        ("WINDOW", "0"),
    ] {
        let ended = Builder::new("mistake").set(name, value).prepare().run(&["config", "check"]);
        let ended = ended.expect_failure();
        assert!(ended.stderr.contains(name), "{name}={value}: {}", ended.stderr);
    }
    for value in ["null", "none", "false", "infinite", "None", "60000"] {
        let gateway = Builder::new("no-limit").set("MAX_TOKENS_PER_MIN", value).prepare();
        gateway.run(&["config", "check"]).expect_success();
    }
}
