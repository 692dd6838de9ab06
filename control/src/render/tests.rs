use std::process::Command;

use attach_core::config::compile::compile;
use attach_core::policy::route::{DEFAULT, Destination};
use serde_json::Value;
use url::Url;

use super::*;
use crate::discover::{EngineKind, KeysFrom, ResolvedEngine, ResolvedIssuer};
use crate::settings::{Sources, load};

mod accounting;
mod credentials;
mod memory;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// RFC 8032's first test key, base64url.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// What is made of an environment, discovery being replaced by the given addresses.
fn resolved(environment: &[(&str, &str)], engine: &str, jwks: &[(&str, Option<&str>)]) -> Resolved {
    let mut variables: std::collections::BTreeMap<_, _> =
        environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    variables.insert("HOME".into(), "/home/someone".into());
    let folder = std::env::temp_dir().join("attach-render-no-such-folder");
    let settings = load(&Sources { folder, environment: variables, ..Sources::default() }).unwrap();
    let first = settings.issuers[0].clone();
    let issuers = jwks.iter().enumerate().map(|(at, (keys, discovery))| ResolvedIssuer {
        issuer: crate::settings::Issuer {
            issuer: if at == 0 { first.issuer.clone() } else { format!("https://issuer-{at}.example") },
            user_prefix: if at == 0 { String::new() } else { format!("{at}:") },
            ..first.clone()
        },
        jwks_url: Url::parse(keys).unwrap(),
        discovery_url: discovery.map(|url| Url::parse(url).unwrap()),
        from: KeysFrom::Discovery,
        token_endpoint: None,
    });
    Resolved {
        issuers: issuers.collect(),
        engine: ResolvedEngine {
            url: Url::parse(engine).unwrap(),
            kind: EngineKind::Configured,
            rewrite_chat: false,
        },
        authorities: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        notices: Vec::new(),
        settings,
    }
}

fn simple() -> Resolved {
    resolved(&[], "http://127.0.0.1:8083", &[("http://127.0.0.1:8082/.well-known/jwks.json", None)])
}

fn files() -> Files {
    Files { module: "/state/attach.wasm".into(), access_log: Some("/state/logs/access.log".into()) }
}

fn bootstrap(resolved: &Resolved) -> Value {
    let text = render(resolved, &files()).unwrap().bootstrap;
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn hcm(bootstrap: &Value) -> &Value {
    &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn routes(bootstrap: &Value) -> &Vec<Value> {
    hcm(bootstrap)["route_config"]["virtual_hosts"][0]["routes"].as_array().unwrap()
}

fn cluster<'a>(bootstrap: &'a Value, name: &str) -> &'a Value {
    let clusters = bootstrap["static_resources"]["clusters"].as_array().unwrap();
    clusters.iter().find(|cluster| cluster["name"] == name).unwrap_or_else(|| panic!("no cluster {name}"))
}

#[test]
fn the_listener_has_one_spelling_of_each_path_and_the_filters_in_order() {
    let bootstrap = bootstrap(&simple());
    let hcm = hcm(&bootstrap);
    assert_eq!(hcm["normalize_path"], true);
    assert_eq!(hcm["merge_slashes"], true);
    assert_eq!(hcm["path_with_escaped_slashes_action"], "REJECT_REQUEST");
    assert_eq!(hcm["use_remote_address"], true);
    assert!(hcm.get("internal_address_config").is_none(), "a client's x-envoy-* headers would be obeyed");
    assert_eq!(hcm["upgrade_configs"][0]["upgrade_type"], "websocket");
    let filters: Vec<_> = hcm["http_filters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|filter| filter["name"].as_str().unwrap())
        .collect();
    assert_eq!(filters, ["envoy.filters.http.cors", "attach", "envoy.filters.http.router"]);
    let wasm = &hcm["http_filters"][1]["typed_config"]["config"];
    assert_eq!(wasm["failure_policy"], "FAIL_RELOAD");
    assert_eq!(
        wasm["vm_config"]["environment_variables"]["host_env_keys"],
        serde_json::json!([CONTROL_SECRET_ENV, ASSERTION_KEY_ENV])
    );
    assert_eq!(wasm["allow_on_headers_stop_iteration"], true, "a refused body's headers would go upstream");
    assert!(wasm.get("fail_open").is_none());
    let admin = &bootstrap["admin"]["address"]["socket_address"];
    assert_eq!(admin["address"], "127.0.0.1");
    for cluster in bootstrap["static_resources"]["clusters"].as_array().unwrap() {
        let to = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
        assert_ne!(
            to["socket_address"]["port_value"], admin["port_value"],
            "nothing leads to the admin interface"
        );
    }
}

#[test]
fn the_access_log_has_neither_query_nor_credential() {
    let bootstrap = bootstrap(&simple());
    let log = &hcm(&bootstrap)["access_log"][0]["typed_config"];
    assert_eq!(log["path"], "/state/logs/access.log");
    let format = log["log_format"]["json_format"].as_object().unwrap();
    let all: String = format.values().map(|value| value.as_str().unwrap().to_ascii_uppercase()).collect();
    assert!(!all.contains("AUTHORIZATION") && !all.contains("COOKIE"), "{all}");
    assert_eq!(format["path"], "%PATH(NQ:PATH)%");
    let to_stdout = Files { access_log: None, ..files() };
    let text = render(&simple(), &to_stdout).unwrap().bootstrap;
    assert!(text.contains("StdoutAccessLog") && !text.contains("FileAccessLog"));
}

#[test]
fn every_built_in_route_is_there_before_the_engines_and_in_order() {
    let bootstrap = bootstrap(&simple());
    let routes = routes(&bootstrap);
    assert_eq!(routes.len(), DEFAULT.len() + 2, "the built-in ones, gRPC and the rest");
    for ((path, _, to), route) in DEFAULT.iter().zip(routes) {
        let destination = &route["route"]["cluster"];
        assert_eq!(route["name"], *path);
        match to {
            // Control answers for targets that there are not.
            Destination::Control | Destination::Target => assert_eq!(destination, "control", "{path}"),
            Destination::Filter | Destination::Quota => {
                assert_eq!(route["direct_response"]["status"], 404, "{path}");
            }
            Destination::Engine => panic!("no built-in route is the engine's"),
        }
    }
    let last = &routes[routes.len() - 1];
    assert_eq!((&last["match"]["prefix"], &last["route"]["cluster"]), (&"/".into(), &"engine".into()));
    assert_eq!(last["route"]["timeout"], "0s");
    assert_eq!(last["route"]["host_rewrite_literal"], "127.0.0.1:8083");
    assert!(last["route"].get("prefix_rewrite").is_none());
    let grpc = &routes[routes.len() - 2];
    assert_eq!(grpc["route"]["cluster"], "engine_h2");
    for route in
        routes.iter().filter(|route| route["route"]["cluster"] != "control" && route.get("route").is_some())
    {
        assert_eq!(route["request_headers_to_remove"][0], "x-attach-control-secret");
    }
}

#[test]
fn an_engine_with_a_path_gets_it_before_every_other() {
    let mut with_path = resolved(
        &[("ENGINE_URL", "https://engines.example/team/v1")],
        "https://engines.example/team",
        &[("http://127.0.0.1:8082/k", None)],
    );
    with_path.engine.rewrite_chat = true;
    let bootstrap = bootstrap(&with_path);
    let routes = routes(&bootstrap);
    let [.., chat, rest] = routes.as_slice() else { panic!("{routes:?}") };
    assert_eq!(chat["match"]["path"], "/api/chat");
    assert_eq!(chat["route"]["prefix_rewrite"], "/team/v1/chat/completions");
    assert_eq!(rest["route"]["prefix_rewrite"], "/team/");
    assert_eq!(rest["route"]["host_rewrite_literal"], "engines.example");
}

#[test]
fn https_is_verified_against_the_name_that_was_asked_for() {
    let bootstrap = bootstrap(&resolved(
        &[],
        "https://api.openai.com",
        &[("https://192.0.2.7:8443/jwks", None), ("http://localhost:1/jwks", None)],
    ));
    for (name, host, port, dns, sni, san) in [
        ("engine", "api.openai.com", 443, true, Some("api.openai.com"), "DNS"),
        ("engine_h2", "api.openai.com", 443, true, Some("api.openai.com"), "DNS"),
        ("idp_0", "192.0.2.7", 8443, false, None, "IP_ADDRESS"),
    ] {
        let cluster = cluster(&bootstrap, name);
        assert_eq!(cluster.get("cluster_type").is_some(), dns, "{name}");
        assert_eq!(cluster["type"] == "STATIC", !dns, "{name}");
        let address = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"];
        assert_eq!((&address["address"], &address["port_value"]), (&host.into(), &port.into()), "{name}");
        let tls = &cluster["transport_socket"]["typed_config"];
        assert_eq!(tls["sni"].as_str(), sni, "{name}");
        let validation = &tls["common_tls_context"]["validation_context"];
        assert_eq!(validation["trusted_ca"]["filename"], "/etc/ssl/certs/ca-certificates.crt", "{name}");
        assert_eq!(validation["match_typed_subject_alt_names"][0]["san_type"], san, "{name}");
        assert_eq!(validation["match_typed_subject_alt_names"][0]["matcher"]["exact"], host, "{name}");
    }
    assert!(cluster(&bootstrap, "idp_1").get("transport_socket").is_none());
    assert!(cluster(&bootstrap, "idp_1").get("cluster_type").is_some());
}

#[test]
fn each_host_of_the_issuers_has_one_cluster() {
    let rendered = render(
        &resolved(
            &[],
            "http://[::1]:9",
            &[
                ("https://keys.example/a", Some("https://issuer.example/.well-known/openid-configuration")),
                ("https://keys.example/b?tenant=1", None),
                ("http://127.0.0.1:8082/c", None),
                ("https://keys.example:444/d", None),
            ],
        ),
        &files(),
    )
    .unwrap();
    let targets: Vec<_> = rendered.plugin.issuers.iter().map(|issuer| &issuer.jwks.keys).collect();
    let names: Vec<_> = targets.iter().map(|target| target.cluster.as_str()).collect();
    assert_eq!(names, ["idp_0", "idp_0", "idp_2", "idp_3"]);
    assert_eq!(rendered.plugin.issuers[0].jwks.discovery.as_ref().unwrap().cluster, "idp_1");
    assert_eq!(targets[1].path, "/b?tenant=1");
    assert_eq!(targets[3].authority, "keys.example:444");
    let bootstrap: Value = serde_yaml_ng::from_str(&rendered.bootstrap).unwrap();
    assert_eq!(bootstrap["static_resources"]["clusters"].as_array().unwrap().len(), 7);
    let engine = cluster(&bootstrap, "engine");
    let endpoint = &engine["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    assert_eq!(endpoint["address"]["socket_address"]["address"], "::1");
}

#[test]
fn the_filter_takes_the_document_that_is_rendered() {
    let mut environment = vec![("ENGINE_API_KEY", "sk-not-to-be-seen")];
    environment
        .extend([("OIDC_ISSUER", "https://idp.example/"), ("OIDC_AUD", "a \"quoted\" é\u{2028} name")]);
    let resolved = resolved(
        &environment,
        "http://127.0.0.1:1",
        &[("https://idp.example/jwks", None), ("https://other.example/jwks", None)],
    );
    let rendered = render(&resolved, &files()).unwrap();
    assert!(!rendered.bootstrap.contains("sk-not-to-be-seen"));
    let bootstrap: Value = serde_yaml_ng::from_str(&rendered.bootstrap).unwrap();
    let wasm = &hcm(&bootstrap)["http_filters"][1]["typed_config"]["config"];
    let document = wasm["configuration"]["value"].as_str().unwrap();
    let secret = |name: &str| match name {
        CONTROL_SECRET_ENV => Some(SECRET.to_owned()),
        ENGINE_API_KEY_ENV => Some("sk".to_owned()),
        ASSERTION_KEY_ENV => Some(SEED.to_owned()),
        _ => None,
    };
    if let Err(errors) = compile(document.as_bytes(), &secret) {
        panic!("{errors:?}");
    }
    let keys = &wasm["vm_config"]["environment_variables"]["host_env_keys"];
    assert_eq!(*keys, serde_json::json!([CONTROL_SECRET_ENV, ENGINE_API_KEY_ENV, ASSERTION_KEY_ENV]));
    let read: PluginConfig = serde_json::from_str(document).unwrap();
    assert_eq!(read, rendered.plugin);
    assert_eq!(read.issuers[0].audiences, ["a \"quoted\" é\u{2028} name"]);
}

#[test]
fn a_strange_path_stays_one_value() {
    let strange = Files {
        module: "/a \"b\"\n- c: {{ 7 }} 'd' # é/attach.wasm".into(),
        access_log: Some("/logs: [x]\u{85}/access.log".into()),
    };
    let text = render(&simple(), &strange).unwrap().bootstrap;
    let bootstrap: Value = serde_yaml_ng::from_str(&text).unwrap();
    let hcm = hcm(&bootstrap);
    let module = &hcm["http_filters"][1]["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"];
    assert_eq!(module.as_str(), strange.module.to_str());
    assert_eq!(hcm["access_log"][0]["typed_config"]["path"].as_str(), strange.access_log.unwrap().to_str());
}

#[test]
fn the_same_settings_give_the_same_text() {
    let (one, two) = (render(&simple(), &files()).unwrap(), render(&simple(), &files()).unwrap());
    assert_eq!(one.bootstrap, two.bootstrap);
}

#[test]
fn no_origins_means_no_cors_filter() {
    let without =
        resolved(&[("CORS_ORIGINS", "none")], "http://127.0.0.1:1", &[("http://127.0.0.1:8082/k", None)]);
    let text = render(&without, &files()).unwrap().bootstrap;
    assert!(!text.contains("cors"), "{text}");
    let with = bootstrap(&simple());
    let policy =
        &hcm(&with)["route_config"]["virtual_hosts"][0]["typed_per_filter_config"]["envoy.filters.http.cors"];
    assert_eq!(policy["allow_origin_string_match"][0]["exact"], "http://localhost:9000");
    assert_eq!(policy["forward_not_matching_preflights"], true);
    assert_eq!(policy["allow_credentials"], true);
}

/// Envoy's own opinion, and the real filter's, where `ENVOY_BIN` names an Envoy.
#[test]
fn envoy_and_the_filter_take_every_shape_of_the_bootstrap() {
    let Some(envoy) = std::env::var_os("ENVOY_BIN") else {
        eprintln!("skipped: set ENVOY_BIN to an envoy binary");
        return;
    };
    let folder = std::env::temp_dir().join(format!("attach-render-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let module = folder.join("attach.wasm");
    std::fs::write(&module, crate::up::check::MODULE).unwrap();
    let mut rewriting = resolved(
        &[
            ("ENGINE_API_KEY", "sk-test"),
            ("OIDC_ISSUER", "https://idp.example/"),
            ("OIDC_AUD", "api"),
            ("HOST", "::"),
        ],
        "https://api.example/base",
        &[
            ("https://idp.example/jwks", Some("https://idp.example/.well-known/openid-configuration")),
            ("https://192.0.2.1/jwks", None),
        ],
    );
    rewriting.engine.rewrite_chat = true;
    rewriting.authorities = crate::fetch::authorities::find(None);
    let no_cors = resolved(&[("CORS_ORIGINS", "none")], "http://[::1]:1", &[("http://localhost:1/k", None)]);
    let mut shapes = vec![simple(), no_cors, credentials::everything(), accounting::metered()];
    // TLS cannot be loaded without authorities.
    shapes.extend(rewriting.authorities.is_some().then_some(rewriting));
    for (at, shape) in shapes.iter().enumerate() {
        let access_log = (at == 0).then(|| folder.join("access.log"));
        let files = Files { module: module.clone(), access_log };
        let config = folder.join(format!("{at}.yaml"));
        std::fs::write(&config, render(shape, &files).unwrap().bootstrap).unwrap();
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--log-level", "warning", "--disable-hot-restart", "-c"])
            .arg(&config)
            .env(CONTROL_SECRET_ENV, SECRET)
            .env(ENGINE_API_KEY_ENV, "sk-test")
            .env(ASSERTION_KEY_ENV, SEED)
            .env(HMAC_KEYS_ENV, credentials::HMAC_KEYS)
            .env(OPENMETER_KEY_ENV, "om-test")
            .env(exchange_secret_env(0), "of-descope")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{at}: {said}");
        assert!(!said.to_ascii_lowercase().contains("deprecated"), "{at}: {said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
