use attach_core::config::Grant;

use super::*;

const PROJECT: (&str, &str) = ("DESCOPE_PROJECT_ID", "P2abc");
const BACKEND: (&str, &str) = ("AUTH_BACKEND", "descope");
const CLIENT: [(&str, &str); 3] = [
    ("ENABLE_DESCOPE_EXCHANGE", "True"),
    ("DESCOPE_CLIENT_ID", "client"),
    ("DESCOPE_CLIENT_SECRET", "hunter2"),
];

#[test]
fn descope_as_the_provider_needs_a_project_and_an_audience() {
    let settings = from_environment(&[BACKEND, PROJECT, ("OIDC_AUD", "api")]).unwrap();
    assert!(!settings.dev_idp);
    let [issuer] = settings.issuers.as_slice() else { panic!("{:?}", settings.issuers) };
    assert_eq!(issuer.issuer, "https://api.descope.com/v1/apps/P2abc");
    let keys = issuer.jwks_url.as_ref().unwrap().as_str();
    assert_eq!(keys, "https://api.descope.com/P2abc/.well-known/jwks.json");

    let own = [("DESCOPE_BASE_URL", "http://127.0.0.1:9/"), ("DESCOPE_JWKS_URL", "http://127.0.0.1:9/k")];
    let settings = from_environment(&[&[BACKEND, PROJECT, ("OIDC_AUD", "api")], &own[..]].concat()).unwrap();
    assert_eq!(settings.issuers[0].issuer, "http://127.0.0.1:9/v1/apps/P2abc");
    assert_eq!(settings.issuers[0].jwks_url.as_ref().unwrap().as_str(), "http://127.0.0.1:9/k");

    assert_eq!(wrong(from_environment(&[BACKEND])), ["DESCOPE_PROJECT_ID", "OIDC_AUD"]);
    assert_eq!(wrong(with_issuer(&[BACKEND])), ["DESCOPE_PROJECT_ID"]);
    let both = with_issuer(&[BACKEND, PROJECT, ("OIDC_JWKS_URL", "https://k.example")]);
    assert_eq!(wrong(both), ["OIDC_JWKS_URL"]);
    let with_keys = with_issuer(&[BACKEND, ("DESCOPE_JWKS_URL", "https://k.example/k")]).unwrap();
    assert_eq!(with_keys.issuers[0].jwks_url.as_ref().unwrap().as_str(), "https://k.example/k");
}

#[test]
fn a_placeholder_of_descopes_matters_where_descope_is_used() {
    let placeholder = ("DESCOPE_PROJECT_ID", "<your-descope-project-id>");
    assert_eq!(with_issuer(&[placeholder]).unwrap().notices, Vec::<String>::new());
    assert_eq!(wrong(with_issuer(&[BACKEND, placeholder])), ["DESCOPE_PROJECT_ID"]);
    let unused = with_issuer(&[PROJECT]).unwrap();
    assert_eq!(unused.notices.len(), 1, "{:?}", unused.notices);
}

#[test]
fn descopes_exchange_ends_at_an_issuer_of_its_own() {
    let settings = with_issuer(&[&CLIENT[..], &[PROJECT, ("DESCOPE_AUD", "agents")]].concat()).unwrap();
    let [first, descope] = settings.issuers.as_slice() else { panic!("{:?}", settings.issuers) };
    assert_eq!((first.user_prefix.as_str(), first.audiences.as_slice()), ("", &["api".to_owned()][..]));
    assert_eq!(
        (descope.user_prefix.as_str(), descope.audiences.as_slice()),
        ("descope|", &["agents".to_owned()][..])
    );
    let [exchange] = settings.exchanges.as_slice() else { panic!("{:?}", settings.exchanges) };
    assert_eq!((exchange.from.as_str(), exchange.to.as_str()), ("*", descope.issuer.as_str()));
    assert_eq!(exchange.grant, Grant::JwtBearer);
    assert_eq!(exchange.endpoint.as_str(), "https://api.descope.com/oauth2/v1/apps/token");
    assert_eq!(exchange.client_secret.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn descopes_exchange_ends_at_the_first_issuer_where_that_is_descopes() {
    let more = [BACKEND, PROJECT, ("OIDC_AUD", "api"), ("DESCOPE_AUD", "agents")];
    let settings = from_environment(&[&CLIENT[..], &more].concat()).unwrap();
    assert_eq!(settings.issuers.len(), 1);
    assert_eq!(settings.issuers[0].audiences, ["api", "agents"]);
    assert_eq!(settings.exchanges[0].to, settings.issuers[0].issuer);
}

#[test]
fn everything_that_descopes_exchange_lacks_is_named_at_once() {
    let lacking = ["DESCOPE_PROJECT_ID", "DESCOPE_CLIENT_ID", "DESCOPE_CLIENT_SECRET"];
    assert_eq!(wrong(with_issuer(&CLIENT[..1])), lacking);
    assert_eq!(
        wrong(from_environment(&[&CLIENT[..], &[PROJECT]].concat())),
        ["ENABLE_DESCOPE_EXCHANGE"],
        "the dev identity provider takes no part in it"
    );
    let off = [("AUTH_METHODS", "did"), ("DID_ALLOW", "*")];
    assert_eq!(
        wrong(from_environment(&[&off[..], &CLIENT, &[PROJECT]].concat())),
        ["ENABLE_DESCOPE_EXCHANGE"]
    );
}

const YAML: &str = "exchanges:\n  - {from: FROM, to: TO, token_url: 'https://sts.example/token', client_id: gw, \
                    client_secret_env: STS_SECRET, audience: attach, scope: 'chat:run x'}\n";

fn exchanging(from: &str, to: &str, file: &str, environment: &[(&str, &str)]) -> Result<Settings, Invalid> {
    let folder =
        Folder::new().with("attach.yaml", &YAML.replace("FROM", from).replace("TO", to)).with(".env", file);
    load(&folder.sources(&[&ISSUER[..], environment].concat()))
}

#[test]
fn an_exchange_of_the_yaml_file_finds_its_secret_where_settings_stand() {
    let to = "'https://idp.example.com'";
    for (file, environment) in [("", &[("STS_SECRET", "hunter2")][..]), ("STS_SECRET=hunter2\n", &[])] {
        let settings = exchanging("'*'", to, file, environment).unwrap();
        assert_eq!(settings.exchanges[0].client_secret.as_ref().unwrap().expose(), "hunter2");
        assert_eq!(settings.exchanges[0].grant, Grant::TokenExchange);
        assert_eq!(settings.exchanges[0].scope.as_deref(), Some("chat:run x"));
    }
    for environment in [&[][..], &[("STS_SECRET", "")], &[("STS_SECRET", "a b")]] {
        assert_eq!(wrong(exchanging("'*'", to, "", environment)), ["exchanges[0].client_secret_env"]);
    }
}

#[test]
fn an_exchange_is_between_an_unknown_issuer_and_a_known_one() {
    let secret = [("STS_SECRET", "hunter2")];
    let (own, other) = ("'https://idp.example.com/'", "'https://other.example'");
    assert!(exchanging(other, own, "", &secret).is_ok());
    assert_eq!(wrong(exchanging(other, other, "", &secret)), ["exchanges[0].to"]);
    assert_eq!(wrong(exchanging(own, own, "", &secret)), ["exchanges[0].from"]);
    let both = [&secret[..], &CLIENT, &[PROJECT]].concat();
    assert_eq!(wrong(exchanging("'*'", own, "", &both)), ["ENABLE_DESCOPE_EXCHANGE"]);
}

#[test]
fn more_can_be_said_of_the_first_issuer_in_the_yaml_file() {
    let folder = Folder::new().with(
        "attach.yaml",
        "oidc: {audiences: mobile, required_scopes: chat:run, claim_headers: [{claim: org, header: x-attach-org}]}\n\
         models: [{claim: {header: x-attach-org, value: a}, allow: ['*']}, {claim: {header: x-attach-no, value: a}, allow: ['*']}]\n",
    );
    assert_eq!(wrong(load(&folder.sources(&ISSUER))), ["models[1].claim.header"]);
    let folder =
        Folder::new().with("attach.yaml", "oidc: {audiences: [mobile, api], required_scopes: 'a b'}\n");
    let settings = load(&folder.sources(&ISSUER)).unwrap();
    assert_eq!(settings.issuers[0].audiences, ["api", "mobile"]);
    assert_eq!(settings.issuers[0].required_scopes, ["a", "b"]);
}
