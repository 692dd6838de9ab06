//! The schemes' rules beyond OIDC's: one arm for each.

use super::{Errors, check_audiences, check_jwks, check_scopes, check_target, key_source, target, texts};
use crate::authn::exchange::{Exchange, From, Grant};
use crate::authn::extract::Schemes;
use crate::authn::grants::{Grants, UserPattern};
use crate::authn::httpsig::Component;
use crate::authn::oidc::without_slash;
use crate::authn::{did, gateway, hmac, httpsig, rotagent};
use crate::config::{
    DidConfig, ExchangeConfig, Grant as GrantName, HmacConfig, HttpsigConfig, PluginConfig, RotagentConfig,
};
use crate::policy::KeySource;
use crate::secret::Secret;

/// The VM's environment.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;
/// The most directories of signers; each costs every worker a key set.
const MAX_DIRECTORIES: usize = 64;
/// The most grants.
const MAX_GRANTS: usize = 1024;

/// All but the issuers. The sources that they need are added behind those that are there.
pub(super) fn of(
    config: &PluginConfig,
    secret: Environment<'_>,
    sources: &mut Vec<KeySource>,
    errors: &mut Errors,
) -> Schemes {
    // In this order, which is the sources'.
    let hmac = config.hmac.as_ref().and_then(|hmac| hmac_rules(hmac, secret, errors));
    let httpsig = config.httpsig.as_ref().map(|rules| httpsig_rules(rules, config, sources, errors));
    let rotagent = config.rotagent.as_ref().map(|rules| rotagent_rules(rules, sources, errors));
    let gateway = config.gateway_tokens.as_ref().map(|tokens| {
        check_jwks("gateway_tokens.jwks", &tokens.jwks, errors);
        sources.push(key_source(&tokens.jwks, "the gateway's own tokens"));
        gateway::Rules { issuer: config.public_url.as_str().into(), source: sources.len().saturating_sub(1) }
    });
    Schemes {
        did: config.did.as_ref().map(|did| did_rules(did, errors)),
        rotagent,
        hmac,
        httpsig,
        gateway,
        exchanges: exchanges(config, secret, errors),
        grants: grants(config, errors),
        ..Schemes::default()
    }
}

fn did_rules(did: &DidConfig, errors: &mut Errors) -> did::Rules {
    check_audiences("did.audiences", &did.audiences, errors);
    let mut allow = Vec::new();
    for (at, text) in did.allow.iter().enumerate() {
        match did::AllowedDid::parse(text) {
            Ok(allowed) => allow.push(allowed),
            Err(problem) => errors.add(format!("did.allow[{at}]"), format!("{text:?}: {problem}")),
        }
    }
    did::Rules { allow, audiences: texts(&did.audiences).into() }
}

fn rotagent_rules(
    rules: &RotagentConfig,
    sources: &mut Vec<KeySource>,
    errors: &mut Errors,
) -> rotagent::Rules {
    check_audiences("rotagent.audiences", &rules.audiences, errors);
    check_jwks("rotagent.jwks", &rules.jwks, errors);
    sources.push(key_source(&rules.jwks, "authorised keys"));
    rotagent::Rules {
        audiences: texts(&rules.audiences).into(),
        user_prefix: rules.user_prefix.as_str().into(),
        source: sources.len().saturating_sub(1),
        development: rules.development,
    }
}

fn hmac_rules(rules: &HmacConfig, secret: Environment<'_>, errors: &mut Errors) -> Option<hmac::Rules> {
    check_audiences("hmac.audiences", &rules.audiences, errors);
    let name = &rules.keys_env;
    let problem = match secret(name).map(|text| hmac::parse_keys(&text)) {
        Some(Ok(keys)) if !keys.is_empty() => {
            return Some(hmac::Rules {
                services: keys.into_iter().map(|(name, secret)| hmac::Service::new(name, &secret)).collect(),
                audiences: texts(&rules.audiences).into(),
                user_prefix: rules.user_prefix.as_str().into(),
            });
        }
        Some(Err(error)) => error.to_string(),
        _ => format!("the VM's environment variable {name} holds no key"),
    };
    errors.add("hmac.keys_env", problem);
    None
}

fn httpsig_rules(
    rules: &HttpsigConfig,
    config: &PluginConfig,
    sources: &mut Vec<KeySource>,
    errors: &mut Errors,
) -> httpsig::Rules {
    if rules.authorities.is_empty() {
        errors.add(
            "httpsig.authorities",
            "at least one is needed, or a signature for another site counts here",
        );
    }
    if rules.directories.len() > MAX_DIRECTORIES {
        errors.add("httpsig.directories", format!("at most {MAX_DIRECTORIES}"));
    }
    let mut directories = Vec::new();
    for (at, directory) in rules.directories.iter().enumerate() {
        let path = format!("httpsig.directories[{at}]");
        check_jwks(&format!("{path}.jwks"), &directory.jwks, errors);
        let earlier = || rules.directories.iter().take(at);
        if directory.name.is_empty() || earlier().any(|other| other.name == directory.name) {
            errors.add(format!("{path}.name"), "each directory needs a name of its own");
        }
        sources.push(key_source(&directory.jwks, &directory.name));
        let source = sources.len().saturating_sub(1);
        match httpsig::Directory::new(&directory.name, &directory.agent, source) {
            Some(directory)
                if directories
                    .iter()
                    .any(|earlier: &httpsig::Directory| earlier.agent == directory.agent) =>
            {
                errors.add(format!("{path}.agent"), "each directory needs an address of its own");
            }
            Some(directory) => directories.push(directory),
            None => errors.add(format!("{path}.agent"), "must be an http or https address"),
        }
    }
    let scheme = config.public_url.split("://").next().unwrap_or_default().to_ascii_lowercase();
    httpsig::Rules {
        authorities: rules
            .authorities
            .iter()
            .map(|text| httpsig::normal_authority(&scheme, text).into())
            .collect(),
        scheme: scheme.as_str().into(),
        directories,
        user_prefix: rules.user_prefix.as_str().into(),
        components: components("httpsig.components", &rules.components, errors).into(),
        max_age: rules.max_age_seconds,
    }
}

/// What a signature must cover.
pub(super) fn components(path: &str, list: &[String], errors: &mut Errors) -> Vec<Component> {
    let mut components = Vec::new();
    for (at, text) in list.iter().enumerate() {
        match Component::parse(text) {
            Some(component) => components.push(component),
            None => errors.add(format!("{path}[{at}]"), format!("{text:?} is no component of RFC 9421")),
        }
    }
    components
}

fn exchanges(config: &PluginConfig, secret: Environment<'_>, errors: &mut Errors) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for (at, exchange) in config.exchanges.iter().enumerate() {
        exchanges.extend(one_exchange(&format!("exchanges[{at}]"), exchange, config, secret, errors));
    }
    exchanges
}

fn one_exchange(
    path: &str,
    exchange: &ExchangeConfig,
    config: &PluginConfig,
    secret: Environment<'_>,
    errors: &mut Errors,
) -> Option<Exchange> {
    let is_issuer =
        |name: &str| config.issuers.iter().any(|issuer| without_slash(&issuer.issuer) == without_slash(name));
    if !is_issuer(&exchange.to) {
        errors.add(format!("{path}.to"), "must be one of the issuers");
    }
    if is_issuer(&exchange.from) {
        errors.add(format!("{path}.from"), "is believed itself, so its tokens are never exchanged");
    }
    check_target(&format!("{path}.endpoint"), &exchange.endpoint, errors);
    let name = &exchange.client_secret_env;
    let Some(client_secret) = secret(name).filter(|text| !text.is_empty()) else {
        errors.add(
            format!("{path}.client_secret_env"),
            format!("the VM's environment variable {name} holds no secret"),
        );
        return None;
    };
    Some(Exchange {
        from: match exchange.from.as_str() {
            "*" => From::Others,
            issuer => From::Issuer(without_slash(issuer).into()),
        },
        to: without_slash(&exchange.to).into(),
        grant: match exchange.grant {
            GrantName::JwtBearer => Grant::JwtBearer,
            GrantName::TokenExchange => Grant::TokenExchange,
        },
        endpoint: target(&exchange.endpoint),
        client_id: exchange.client_id.as_str().into(),
        client_secret: Secret::new(client_secret.into_bytes()),
        audience: exchange.audience.as_deref().map(Into::into),
        scope: exchange.scope.as_deref().map(Into::into),
    })
}

/// Whom a rule is about. A DID has several spellings and is stamped in one of them: a rule for another
/// would be about nobody.
pub(super) fn user_pattern(path: &str, text: &str, errors: &mut Errors) -> UserPattern {
    if text.is_empty() {
        errors.add(path, "must not be empty");
    }
    if !text.starts_with("did:") || text == "did:*" {
        return UserPattern::new(text);
    }
    match did::AllowedDid::parse(text) {
        Ok(allowed) => UserPattern::new(&allowed.stamped()),
        Err(problem) => {
            errors.add(path, format!("{text:?}: {problem}"));
            UserPattern::new(text)
        }
    }
}

fn grants(config: &PluginConfig, errors: &mut Errors) -> Grants {
    if config.grants.len() > MAX_GRANTS {
        errors.add("grants", format!("at most {MAX_GRANTS}"));
    }
    Grants::new(config.grants.iter().enumerate().map(|(at, grant)| {
        let user = user_pattern(&format!("grants[{at}].user"), &grant.user, errors);
        check_scopes(&format!("grants[{at}].scopes"), &grant.scopes, errors);
        (user, texts(&grant.scopes).into())
    }))
}
