use attach_core::config::{Mode, ReplayConfig};

use super::*;

pub(super) const HMAC_KEYS: &str = "billing=0123456789abcdef0123456789abcdef";

/// Every method, every agent, an exchange; nothing that needs TLS.
pub(super) fn everything() -> Resolved {
    let mut resolved = resolved(
        &[
            ("OIDC_ISSUER", "http://127.0.0.1:8082/"),
            ("OIDC_AUD", "api"),
            ("PUBLIC_URL", "https://gateway.example"),
            ("AUTH_MODE", "shadow"),
            ("REQUIRED_SCOPES", "chat:run"),
            ("DID_ALLOW", "did:key:*"),
            ("AUTHORIZED_KEYS_DIR", "/"),
            ("APP_ENV", "development"),
            ("HMAC_KEYS", HMAC_KEYS),
            ("HTTPSIG_DIRECTORIES", "bot=http://127.0.0.1:7001,http://127.0.0.1:8082/bot.json"),
            ("REDIS_URL", "redis://:not-to-be-seen@127.0.0.1:6379"),
            ("ENABLE_DESCOPE_EXCHANGE", "true"),
            ("DESCOPE_BASE_URL", "http://127.0.0.1:7002"),
            ("DESCOPE_PROJECT_ID", "P2"),
            ("DESCOPE_CLIENT_ID", "gateway"),
            ("DESCOPE_CLIENT_SECRET", "not-to-be-seen"),
            ("A2A_TARGETS", "planner=http://127.0.0.1:7003,coder=http://[::1]:7004/a/b/"),
            ("A2A_AGENTS", "planner=key:planner"),
        ],
        "http://127.0.0.1:8083",
        &[("http://127.0.0.1:8082/k", None)],
    );
    let descope = resolved.settings.issuers[1].clone();
    resolved.issuers.push(ResolvedIssuer {
        jwks_url: descope.jwks_url.clone().unwrap(),
        issuer: descope,
        discovery_url: None,
        from: KeysFrom::Setting,
        token_endpoint: None,
    });
    resolved
}

#[test]
fn the_document_says_everything_and_shows_no_secret() {
    let rendered = render(&everything(), &files()).unwrap();
    let text = serde_json::to_string(&rendered.plugin).unwrap() + &rendered.bootstrap;
    assert!(!text.contains("not-to-be-seen") && !text.contains("0123456789abcdef"), "{text}");
    let plugin = rendered.plugin;
    assert_eq!(plugin.mode, Mode::Shadow);
    assert_eq!(plugin.required_scopes, ["chat:run"]);
    assert_eq!(plugin.replay, ReplayConfig::Control);
    assert_eq!(plugin.targets, ["planner", "coder"]);
    assert_eq!(plugin.control.target.unwrap().authority, "127.0.0.1:8081");
    assert_eq!(plugin.assertion.unwrap().key_env, ASSERTION_KEY_ENV);
    let audiences = ["api", "https://gateway.example"];
    let did = plugin.did.unwrap();
    assert_eq!(
        (did.allow, did.audiences),
        (vec!["did:key:*".to_owned()], audiences.map(str::to_owned).into())
    );

    let rotagent = plugin.rotagent.unwrap();
    assert!(rotagent.development && rotagent.jwks.internal);
    assert_eq!((rotagent.user_prefix.as_str(), rotagent.jwks.refresh_seconds), ("key:", 2));
    assert_eq!(rotagent.jwks.max_stale_seconds, 60);
    assert_eq!(rotagent.jwks.keys.cluster, "control");
    assert_eq!(rotagent.jwks.keys.path, "/internal/authorized-keys");
    let gateway = plugin.gateway_tokens.unwrap().jwks;
    assert!(gateway.internal);
    assert_eq!((gateway.keys.path.as_str(), gateway.refresh_seconds), ("/internal/gateway-keys", 30));

    let hmac = plugin.hmac.unwrap();
    assert_eq!((hmac.keys_env.as_str(), hmac.user_prefix.as_str()), (HMAC_KEYS_ENV, "hmac:"));
    let httpsig = plugin.httpsig.unwrap();
    assert_eq!(httpsig.authorities, ["gateway.example"]);
    let agents: Vec<_> = httpsig.directories.iter().map(|d| (d.name.as_str(), d.agent.as_str())).collect();
    assert_eq!(
        agents,
        [("bot", "http://127.0.0.1:7001"), ("127.0.0.1:8082/bot.json", "http://127.0.0.1:8082/bot.json")]
    );
    assert_eq!(httpsig.directories[0].jwks.keys.path, "/.well-known/http-message-signatures-directory");

    let exchange = &plugin.exchanges[0];
    assert_eq!((exchange.from.as_str(), exchange.client_id.as_str()), ("*", "gateway"));
    assert_eq!(exchange.to, plugin.issuers[1].issuer);
    assert_eq!(exchange.endpoint.path, "/oauth2/v1/apps/token");
    assert_eq!(exchange.client_secret_env, "ATTACH_EXCHANGE_SECRET_0");
    // One cluster for each host, whoever is asked there.
    assert_eq!(plugin.issuers[0].jwks.keys.cluster, "idp_0");
    assert_eq!(
        (plugin.issuers[1].jwks.keys.cluster.as_str(), exchange.endpoint.cluster.as_str()),
        ("idp_1", "idp_1")
    );
    assert_eq!(httpsig.directories[0].jwks.keys.cluster, "idp_2");
    assert_eq!(httpsig.directories[1].jwks.keys.cluster, "idp_0");
}

#[test]
fn the_filter_takes_the_whole_document() {
    let plugin = render(&everything(), &files()).unwrap().plugin;
    let secret = |name: &str| match name {
        CONTROL_SECRET_ENV => Some(SECRET.to_owned()),
        ASSERTION_KEY_ENV => Some(SEED.to_owned()),
        HMAC_KEYS_ENV => Some(HMAC_KEYS.to_owned()),
        name if name == exchange_secret_env(0) => Some("of-descope".to_owned()),
        _ => None,
    };
    if let Err(errors) = compile(&serde_json::to_vec(&plugin).unwrap(), &secret) {
        panic!("{errors:?}");
    }
}

#[test]
fn the_vm_gets_the_variables_that_the_document_names_and_no_others() {
    let bootstrap = bootstrap(&everything());
    let wasm = &hcm(&bootstrap)["http_filters"][1]["typed_config"]["config"];
    assert_eq!(
        wasm["vm_config"]["environment_variables"]["host_env_keys"],
        serde_json::json!([CONTROL_SECRET_ENV, ASSERTION_KEY_ENV, HMAC_KEYS_ENV, exchange_secret_env(0)])
    );
}

#[test]
fn a_target_is_reached_below_its_name_and_others_stay_controls() {
    let bootstrap = bootstrap(&everything());
    let routes = routes(&bootstrap);
    for (at, field, path, to, cluster_name, authority) in [
        (0, "path", "/agents/planner", "/", "target_planner", "127.0.0.1:7003"),
        (1, "prefix", "/agents/planner/", "/", "target_planner", "127.0.0.1:7003"),
        (2, "path", "/agents/coder", "/a/b", "target_coder", "[::1]:7004"),
        (3, "prefix", "/agents/coder/", "/a/b/", "target_coder", "[::1]:7004"),
    ] {
        let route = &routes[at];
        assert_eq!(route["match"][field], path);
        assert_eq!(route["route"]["prefix_rewrite"], to, "{path}");
        assert_eq!(route["route"]["cluster"], cluster_name, "{path}");
        assert_eq!(route["route"]["host_rewrite_literal"], authority, "{path}");
        assert_eq!(route["route"]["timeout"], "0s", "{path}");
        assert_eq!(route["request_headers_to_remove"][0], "x-attach-control-secret", "{path}");
        cluster(&bootstrap, cluster_name);
    }
    let general = routes.iter().skip(4).find(|route| route["match"]["path_separated_prefix"] == "/agents");
    assert_eq!(general.unwrap()["route"]["cluster"], "control");
}

#[test]
fn what_is_off_is_not_in_the_document() {
    let plugin = render(&simple(), &files()).unwrap().plugin;
    assert!(plugin.did.is_none() && plugin.rotagent.is_none() && plugin.hmac.is_none());
    assert!(plugin.httpsig.is_none() && plugin.gateway_tokens.is_none() && plugin.exchanges.is_empty());
    assert_eq!((plugin.mode, plugin.replay), (Mode::Enforce, ReplayConfig::Envoy));
    assert!(plugin.assertion.is_some());
}
