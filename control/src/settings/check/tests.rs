use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::settings::{DEV_AUDIENCE, RewriteChat, load};

/// A folder of the test's own, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("attach-settings-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, name: &str, text: &str) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn sources(&self, environment: &[(&str, &str)]) -> Sources {
        let mut all = BTreeMap::from([("HOME".into(), "/home/someone".into())]);
        all.extend(environment.iter().map(|(k, v)| (k.into(), v.into())));
        Sources { folder: self.0.clone(), environment: all, ..Sources::default() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn from_environment(environment: &[(&str, &str)]) -> Result<Settings, Invalid> {
    load(&Folder::new().sources(environment))
}

const ISSUER: [(&str, &str); 2] = [("OIDC_ISSUER", "https://idp.example.com/"), ("OIDC_AUD", "api")];

fn with_issuer(more: &[(&str, &str)]) -> Result<Settings, Invalid> {
    from_environment(&[&ISSUER, more].concat())
}

mod access;
mod accounting;
mod exchanges;
mod memory;

/// The settings that are named as wrong, in order.
fn wrong(result: Result<Settings, Invalid>) -> Vec<String> {
    result.unwrap_err().problems.into_iter().map(|problem| problem.setting).collect()
}

#[test]
fn nothing_set_gives_the_dev_identity_provider_on_loopback() {
    let settings = from_environment(&[]).unwrap();
    assert!(settings.dev_idp);
    assert_eq!(settings.issuers[0].issuer, "http://127.0.0.1:8082");
    assert_eq!(settings.issuers[0].audiences, [DEV_AUDIENCE]);
    assert_eq!(settings.listen().to_string(), "127.0.0.1:8080");
    assert_eq!(settings.public_url, "http://127.0.0.1:8080");
    assert_eq!(settings.state_dir, Path::new("/home/someone/.local/state/attach/8080"));
    assert_eq!(settings.cors_origins, ["http://localhost:9000", "http://127.0.0.1:9000"]);
    assert_eq!(settings.engine.rewrite_chat, RewriteChat::Auto);
    assert_eq!(settings.notices, Vec::<String>::new());
}

#[test]
fn a_foreign_issuer_opens_the_gateway_to_others_as_the_original_did() {
    let settings = with_issuer(&[]).unwrap();
    assert!(!settings.dev_idp);
    assert_eq!(settings.host.to_string(), "0.0.0.0");
    assert_eq!(settings.public_url, "http://localhost:8080");
    assert_eq!(settings.issuers[0].issuer, "https://idp.example.com/");
    let v6 = with_issuer(&[("HOST", "::"), ("PORT", "80")]).unwrap();
    assert_eq!(v6.public_url, "http://localhost:80");
    let one = with_issuer(&[("HOST", "::1")]).unwrap();
    assert_eq!(
        (one.public_url.as_str(), one.listen().to_string().as_str()),
        ("http://[::1]:8080", "[::1]:8080")
    );
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = Folder::new().with(".env", "PORT=1001\nADMIN_PORT=1002\nCONTROL_PORT=1003\nIDP_PORT=1004\n");
    let mut sources = folder.sources(&[("PORT", "2001"), ("ADMIN_PORT", "2002"), ("IDP_PORT", "")]);
    sources.port = Some("3001".into());
    let ports = load(&sources).unwrap().ports;
    assert_eq!((ports.gateway, ports.admin, ports.control), (3001, 2002, 1003));
    assert_eq!(ports.idp, 8082, "an empty variable undoes the file's line");
}

#[test]
fn relative_paths_count_from_the_env_files_folder() {
    let folder = Folder::new()
        .with("conf/gateway.env", "ATTACH_CONFIG=more.yaml\nENVOY_BIN=./bin/envoy\nSSL_CERT_FILE=ca.pem\n")
        .with("conf/more.yaml", "jwks: {refresh_seconds: 77}\n")
        .with("conf/bin/envoy", "")
        .with("conf/ca.pem", "-----BEGIN CERTIFICATE-----\n");
    let sources = Sources { env_file: Some("conf/gateway.env".into()), ..folder.sources(&[]) };
    let settings = load(&sources).unwrap();
    assert_eq!(settings.folder, folder.0.join("conf"));
    assert_eq!(settings.jwks.refresh_seconds, 77);
    assert!(settings.envoy_bin.unwrap().starts_with(folder.0.join("conf")));
    assert!(settings.ssl_cert_file.unwrap().is_absolute());
}

#[test]
fn the_yaml_file_beside_the_env_file_is_read_without_being_named() {
    let folder = Folder::new().with(
        "attach.yaml",
        "issuers: [{issuer: 'https://p.example', audiences: [a], user_prefix: 'p:'}]\nroutes: [{path: /v1/models, access: public}]\n",
    );
    let settings = load(&folder.sources(&ISSUER)).unwrap();
    assert_eq!(settings.issuers.len(), 2);
    assert_eq!(settings.issuers[1].setting, "issuers[0].issuer");
    assert_eq!(settings.routes[0].path, "/v1/models");
    assert!(settings.document.is_some());
}

#[test]
fn an_issuer_in_both_places_is_refused() {
    for issuer in ["https://idp.example.com/", "https://idp.example.com"] {
        let folder = Folder::new().with(
            "attach.yaml",
            &format!("issuers: [{{issuer: '{issuer}', audiences: [a], user_prefix: 'p:'}}]\n"),
        );
        assert_eq!(wrong(load(&folder.sources(&ISSUER))), ["issuers[0].issuer"]);
    }
}

#[test]
fn each_bad_value_is_refused_by_the_name_of_its_setting() {
    for (setting, value) in [
        ("OIDC_ISSUER", "http://idp.example.com"),
        ("OIDC_ISSUER", "idp.example.com"),
        ("OIDC_ISSUER", "https://your-domain.<your-backend>.com"),
        ("OIDC_ISSUER", "https://idp.example.com/?a=b"),
        ("OIDC_ISSUER", "https://idp.example.com/#a"),
        ("OIDC_AUD", "<your-api-identifier>"),
        ("OIDC_JWKS_URL", "http://idp.example.com/jwks"),
        ("AUTH_METHODS", "oidc,password"),
        ("AUTH_METHODS", ","),
        ("AUTH_MODE", "off"),
        ("REQUIRED_SCOPES", ","),
        ("REQUIRED_SCOPES", "a \"b\""),
        ("DID_ALLOW", "alice"),
        ("DID_ALLOW", "did:web:example.com"),
        ("AUTHORIZED_KEYS_DIR", "/dev/null"),
        ("HMAC_KEYS", "billing=short"),
        ("HMAC_KEYS", "@no-such-file"),
        ("HTTPSIG_DIRECTORIES", "http://bot.example"),
        ("HTTPSIG_DIRECTORIES", "a=https://a.example,a=https://b.example"),
        ("HTTPSIG_DIRECTORIES", "a=https://a.example,b=https://A.example"),
        ("ENABLE_DESCOPE_EXCHANGE", "perhaps"),
        ("REDIS_URL", "http://127.0.0.1:6379"),
        ("REDIS_URL", "redis://"),
        ("MAX_TOKENS_PER_MIN", "lots"),
        ("WINDOW", "0"),
        ("WINDOW", "86401"),
        ("QUOTA_ENCODING", "p50k_base"),
        ("QUOTA_ENCODING", "gpt-4"),
        ("MAX_REQUEST_BYTES", "1023"),
        ("MAX_REQUEST_BYTES", "67108865"),
        ("QUOTA_DEFAULT_OUTPUT", "0"),
        ("QUOTA_CONSISTENCY", "eventual"),
        ("QUOTA_FAILURE_MODE", "open"),
        ("USAGE_INJECTION", "maybe"),
        ("USAGE_METERING", "statsd"),
        ("USAGE_BACKEND", "statsd"),
        ("OPENMETER_URL", "openmeter.cloud"),
        ("METRICS_SCOPE", "a b"),
        ("USAGE_HEADERS", "2"),
        ("LOG_USAGE", "all"),
        ("A2A_TARGETS", "planner"),
        ("A2A_TARGETS", "planner=temporal://Planner"),
        ("A2A_TARGETS", "planner=http://127.0.0.1:8080"),
        ("A2A_TARGETS", "planner=http://127.0.0.1:9901"),
        ("A2A_TARGETS", "a=http://a.example,a=http://b.example"),
        ("A2A_AGENTS", "planner=key:planner"),
        ("A2A_AGENTS", "planner"),
        ("AUTH0_DOMAIN", "https://x.auth0.com"),
        ("AUTH0_DOMAIN", "x.auth0.com/path"),
        ("ENGINE_URL", "localhost:11434"),
        ("ENGINE_URL", "ftp://localhost"),
        ("ENGINE_URL", "http://user:pw@localhost:11434"),
        ("ENGINE_URL", "http://localhost:11434/?x"),
        ("ENGINE_URL", "http://localhost:11434/#x"),
        ("ENGINE_URL", "http://localhost:11434/a%2fb"),
        ("ENGINE_URL", "http://localhost:8080"),
        ("ENGINE_URL", "http://127.0.0.1:9901/"),
        ("ENGINE_URL", "http://127.0.0.1:8081/v1"),
        ("ENGINE_API_KEY", "two words"),
        ("ENGINE_REWRITE_CHAT", "maybe"),
        ("HOST", "gateway.example.com"),
        ("HOST", "127.0.0.1:8080"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("PORT", "8081"),
        ("ADMIN_PORT", "8080"),
        ("CONTROL_PORT", "9901"),
        ("PUBLIC_URL", "gateway.example.com"),
        ("PUBLIC_URL", "https://gateway.example.com/path"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/path"),
        ("LOG_LEVEL", "loud"),
        ("ENVOY_BIN", "./no/such/envoy"),
        ("ENVOY_CONCURRENCY", "0"),
        ("SSL_CERT_FILE", "no-such.pem"),
        ("ATTACH_CONFIG", "no-such.yaml"),
    ] {
        let named = wrong(with_issuer(&[(setting, value)]));
        // Two ports that clash are named at the later of the two.
        let expected = if setting == "PORT" && value == "8081" { "CONTROL_PORT" } else { setting };
        let expected = if setting == "ADMIN_PORT" { "ADMIN_PORT" } else { expected };
        assert_eq!(named, [expected], "{setting}={value}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let folder = Folder::new()
        .with(".env", "OIDC_ISSUER=nope\nPORT=99999\nENGINE_URL=x\nbad line\n")
        .with("attach.yaml", "issuers: [{issuer: 'https://p.example', audiences: [a]}]\ncolour: red\n");
    let invalid = load(&folder.sources(&[("LOG_LEVEL", "loud"), ("ADMIN_PORT", "no")])).unwrap_err();
    let text = invalid.to_string();
    for name in [
        "OIDC_ISSUER",
        "OIDC_AUD",
        "PORT",
        "ENGINE_URL",
        "LOG_LEVEL",
        "ADMIN_PORT",
        ".env:4",
        "colour",
        "issuers[0].user_prefix",
    ] {
        assert!(text.contains(name), "{name} is missing from\n{text}");
    }
    assert_eq!(invalid.problems.len(), 9, "{text}");
}

#[test]
fn a_placeholder_for_the_issuer_does_not_turn_the_dev_identity_provider_on() {
    let invalid = from_environment(&[
        ("OIDC_ISSUER", "https://your-domain.<your-backend>.com"),
        ("OIDC_AUD", "<your-api-identifier>"),
        ("OIDC_JWKS_URL", "https://a.example/jwks"),
        ("HOST", "0.0.0.0"),
    ]);
    assert_eq!(wrong(invalid), ["OIDC_ISSUER", "OIDC_AUD"]);
}

#[test]
fn what_only_one_of_two_settings_says_is_refused() {
    assert_eq!(wrong(from_environment(&[ISSUER[0]])), ["OIDC_AUD"]);
    assert_eq!(wrong(from_environment(&[("OIDC_JWKS_URL", "https://a.example/jwks")])), ["OIDC_JWKS_URL"]);
    assert_eq!(from_environment(&[ISSUER[1]]).unwrap().issuers[0].audiences, ["api"]);
}

#[test]
fn the_dev_identity_provider_is_never_opened_to_others() {
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        assert_eq!(wrong(from_environment(&[("HOST", host)])), ["HOST"], "{host}");
    }
    for host in ["127.0.0.1", "127.0.0.2", "::1", "localhost"] {
        assert!(from_environment(&[("HOST", host)]).unwrap().host.is_loopback(), "{host}");
    }
    let sources = Sources { host: Some("0.0.0.0".into()), ..Folder::new().sources(&[]) };
    assert_eq!(wrong(load(&sources)), ["--host"]);
}

#[test]
fn ports_that_are_not_in_use_may_be_taken() {
    assert!(with_issuer(&[("PORT", "8082")]).is_ok(), "no dev identity provider");
    assert_eq!(wrong(from_environment(&[("PORT", "8082")])), ["IDP_PORT"]);
    assert!(
        from_environment(&[("PORT", "8083"), ("ENGINE_URL", "http://localhost:1")]).is_ok(),
        "no echo engine"
    );
    assert_eq!(wrong(from_environment(&[("PORT", "8083")])), ["ECHO_PORT"]);
}

#[test]
fn an_engine_url_loses_what_clients_send_themselves() {
    for (text, url, notices) in [
        ("http://localhost:11434", "http://localhost:11434/", 0),
        ("https://api.openai.com/v1", "https://api.openai.com/", 1),
        ("https://api.openai.com/v1/", "https://api.openai.com/", 1),
        ("https://engines.example/ollama/", "https://engines.example/ollama", 0),
        ("https://engines.example/a/v1", "https://engines.example/a", 1),
        ("https://engines.example/av1", "https://engines.example/av1", 0),
    ] {
        let settings = from_environment(&[("ENGINE_URL", text)]).unwrap();
        assert_eq!(settings.engine.url.unwrap().as_str(), url);
        assert_eq!(settings.notices.len(), notices, "{text}: {:?}", settings.notices);
    }
}

#[test]
fn the_originals_example_works_once_the_placeholders_are_filled_in() {
    let text = "AUTH_BACKEND=auth0 # auth0 | descope | okta | etc.\n\
                OIDC_ISSUER=https://your-domain.auth0.com\nOIDC_AUD=https://api\n\
                DESCOPE_BASE_URL=https://api.descope.com\nDESCOPE_PROJECT_ID=<your-descope-project-id>\n\
                DESCOPE_CLIENT_SECRET=<your-descope-client-secret> \n\
                ENGINE_URL=http://localhost:11434\nMEM_BACKEND=none\nWEAVIATE_URL=http://localhost:8081\n\
                MAX_TOKENS_PER_MIN=60000\nQUOTA_ENCODING=cl100k_base\nUSAGE_METERING=null \n";
    let folder = Folder::new().with(".env", text);
    let settings = load(&folder.sources(&[])).unwrap();
    let noticed: Vec<_> = settings.notices.iter().map(|n| n.split(' ').next().unwrap()).collect();
    assert_eq!(noticed, ["limits", "WEAVIATE_URL"]);
    assert!(settings.notices.iter().any(|n| n == "WEAVIATE_URL has no effect with MEM_BACKEND=none"));
    assert_eq!(settings.accounting.limits[0].tokens, 60_000);
    assert_eq!(settings.accounting.encoding.as_deref(), Some("cl100k_base"));
}

#[test]
fn a_misspelt_name_in_the_env_file_is_noticed_and_a_strange_one_is_not() {
    let folder = Folder::new().with(".env", "OIDC_ISUER=https://x.example\nMY_OWN_THING=1\n");
    let settings = load(&folder.sources(&[("OIDC_AUDD", "x")])).unwrap();
    assert_eq!(settings.notices.len(), 1, "{:?}", settings.notices);
    assert!(settings.notices[0].contains("OIDC_ISSUER"));
}

#[test]
fn what_others_leave_in_the_environment_is_not_mentioned() {
    let settings = from_environment(&[("DATABASE_URL", "postgres://x"), ("APP_ENV", "dev")]).unwrap();
    assert_eq!(settings.notices, Vec::<String>::new());
    let folder = Folder::new().with(".env", "DATABASE_URL=postgres://x\n");
    assert_eq!(load(&folder.sources(&[])).unwrap().notices.len(), 1);
}

#[test]
fn no_secret_is_shown_in_a_problem_or_by_debug() {
    let folder = Folder::new()
        .with(".env", "AUTH0_SECRET=hunter2 x\nENGINE_API_KEY='hunter2\nENGINE_URL=http://a:hunter2@b\n");
    let invalid =
        load(&folder.sources(&[("DEV_PRIVATE_KEY", "hunter2"), ("REDIS_URL", "redis://:hunter2@h")]))
            .unwrap_err();
    assert!(!format!("{invalid} {invalid:?}").contains("hunter2"), "{invalid:?}");
    let settings = from_environment(&[("AUTH0_SECRET", "hunter2"), ("ENGINE_API_KEY", "hunter2")]).unwrap();
    assert_eq!(settings.engine.api_key.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_variable_in_the_env_file_is_refused_rather_than_taken_literally() {
    let folder = Folder::new().with(".env", "ENGINE_URL=http://${ENGINE_HOST}:11434\n");
    assert_eq!(wrong(load(&folder.sources(&[]))), ["ENGINE_URL"]);
}

#[test]
fn an_env_file_that_was_named_must_be_there_and_readable() {
    let folder = Folder::new().with("latin1.env", "A=1\n").with("big.env", &"#".repeat(300_000));
    fs::write(folder.0.join("latin1.env"), b"A=\xe9\n").unwrap();
    for file in ["missing.env", "latin1.env", "big.env", "."] {
        let sources = Sources { env_file: Some(file.into()), ..folder.sources(&[]) };
        assert_eq!(wrong(load(&sources)), ["--env-file"], "{file}");
    }
}

#[test]
fn origins_are_taken_exactly_and_none_turns_cors_off() {
    let settings =
        from_environment(&[("CORS_ORIGINS", "https://a.example:443, http://b.example:81/ ,")]).unwrap();
    assert_eq!(settings.cors_origins, ["https://a.example", "http://b.example:81"]);
    assert!(from_environment(&[("CORS_ORIGINS", "none")]).unwrap().cors_origins.is_empty());
}

#[test]
fn the_example_names_every_setting_and_each_of_its_values_is_good() {
    let example = include_str!("../../../../.env.example");
    let mut settings = String::new();
    for name in crate::settings::names::KNOWN {
        let line = example
            .lines()
            .find_map(|line| line.strip_prefix("# ").filter(|l| l.starts_with(&format!("{name}="))));
        let line = line.unwrap_or_else(|| panic!("{name} is missing from .env.example"));
        // These name files that the reader has and this test does not.
        if !["ENVOY_BIN", "SSL_CERT_FILE", "ATTACH_CONFIG"].contains(name) {
            settings.push_str(line);
            settings.push('\n');
        }
    }
    let yaml: String =
        example.lines().filter_map(|line| line.strip_prefix("#   ")).flat_map(|line| [line, "\n"]).collect();
    let yaml = yaml.replace("https://...  ", "https://keys.example/");
    let folder = Folder::new().with(".env", &settings).with("attach.yaml", &yaml);
    let folder = folder.with("authorized_keys/orchestrator.pem", "");
    let settings =
        load(&folder.sources(&[("PARTNER_SECRET", "hunter2")])).unwrap_or_else(|invalid| panic!("{invalid}"));
    let [key, old] = settings.notices.as_slice() else { panic!("{:?}", settings.notices) };
    assert!(key.starts_with("DEV_PRIVATE_KEY ") && old.starts_with("USAGE_BACKEND "), "{key} {old}");
    assert_eq!((settings.issuers.len(), settings.routes.len(), settings.exchanges.len()), (3, 2, 2));
    assert_eq!(settings.accounting.limits.len(), 3);
    assert_eq!(settings.methods, Method::ALL);
    // As it ships, everything is a comment.
    let folder = Folder::new().with(".env", example);
    assert!(load(&folder.sources(&[])).unwrap().dev_idp);
}
