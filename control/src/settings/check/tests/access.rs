use attach_core::config::Mode;

use super::*;
use crate::settings::{Agent, Method, Target};

const KEY: &str = "billing=0123456789abcdef0123456789abcdef";

fn methods(environment: &[(&str, &str)]) -> Vec<&'static str> {
    from_environment(environment).unwrap().methods.into_iter().map(Method::name).collect()
}

#[test]
fn a_method_is_on_by_its_own_setting_or_by_name() {
    let bot = "https://bot.example";
    for (environment, expected) in [
        (&[][..], &["oidc"][..]),
        (&[("DID_ALLOW", "*")], &["oidc", "did"]),
        (&[("AUTHORIZED_KEYS_DIR", "keys")], &["oidc", "rotagent"]),
        (&[("HMAC_KEYS", KEY)], &["oidc", "hmac"]),
        (&[("HTTPSIG_DIRECTORIES", bot)], &["oidc", "httpsig"]),
        (&[("AUTH_METHODS", "did,rotagent"), ("DID_ALLOW", "*")], &["did", "rotagent"]),
        (&[("AUTH_METHODS", "HMAC, oidc,oidc"), ("HMAC_KEYS", KEY)], &["oidc", "hmac"]),
        (&[("AUTH_METHODS", "did"), ("DID_ALLOW", "did:key:*"), ("HMAC_KEYS", KEY)], &["did"]),
    ] {
        assert_eq!(methods(environment), expected, "{environment:?}");
    }
}

#[test]
fn a_method_that_is_named_without_its_setting_is_an_error_that_names_the_setting() {
    for (method, setting) in [("did", "DID_ALLOW"), ("hmac", "HMAC_KEYS"), ("httpsig", "HTTPSIG_DIRECTORIES")]
    {
        assert_eq!(wrong(from_environment(&[("AUTH_METHODS", method)])), [setting]);
    }
    let rotagent = from_environment(&[("AUTH_METHODS", "oidc,rotagent")]).unwrap();
    assert!(rotagent.rotagent.unwrap().folder.ends_with("authorized_keys"));
    assert!(rotagent.notices.iter().any(|notice| notice.contains("attach keys generate")));
}

#[test]
fn rotagent_alone_needs_a_key_to_begin_with() {
    let alone = from_environment(&[("AUTH_METHODS", "rotagent")]).unwrap_err();
    assert!(alone.to_string().contains("AUTHORIZED_KEYS_DIR"), "{alone}");
    assert!(alone.to_string().contains("attach keys generate --issuer"), "{alone}");
}

#[test]
fn without_oidc_there_is_neither_an_issuer_nor_the_dev_identity_provider() {
    let did = [("AUTH_METHODS", "did"), ("DID_ALLOW", "did:key:*")];
    let settings = from_environment(&[&did[..], &[("HOST", "0.0.0.0")]].concat()).unwrap();
    assert!(settings.issuers.is_empty() && !settings.dev_idp);
    assert_eq!(settings.audiences, ["http://localhost:8080"]);

    let settings = with_issuer(&did).unwrap();
    assert!(settings.issuers.is_empty());
    assert_eq!(settings.audiences, ["api", "http://localhost:8080"]);
    assert!(settings.notices.iter().any(|notice| notice.contains("OIDC_ISSUER")), "{:?}", settings.notices);
}

#[test]
fn a_setting_whose_method_is_left_out_is_mentioned() {
    let settings = with_issuer(&[("AUTH_METHODS", "oidc"), ("DID_ALLOW", "*")]).unwrap();
    assert_eq!(settings.did_allow, None);
    assert_eq!(settings.notices, ["DID_ALLOW has no effect: AUTH_METHODS leaves did out"]);
}

#[test]
fn what_weakens_the_gateway_is_said_loudly() {
    let rotagent = ("AUTHORIZED_KEYS_DIR", "/");
    for (more, says) in [
        (&[("AUTH_MODE", "shadow")][..], "NOBODY IS REFUSED"),
        (&[rotagent, ("APP_ENV", "development")], "NOT FOR PRODUCTION"),
        (&[("DID_ALLOW", "*")], "whoever makes a key"),
        (&[("DEV_PRIVATE_KEY", "hunter2")], "DEV_PRIVATE_KEY"),
    ] {
        let settings = with_issuer(more).unwrap();
        assert_eq!(settings.notices.len(), 1, "{:?}", settings.notices);
        assert!(settings.notices[0].contains(says) && !settings.notices[0].contains("hunter2"));
    }
    assert_eq!(with_issuer(&[("AUTH_MODE", "shadow")]).unwrap().mode, Mode::Shadow);
    assert!(!with_issuer(&[rotagent, ("APP_ENV", "production")]).unwrap().development);
    assert!(!with_issuer(&[rotagent, ("APP_ENV", "Development")]).unwrap().development);
}

#[test]
fn app_env_is_judged_where_it_was_written_for_the_gateway() {
    for (value, good) in [("production", true), ("development", true), ("dev", false)] {
        let folder = Folder::new().with(".env", &format!("APP_ENV={value}\n"));
        assert_eq!(load(&folder.sources(&[])).is_ok(), good, "{value}");
    }
}

#[test]
fn hmac_keys_come_from_a_list_or_from_a_file() {
    let two = format!("{KEY},reports=fedcba9876543210fedcba9876543210,");
    let names = |settings: &Settings| -> Vec<String> {
        settings.hmac.as_ref().unwrap().keys.iter().map(|key| key.name.clone()).collect()
    };
    assert_eq!(names(&with_issuer(&[("HMAC_KEYS", &two)]).unwrap()), ["billing", "reports"]);
    let folder = Folder::new().with("keys", &format!("# services\n\n {KEY} \nreports={}\n", "x".repeat(32)));
    let settings = load(&folder.sources(&[("HMAC_KEYS", "@keys")])).unwrap();
    assert_eq!(names(&settings), ["billing", "reports"]);
    assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    for bad in [format!("{KEY},{KEY}"), "@keys".to_owned(), KEY.to_owned() + ",x"] {
        let invalid = with_issuer(&[("HMAC_KEYS", &bad)]).unwrap_err();
        assert!(!invalid.to_string().contains("0123456789abcdef"), "{invalid}");
    }
}

#[test]
fn a_process_that_is_not_given_secrets_does_not_miss_them() {
    let environment = [
        ("AUTH_METHODS", "oidc,hmac"),
        ("OIDC_ISSUER", "https://idp.example.com/"),
        ("OIDC_AUD", "api"),
        ("ENABLE_DESCOPE_EXCHANGE", "true"),
        ("DESCOPE_PROJECT_ID", "P2"),
        ("DESCOPE_CLIENT_ID", "c"),
    ];
    let sources = Sources { secrets_withheld: true, ..Folder::new().sources(&environment) };
    let settings = load(&sources).unwrap();
    assert!(settings.hmac.unwrap().keys.is_empty() && settings.exchanges[0].client_secret.is_none());
    let sources = Sources { secrets_withheld: false, ..sources };
    assert_eq!(wrong(load(&sources)), ["HMAC_KEYS", "DESCOPE_CLIENT_SECRET"]);
}

#[test]
fn a_signature_counts_for_the_gateways_own_names() {
    let bot = ("HTTPSIG_DIRECTORIES", "https://bot.example,ai=https://keys.example/k.json");
    let public = ("PUBLIC_URL", "https://gateway.example.com");
    let settings =
        with_issuer(&[bot, public, ("HTTPSIG_AUTHORITIES", "Gw.internal:8443, gateway.example.com:443")])
            .unwrap();
    let httpsig = settings.httpsig.unwrap();
    assert_eq!(httpsig.authorities, ["gateway.example.com", "gw.internal:8443"]);
    let names: Vec<_> = httpsig.directories.iter().map(|directory| directory.name.as_str()).collect();
    assert_eq!(names, ["bot.example", "ai"]);
    assert_eq!(httpsig.components, ["@method", "@authority", "@path", "@query", "content-digest"]);
    for bad in ["https://a.example", "a.example/x", "a b", "a.example:0"] {
        assert_eq!(
            wrong(with_issuer(&[bot, ("HTTPSIG_AUTHORITIES", bad)])),
            ["HTTPSIG_AUTHORITIES"],
            "{bad}"
        );
    }
}

#[test]
fn prefixes_are_told_apart_across_all_sources() {
    for (yaml, expected) in [
        ("", &[][..]),
        ("prefixes: {hmac: 'svc/', rotagent: 'k/'}", &[]),
        ("prefixes: {hmac: ''}", &["prefixes.hmac"]),
        ("prefixes: {hmac: 'key:'}", &["prefixes.rotagent", "prefixes.hmac"]),
        ("prefixes: {hmac: 'key:x'}", &["prefixes.rotagent"]),
        ("prefixes: {rotagent: 'did:key:'}", &["prefixes.rotagent"]),
        // Message signatures are off.
        ("prefixes: {httpsig: 'key:'}", &[]),
        (
            "issuers: [{issuer: 'https://p.example', audiences: [a], user_prefix: 'hmac:'}]",
            &["issuers[0].user_prefix", "prefixes.hmac"],
        ),
    ] {
        let folder = Folder::new().with("attach.yaml", yaml);
        let environment = [&ISSUER[..], &[("HMAC_KEYS", KEY), ("AUTHORIZED_KEYS_DIR", "/")]].concat();
        let problems =
            load(&folder.sources(&environment)).err().map_or(Vec::new(), |invalid| invalid.problems);
        let named: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        assert_eq!(named, expected, "{yaml}");
    }
}

#[test]
fn targets_and_the_agents_that_are_them_are_read() {
    let targets = ("A2A_TARGETS", "planner=http://127.0.0.1:9000/a/, coder=https://coder.example");
    let settings = with_issuer(&[targets, ("A2A_AGENTS", "planner=key:planner,coder=did:key:z6Mk")]).unwrap();
    let url = |text| url::Url::parse(text).unwrap();
    assert_eq!(
        settings.targets,
        [
            Target { name: "planner".into(), url: url("http://127.0.0.1:9000/a") },
            Target { name: "coder".into(), url: url("https://coder.example") },
        ]
    );
    assert_eq!(settings.agents[0], Agent { target: "planner".into(), identity: "key:planner".into() });
    let both = with_issuer(&[targets, ("A2A_AGENTS", "planner=key:a,coder=key:a")]);
    assert_eq!(wrong(both), ["A2A_AGENTS"]);
}

#[test]
fn required_scopes_stand_apart_by_blanks_or_commas() {
    let settings = with_issuer(&[("REQUIRED_SCOPES", "chat:run, models:read admin")]).unwrap();
    assert_eq!(settings.required_scopes, ["chat:run", "models:read", "admin"]);
}
