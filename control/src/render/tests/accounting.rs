use attach_core::config::accounting::{AccountingConfig, LimitConfig, WindowConfig, WindowsConfig};

use super::*;

/// Limits, OpenMeter, and tokens in the access log; nothing that needs TLS.
pub(super) fn metered() -> Resolved {
    resolved(
        &[
            ("MAX_TOKENS_PER_MIN", "60000"),
            ("WINDOW", "120"),
            ("QUOTA_ENCODING", "o200k_base"),
            ("MAX_REQUEST_BYTES", "4000000"),
            ("QUOTA_DEFAULT_OUTPUT", "512"),
            ("QUOTA_CONSISTENCY", "strict"),
            ("QUOTA_FAILURE_MODE", "allow"),
            ("USAGE_INJECTION", "off"),
            ("USAGE_METERING", "openmeter"),
            ("OPENMETER_API_KEY", "not-to-be-seen"),
            ("OPENMETER_URL", "http://127.0.0.1:8888/base/"),
            ("METRICS_SCOPE", "ops"),
            ("USAGE_HEADERS", "on"),
            ("LOG_USAGE", "on"),
            ("REDIS_URL", "redis://:not-to-be-seen@127.0.0.1:6379"),
        ],
        "http://127.0.0.1:8083",
        &[("http://127.0.0.1:8082/.well-known/jwks.json", None)],
    )
}

fn accounting(resolved: &Resolved) -> AccountingConfig {
    render(resolved, &files()).unwrap().plugin.accounting.unwrap()
}

#[test]
fn calls_are_counted_and_kept_whatever_is_set() {
    let plugin = render(&simple(), &files()).unwrap().plugin;
    assert_eq!(plugin.accounting, Some(AccountingConfig { ledger: true, ..AccountingConfig::default() }));
    assert_eq!(plugin.metrics_scope.as_deref(), Some("metrics:read"));
}

#[test]
fn the_document_says_what_calls_may_cost_and_who_is_told() {
    let accounting = accounting(&metered());
    let openmeter = accounting.openmeter.clone().unwrap();
    assert_eq!(
        (openmeter.key_env.as_str(), openmeter.target.cluster.as_str()),
        (OPENMETER_KEY_ENV, "openmeter")
    );
    assert_eq!(openmeter.target.path, "/base/api/v1/events");
    assert_eq!(openmeter.target.authority, "127.0.0.1:8888");
    assert_eq!(
        accounting.limits,
        [LimitConfig {
            name: "minute".into(),
            user: None,
            claim: None,
            project: None,
            model: None,
            tokens: 60_000,
            window: WindowConfig::Sliding(120),
            shared: false,
        }]
    );
    assert_eq!(accounting.windows, WindowsConfig::Control);
    assert_eq!((accounting.max_request_bytes, accounting.default_output), (4_000_000, 512));
    assert!(
        accounting.usage_headers && accounting.log_usage && accounting.ledger && !accounting.usage_metrics
    );
    assert_eq!(render(&metered(), &files()).unwrap().plugin.metrics_scope.as_deref(), Some("ops"));
}

#[test]
fn counters_by_user_are_kept_for_prometheus_alone() {
    for (metering, counted) in [("prometheus", true), ("null", false)] {
        let jwks = [("http://127.0.0.1:8082/k", None)];
        let resolved = resolved(&[("USAGE_METERING", metering)], "http://127.0.0.1:8083", &jwks);
        assert_eq!(accounting(&resolved).usage_metrics, counted, "{metering}");
        assert!(!render(&resolved, &files()).unwrap().bootstrap.contains("name: \"openmeter\""));
    }
}

#[test]
fn the_key_of_openmeter_is_named_and_not_shown() {
    let rendered = render(&metered(), &files()).unwrap();
    assert!(!rendered.bootstrap.contains("not-to-be-seen"));
    let bootstrap: Value = serde_yaml_ng::from_str(&rendered.bootstrap).unwrap();
    let wasm = &hcm(&bootstrap)["http_filters"][1]["typed_config"]["config"];
    let keys = &wasm["vm_config"]["environment_variables"]["host_env_keys"];
    assert_eq!(*keys, serde_json::json!([CONTROL_SECRET_ENV, ASSERTION_KEY_ENV, OPENMETER_KEY_ENV]));
    cluster(&bootstrap, "openmeter");
}

#[test]
fn the_filter_refuses_a_large_body_before_envoy_does_and_both_say_the_same() {
    for (resolved, limit, buffer) in [(metered(), 4_000_000, 4_065_536), (simple(), 1_000_000, 1_065_536)] {
        let bootstrap = bootstrap(&resolved);
        let hcm = hcm(&bootstrap);
        assert_eq!(hcm["route_config"]["virtual_hosts"][0]["request_body_buffer_limit"], buffer);
        let reply = &hcm["local_reply_config"]["mappers"][1]["body_format_override"];
        let text = reply["text_format_source"]["inline_string"].as_str().unwrap();
        let said: Value = serde_json::from_str(text).unwrap();
        assert_eq!(said, serde_json::json!({"detail": "request too large", "limit_bytes": limit}));
        assert_eq!(reply["content_type"], "application/json");
    }
    let small = resolved(
        &[("MAX_REQUEST_BYTES", "1024")],
        "http://127.0.0.1:1",
        &[("http://127.0.0.1:8082/k", None)],
    );
    let bootstrap = bootstrap(&small);
    let host = &hcm(&bootstrap)["route_config"]["virtual_hosts"][0];
    assert_eq!(host["request_body_buffer_limit"], 1_048_576, "what Envoy allows anyway");
}

#[test]
fn what_stands_in_a_metrics_name_becomes_its_label() {
    let bootstrap = bootstrap(&simple());
    let tags = bootstrap["stats_config"]["stats_tags"].as_array().unwrap();
    let names: Vec<_> = tags.iter().map(|tag| tag["tag_name"].as_str().unwrap()).collect();
    assert_eq!(names, attach_core::meter::label::NAMES);
    for tag in tags {
        let name = tag["tag_name"].as_str().unwrap();
        assert_eq!(tag["regex"], format!("(;{name}=([^;]*))"));
    }
}

#[test]
fn tokens_are_in_the_access_log_only_where_they_are_written_for_it() {
    let format = |resolved: &Resolved| {
        let bootstrap = bootstrap(resolved);
        hcm(&bootstrap)["access_log"][0]["typed_config"]["log_format"]["json_format"].clone()
    };
    let (with, without) = (format(&metered()), format(&simple()));
    assert_eq!(with["gen_ai.usage.input_tokens"], "%FILTER_STATE(wasm.attach.tokens_in:PLAIN)%");
    assert!(with.get("gen_ai.request.model").is_some() && with.get("gen_ai.usage.output_tokens").is_some());
    assert!(!without.as_object().unwrap().keys().any(|name| name.starts_with("gen_ai")));
    for (name, value) in [
        ("credential", "%REQ(X-ATTACH-CREDENTIAL)%"),
        ("route", "%ROUTE_NAME%"),
        ("cluster", "%UPSTREAM_CLUSTER%"),
    ] {
        assert_eq!(without[name], value);
    }
}
