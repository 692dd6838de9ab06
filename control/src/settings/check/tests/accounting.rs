use attach_core::config::ClaimValueConfig;
use attach_core::config::accounting::{
    Consistency, FailureMode, LimitConfig, RouteTokensConfig, UsageInjection, WindowConfig,
};

use super::*;
use crate::settings::{Accounting, Metering, OpenMeter};

fn accounting(environment: &[(&str, &str)]) -> Accounting {
    with_issuer(environment).unwrap().accounting
}

fn notices(environment: &[(&str, &str)]) -> Vec<String> {
    with_issuer(environment).unwrap().notices
}

fn for_everybody(tokens: u64, window: WindowConfig) -> LimitConfig {
    LimitConfig {
        name: "minute".into(),
        user: None,
        claim: None,
        project: None,
        model: None,
        tokens,
        window,
        shared: false,
    }
}

#[test]
fn nothing_set_counts_and_limits_nothing() {
    assert_eq!(accounting(&[]), Accounting::default());
    assert_eq!(accounting(&[]).metrics_scope.as_deref(), Some("metrics:read"));
}

#[test]
fn a_limit_per_minute_is_a_number_or_one_of_the_originals_words_for_none() {
    for (text, tokens) in [
        ("60000", Some(60_000)),
        (" 1 ", Some(1)),
        ("1000000000000000", Some(1_000_000_000_000_000)),
        ("null", None),
        ("None", None),
        ("FALSE", None),
        ("infinite", None),
        ("", None),
    ] {
        let limits = accounting(&[("MAX_TOKENS_PER_MIN", text)]).limits;
        let expected = tokens.map(|tokens| for_everybody(tokens, WindowConfig::Sliding(60)));
        assert_eq!(limits.first(), expected.as_ref(), "{text:?}");
    }
    for text in
        ["0", "-1", "1.5", "1e4", "60k", "60_000", "1000000000000001", "99999999999999999999", "unlimited"]
    {
        let invalid = with_issuer(&[("MAX_TOKENS_PER_MIN", text)]).unwrap_err();
        assert_eq!(invalid.problems.len(), 1, "{invalid}");
        assert_eq!(invalid.problems[0].setting, "MAX_TOKENS_PER_MIN");
        assert!(invalid.problems[0].message.contains(text), "{invalid}");
    }
}

#[test]
fn the_window_is_the_minutes() {
    let limits = accounting(&[("MAX_TOKENS_PER_MIN", "10"), ("WINDOW", "3600")]).limits;
    assert_eq!(limits, [for_everybody(10, WindowConfig::Sliding(3600))]);
    assert_eq!(accounting(&[("WINDOW", "3600")]).limits, []);
}

#[test]
fn a_window_that_gnu_screen_has_put_there_is_not_ours() {
    let limit = ("MAX_TOKENS_PER_MIN", "10");
    let limits = accounting(&[limit, ("WINDOW", "0"), ("STY", "17.pts-0.host")]).limits;
    assert_eq!(limits, [for_everybody(10, WindowConfig::Sliding(60))]);
    let folder = Folder::new().with(".env", "WINDOW=30\n");
    let environment = [&ISSUER[..], &[limit, ("WINDOW", "2"), ("STY", "17.pts-0.host")]].concat();
    let limits = load(&folder.sources(&environment)).unwrap().accounting.limits;
    assert_eq!(limits, [for_everybody(10, WindowConfig::Sliding(30))]);
}

#[test]
fn each_word_is_read() {
    let all = accounting(&[
        ("QUOTA_ENCODING", "o200k_base"),
        ("MAX_REQUEST_BYTES", "67108864"),
        ("QUOTA_DEFAULT_OUTPUT", "1"),
        ("QUOTA_CONSISTENCY", "Strict"),
        ("QUOTA_FAILURE_MODE", "allow"),
        ("USAGE_INJECTION", "off"),
        ("QUOTA_COUNT_ALL", "on"),
        ("USAGE_HEADERS", "on"),
        ("LOG_USAGE", "ON"),
        ("USAGE_METERING", "Prometheus"),
        ("METRICS_SCOPE", "ops:read"),
    ]);
    assert_eq!(
        all,
        Accounting {
            limits: Vec::new(),
            encoding: Some("o200k_base".into()),
            max_request_bytes: 67_108_864,
            default_output: 1,
            consistency: Consistency::Strict,
            failure_mode: FailureMode::Allow,
            usage_injection: UsageInjection::Off,
            count_all: true,
            usage_headers: true,
            log_usage: true,
            metering: Metering::Prometheus,
            metrics_scope: Some("ops:read".into()),
        }
    );
    assert_eq!(accounting(&[("QUOTA_ENCODING", "cl100k_base")]).encoding.as_deref(), Some("cl100k_base"));
}

#[test]
fn who_is_told_of_usage_may_be_said_in_the_old_word() {
    let key = ("OPENMETER_API_KEY", "om-hunter2");
    for (environment, metering, said) in [
        (&[][..], "null", &[][..]),
        (&[("USAGE_METERING", "null")], "null", &[]),
        (&[("USAGE_METERING", "NONE")], "null", &[]),
        (&[("USAGE_METERING", "prometheus")], "prometheus", &[]),
        (&[("USAGE_BACKEND", "prometheus")], "prometheus", &["deprecated"]),
        (
            &[("USAGE_BACKEND", "null"), ("USAGE_METERING", "prometheus")],
            "prometheus",
            &["counts in its place"],
        ),
        (&[("USAGE_BACKEND", "prometheus"), ("USAGE_METERING", "Prometheus")], "prometheus", &["deprecated"]),
        // What does not count may be anything.
        (&[("USAGE_BACKEND", "statsd"), ("USAGE_METERING", "null")], "null", &["counts in its place"]),
        (&[("USAGE_METERING", "openmeter"), key], "openmeter", &[]),
        (&[("USAGE_BACKEND", "openmeter"), key], "openmeter", &["deprecated"]),
        (&[key], "null", &["OPENMETER_API_KEY has no effect"]),
    ] {
        let settings = with_issuer(environment).unwrap();
        let found = match settings.accounting.metering {
            Metering::Null => "null",
            Metering::Prometheus => "prometheus",
            Metering::OpenMeter(_) => "openmeter",
        };
        assert_eq!(found, metering, "{environment:?}");
        assert_eq!(settings.notices.len(), said.len(), "{environment:?}: {:?}", settings.notices);
        for (notice, part) in settings.notices.iter().zip(said) {
            assert!(notice.contains(part) && !notice.contains("hunter2"), "{notice}");
        }
    }
}

#[test]
fn openmeter_needs_a_key_and_has_an_address() {
    let on = ("USAGE_METERING", "openmeter");
    let key = ("OPENMETER_API_KEY", "om-hunter2");
    let of = |environment: &[(&str, &str)]| accounting(environment).openmeter().cloned().unwrap();
    let OpenMeter { url, key: secret } = of(&[on, key]);
    assert_eq!((url.as_str(), secret.expose()), ("https://openmeter.cloud/", "om-hunter2"));
    assert_eq!(
        of(&[on, key, ("OPENMETER_URL", "https://om.example/a/")]).url.as_str(),
        "https://om.example/a"
    );
    assert_eq!(notices(&[on, key, ("OPENMETER_URL", "http://127.0.0.1:8888")]), Vec::<String>::new());
    let open = notices(&[on, key, ("OPENMETER_URL", "http://openmeter:8888")]);
    assert!(matches!(open.as_slice(), [notice] if notice.contains("open line")), "{open:?}");
    for (environment, named) in [
        (&[on][..], "OPENMETER_API_KEY"),
        (&[on, ("OPENMETER_API_KEY", "<your-key>")], "OPENMETER_API_KEY"),
        (&[on, ("OPENMETER_API_KEY", "two words")], "OPENMETER_API_KEY"),
        (&[("USAGE_BACKEND", "openmeter")], "OPENMETER_API_KEY"),
        (&[on, key, ("OPENMETER_URL", "openmeter.cloud")], "OPENMETER_URL"),
        (&[on, key, ("OPENMETER_URL", "http://127.0.0.1:9901")], "OPENMETER_URL"),
    ] {
        assert_eq!(wrong(with_issuer(environment)), [named], "{environment:?}");
    }
    let settings = with_issuer(&[on, key]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn metrics_are_for_a_scope_unless_it_is_set_to_nothing() {
    for (text, scope) in [
        (Some("ops"), Some("ops")),
        (None, Some("metrics:read")),
        (Some(""), None),
        (Some(" "), None),
        (Some("none"), None),
    ] {
        let environment: Vec<_> = text.map(|text| ("METRICS_SCOPE", text)).into_iter().collect();
        let settings = with_issuer(&environment).unwrap();
        assert_eq!(settings.accounting.metrics_scope.as_deref(), scope, "{text:?}");
        let told = settings.notices.iter().any(|notice| notice.starts_with("METRICS_SCOPE is empty"));
        assert_eq!(told, scope.is_none(), "{:?}", settings.notices);
    }
    // The environment undoes a line of the file here too.
    let folder = Folder::new().with(".env", "METRICS_SCOPE=\n");
    assert_eq!(load(&folder.sources(&ISSUER)).unwrap().accounting.metrics_scope, None);
    let set = [&ISSUER[..], &[("METRICS_SCOPE", "ops")]].concat();
    assert_eq!(load(&folder.sources(&set)).unwrap().accounting.metrics_scope.as_deref(), Some("ops"));
}

#[test]
fn limits_count_per_envoy_until_redis_shares_them() {
    let limit = ("MAX_TOKENS_PER_MIN", "10");
    let told =
        |environment: &[(&str, &str)]| notices(environment).iter().any(|n| n.contains("set REDIS_URL"));
    assert!(told(&[limit]));
    assert!(!told(&[limit, ("REDIS_URL", "redis://127.0.0.1:6379")]));
    assert!(!told(&[("MAX_TOKENS_PER_MIN", "none")]));
}

#[test]
fn the_files_limits_stand_behind_the_minutes() {
    let yaml = "oidc: {claim_headers: [{claim: tenant, header: x-attach-tenant}]}\n\
                limits:\n\
                - {name: trial, claim: {header: x-attach-tenant, value: trial}, tokens: 100, per: day, shared: true}\n\
                - {name: big, user: 'key:*', model: 'gpt-4*', project: research, tokens: 5, window: 300}\n\
                - {name: all, tokens: 7, per: month}\n\
                - {name: fast, tokens: 1, per: minute, shared: false}\n\
                routes:\n\
                - {path: /x, tokens: {count: true, usage_injection: off, cap_field: max_tokens, failure_mode: allow, flat_charge: 0}}\n\
                - {path: /y, tokens: {}}\n";
    let folder = Folder::new().with("attach.yaml", yaml);
    let environment = [&ISSUER[..], &[("MAX_TOKENS_PER_MIN", "10")]].concat();
    let settings = load(&folder.sources(&environment)).unwrap();
    let named =
        |name: &str, tokens, window| LimitConfig { name: name.into(), ..for_everybody(tokens, window) };
    let claim = ClaimValueConfig { header: "x-attach-tenant".into(), value: "trial".into() };
    assert_eq!(
        settings.accounting.limits,
        [
            for_everybody(10, WindowConfig::Sliding(60)),
            LimitConfig { claim: Some(claim), shared: true, ..named("trial", 100, WindowConfig::Day) },
            LimitConfig {
                user: Some("key:*".into()),
                model: Some("gpt-4*".into()),
                project: Some("research".into()),
                ..named("big", 5, WindowConfig::Sliding(300))
            },
            named("all", 7, WindowConfig::Month),
            named("fast", 1, WindowConfig::Sliding(60)),
        ]
    );
    assert_eq!(
        settings.routes[0].tokens,
        Some(RouteTokensConfig {
            count: Some(true),
            usage_injection: Some(UsageInjection::Off),
            cap_field: Some("max_tokens".into()),
            failure_mode: Some(FailureMode::Allow),
            flat_charge: Some(0),
        })
    );
    assert_eq!(settings.routes[1].tokens, Some(RouteTokensConfig::default()));
}

#[test]
fn each_mistake_in_a_limit_is_named_by_its_path() {
    for (text, path) in [
        ("limits: {name: a}", "limits"),
        ("limits: [{tokens: 1, per: day}]", "limits[0].name"),
        ("limits: [{name: A, tokens: 1, per: day}]", "limits[0].name"),
        ("limits: [{name: 'a;b', tokens: 1, per: day}]", "limits[0].name"),
        ("limits: [{name: minute, tokens: 1, per: day}]", "limits[0].name"),
        ("limits: [{name: a, tokens: 1, per: day}, {name: a, tokens: 1, per: day}]", "limits[1].name"),
        ("limits: [{name: a, per: day}]", "limits[0].tokens"),
        ("limits: [{name: a, tokens: 0, per: day}]", "limits[0].tokens"),
        ("limits: [{name: a, tokens: '5', per: day}]", "limits[0].tokens"),
        ("limits: [{name: a, tokens: 1}]", "limits[0].per"),
        ("limits: [{name: a, tokens: 1, per: week}]", "limits[0].per"),
        ("limits: [{name: a, tokens: 1, per: day, window: 5}]", "limits[0].per"),
        ("limits: [{name: a, tokens: 1, window: 0}]", "limits[0].window"),
        ("limits: [{name: a, tokens: 1, window: 86401}]", "limits[0].window"),
        ("limits: [{name: a, tokens: 1, per: day, user: '*a'}]", "limits[0].user"),
        ("limits: [{name: a, tokens: 1, per: day, model: ''}]", "limits[0].model"),
        ("limits: [{name: a, tokens: 1, per: day, project: 'a b'}]", "limits[0].project"),
        ("limits: [{name: a, tokens: 1, per: day, shared: yes please}]", "limits[0].shared"),
        (
            "limits: [{name: a, tokens: 1, per: day, claim: {header: x-attach-tenant, value: v}}]",
            "limits[0].claim.header",
        ),
        ("limits: [{name: a, tokens: 1, per: day, token: 5}]", "limits[0].token"),
        ("routes: [{path: /x, tokens: 5}]", "routes[0].tokens"),
        ("routes: [{path: /x, tokens: {count: 1}}]", "routes[0].tokens.count"),
        ("routes: [{path: /x, tokens: {usage_injection: maybe}}]", "routes[0].tokens.usage_injection"),
        ("routes: [{path: /x, tokens: {cap_field: 'a.b'}}]", "routes[0].tokens.cap_field"),
        ("routes: [{path: /x, tokens: {failure_mode: open}}]", "routes[0].tokens.failure_mode"),
        ("routes: [{path: /x, tokens: {flat_charge: -1}}]", "routes[0].tokens.flat_charge"),
    ] {
        let folder = Folder::new().with("attach.yaml", text);
        let environment = [&ISSUER[..], &[("MAX_TOKENS_PER_MIN", "10")]].concat();
        assert_eq!(wrong(load(&folder.sources(&environment))), [path], "{text}");
    }
    let both = "oidc: {claim_headers: [{claim: t, header: x-attach-t}]}\n\
                limits: [{name: a, tokens: 1, per: day, user: b, claim: {header: x-attach-t, value: v}}]";
    assert_eq!(wrong(load(&Folder::new().with("attach.yaml", both).sources(&ISSUER))), ["limits[0].claim"]);
    // Without the setting its name is free.
    let free = Folder::new().with("attach.yaml", "limits: [{name: minute, tokens: 1, per: day}]");
    assert!(load(&free.sources(&ISSUER)).is_ok());
}

#[test]
fn an_unknown_field_of_a_limit_is_told_with_the_one_it_means() {
    for (text, meant) in [
        ("limits: [{name: a, tokns: 1, tokens: 1, per: day}]", "is it tokens?"),
        ("limits: [{name: a, tokens: 1, per: day, modell: x}]", "is it model?"),
    ] {
        let invalid = load(&Folder::new().with("attach.yaml", text).sources(&ISSUER)).unwrap_err();
        assert!(invalid.problems[0].message.contains(meant), "{invalid}");
    }
}
