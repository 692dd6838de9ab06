//! From the document to the [`Policy`]: everything is judged once, here, and every error is reported.

use core::fmt;
use core::time::Duration;

use super::accounting::DEFAULT_MAX_REQUEST_BYTES;
use super::{IssuerConfig, JwksConfig, Mode, PluginConfig, ReplayConfig, TargetConfig, VERSION};
use crate::authn::claims::is_scope;
use crate::authn::extract::Schemes;
use crate::authn::gateway::is_mapped_header;
use crate::authn::oidc::{Provider, Space, without_slash};
use crate::keys::discovery::Target;
use crate::keys::turn::Schedule;
use crate::policy::route::{Access, Destination, Pattern};
use crate::policy::{KeySource, Policy, RoutePolicy, RouteRules};
use crate::secret::Secret;

mod accounting;
pub mod memory;
mod metering;
mod schemes;
mod upstream;

/// What every DID begins with; no issuer's users may.
pub const DID_PREFIX: &str = "did:";
/// What other methods' names begin with by default. Kept for them while they are off: whoever had such a
/// name would be their user on the day that they are turned on.
pub const DEFAULT_PREFIXES: [&str; 3] = ["hmac:", "key:", "sig:"];
/// The fewest characters of the secret that filter and control share: 256 bits in hexadecimal.
pub const SECRET_CHARS: usize = 64;
/// The most issuers; each costs every worker a key set.
const MAX_ISSUERS: usize = 32;
/// The most routes; each is looked at on a request.
const MAX_ROUTES: usize = 256;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where in the document: `issuers[1].user_prefix`.
    pub path: String,
    /// What is wrong there; never a secret's value.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Reads a document and compiles it. `secret` gives the VM's environment variables.
///
/// # Errors
/// Everything that is wrong with it; the operator's fault. A document that is out of shape has one error,
/// since nothing behind it can be read.
pub fn compile(text: &[u8], secret: &dyn Fn(&str) -> Option<String>) -> Result<Policy, Vec<ConfigError>> {
    let config: PluginConfig = serde_json::from_slice(text).map_err(|error| {
        vec![ConfigError { path: "configuration".to_owned(), problem: error.to_string() }]
    })?;
    let mut errors = Errors::default();
    let policy = policy(&config, secret, &mut errors);
    if errors.0.is_empty() { Ok(policy) } else { Err(errors.0) }
}

/// What is wrong with the prefixes of users' names, with each one's place in the list. The first is the first
/// issuer's, then come the other issuers' and the other schemes'; `None` where there is no such source.
///
/// Two sources whose users could have the same name would share a quota and a memory, so each but the first
/// issuer has a prefix, none of them the beginning of another, and none that of a DID.
#[must_use]
pub fn prefix_problems(prefixes: &[Option<&str>]) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    for (at, prefix) in prefixes.iter().enumerate() {
        let Some(prefix) = prefix else { continue };
        if prefix.is_empty() {
            if at > 0 {
                problems.push((
                    at,
                    "every source but the first issuer needs one, such as \"partner|\"".to_owned(),
                ));
            }
            continue;
        }
        if at == 0 {
            problems.push((at, "the first issuer's users stand as they are: leave it empty".to_owned()));
        }
        if prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_graphic()) {
            problems.push((at, "must be at most 64 visible ASCII characters".to_owned()));
        }
        if prefix.starts_with(DID_PREFIX) || DID_PREFIX.starts_with(*prefix) {
            problems.push((at, format!("{prefix:?} is the beginning of a DID, or the other way round")));
        }
        for (other_at, other) in prefixes.iter().enumerate() {
            if let Some(other) = other
                && at != other_at
                && !other.is_empty()
                && other.starts_with(*prefix)
            {
                problems.push((
                    at,
                    format!("{prefix:?} is the beginning of {other:?}, which is another source's"),
                ));
            }
        }
    }
    problems
}

#[derive(Default)]
struct Errors(Vec<ConfigError>);

impl Errors {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(ConfigError { path: path.into(), problem: problem.into() });
    }
}

fn policy(config: &PluginConfig, secret: &dyn Fn(&str) -> Option<String>, errors: &mut Errors) -> Policy {
    if config.version != VERSION {
        errors.add("version", format!("this module reads version {VERSION}, this is {}", config.version));
    }
    if !config.public_url.starts_with("http://") && !config.public_url.starts_with("https://")
        || config.public_url.ends_with('/')
        || !config.public_url.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    {
        errors.add("public_url", "must be an http or https address without a trailing slash");
    }
    if config.issuers.is_empty()
        && config.did.is_none()
        && config.rotagent.is_none()
        && config.hmac.is_none()
        && config.httpsig.is_none()
    {
        errors.add("issuers", "an issuer or another method is needed, or nobody can be verified");
    }
    if config.issuers.len() > MAX_ISSUERS {
        errors.add("issuers", format!("at most {MAX_ISSUERS}"));
    }
    if config.routes.len() > MAX_ROUTES {
        errors.add("routes", format!("at most {MAX_ROUTES}"));
    }
    let prefixes = check_prefixes(config, errors);
    for (at, issuer) in config.issuers.iter().enumerate() {
        check_issuer(at, issuer, config, errors);
    }
    check_scopes("required_scopes", &config.required_scopes, errors);

    let mut sources: Vec<KeySource> =
        config.issuers.iter().map(|issuer| key_source(&issuer.jwks, &issuer.issuer)).collect();
    let schemes = Schemes {
        providers: providers(config, errors),
        reserved: prefixes
            .iter()
            .flatten()
            .filter(|prefix| !prefix.is_empty())
            .chain([&DID_PREFIX])
            .chain(&DEFAULT_PREFIXES)
            .map(|prefix| (*prefix).into())
            .collect(),
        ..schemes::of(config, secret, &mut sources, errors)
    };
    let (routes, mut rules) = routes(config, errors);
    let metrics_rules = config.metrics_scope.as_ref().map(|scope| {
        check_scopes("metrics_scope", std::slice::from_ref(scope), errors);
        rules.push(RouteRules { scopes: [scope.as_str().into()].into(), ..RouteRules::default() });
        rules.len() - 1
    });
    Policy {
        schemes,
        sources,
        is_shadow: config.mode == Mode::Shadow,
        required_scopes: texts(&config.required_scopes),
        models: upstream::models(config, errors),
        signer: upstream::signer(config, secret, errors),
        control_remembers: config.replay == ReplayConfig::Control,
        routes,
        defaults: Policy::default_routes(metrics_rules),
        rules,
        targets: upstream::targets(config, errors),
        engine_authorization: engine_authorization(config, secret, errors),
        max_request_bytes: config
            .accounting
            .as_ref()
            .map_or(DEFAULT_MAX_REQUEST_BYTES, |accounting| accounting.max_request_bytes)
            .try_into()
            .unwrap_or(usize::MAX),
        accounting: accounting::accounting(config, errors),
        control_secret: control_secret(config, secret, errors),
        control: upstream::control(config, errors),
        metering: metering::of(config, secret, errors),
        memory: memory::of(config, secret, errors),
        resource_metadata: format!("{}/.well-known/oauth-protected-resource", config.public_url).into(),
    }
}

fn texts(list: &[String]) -> Vec<Box<str>> {
    list.iter().map(|text| text.as_str().into()).collect()
}

/// Every source's prefix, checked against each other.
fn check_prefixes<'a>(config: &'a PluginConfig, errors: &mut Errors) -> Vec<Option<&'a str>> {
    let mut named: Vec<(String, Option<&str>)> = config
        .issuers
        .iter()
        .enumerate()
        .map(|(at, issuer)| (format!("issuers[{at}].user_prefix"), Some(issuer.user_prefix.as_str())))
        .collect();
    if named.is_empty() {
        // The first place is the first issuer's, whether there is one or not.
        named.push((String::new(), None));
    }
    named.extend([
        ("rotagent.user_prefix".to_owned(), config.rotagent.as_ref().map(|rules| rules.user_prefix.as_str())),
        ("hmac.user_prefix".to_owned(), config.hmac.as_ref().map(|rules| rules.user_prefix.as_str())),
        ("httpsig.user_prefix".to_owned(), config.httpsig.as_ref().map(|rules| rules.user_prefix.as_str())),
    ]);
    let prefixes: Vec<Option<&str>> = named.iter().map(|(_, prefix)| *prefix).collect();
    for (at, problem) in prefix_problems(&prefixes) {
        if let Some((path, _)) = named.get(at) {
            errors.add(path.clone(), problem);
        }
    }
    prefixes
}

fn check_scopes(path: &str, scopes: &[String], errors: &mut Errors) {
    for (at, scope) in scopes.iter().enumerate() {
        if !is_scope(scope) {
            errors.add(format!("{path}[{at}]"), "must be one scope, without spaces or quotes");
        }
    }
}

fn check_issuer(at: usize, issuer: &IssuerConfig, config: &PluginConfig, errors: &mut Errors) {
    let path = |field: &str| format!("issuers[{at}].{field}");
    if issuer.issuer.is_empty() {
        errors.add(path("issuer"), "must not be empty");
    }
    let is_same = |other: &IssuerConfig| without_slash(&other.issuer) == without_slash(&issuer.issuer);
    if without_slash(&issuer.issuer) == config.public_url {
        errors.add(path("issuer"), "is the gateway itself; its own tokens need no entry");
    }
    if config.issuers.iter().take(at).any(is_same) {
        errors.add(path("issuer"), "is named twice; give one entry all its audiences");
    }
    check_audiences(&path("audiences"), &issuer.audiences, errors);
    check_scopes(&path("required_scopes"), &issuer.required_scopes, errors);
    for (number, mapping) in issuer.claim_headers.iter().enumerate() {
        let path = path(&format!("claim_headers[{number}]"));
        if mapping.claim.is_empty() {
            errors.add(format!("{path}.claim"), "must not be empty");
        }
        if !is_mapped_header(&mapping.header) {
            errors.add(
                format!("{path}.header"),
                "must begin with x-attach-, be in lower case and none of the gateway's own",
            );
        }
        if issuer.claim_headers.iter().take(number).any(|earlier| earlier.header == mapping.header) {
            errors.add(format!("{path}.header"), "stands here twice");
        }
    }
    check_jwks(&path("jwks"), &issuer.jwks, errors);
}

fn check_audiences(path: &str, audiences: &[String], errors: &mut Errors) {
    if audiences.is_empty() || audiences.iter().any(String::is_empty) {
        errors.add(path, "at least one is needed, and none may be empty");
    }
}

fn check_jwks(path: &str, jwks: &JwksConfig, errors: &mut Errors) {
    check_target(&format!("{path}.keys"), &jwks.keys, errors);
    if let Some(discovery) = &jwks.discovery {
        check_target(&format!("{path}.discovery"), discovery, errors);
    }
    // Control's own sets are asked for often, so that a key that is taken away is gone at once.
    let least = if jwks.internal { 1 } else { 10 };
    if jwks.refresh_seconds < least {
        errors.add(format!("{path}.refresh_seconds"), format!("must be at least {least}"));
    }
    if jwks.max_stale_seconds < jwks.refresh_seconds {
        errors.add(format!("{path}.max_stale_seconds"), "must be at least refresh_seconds");
    }
}

fn check_target(path: &str, target: &TargetConfig, errors: &mut Errors) {
    for (field, value) in [("cluster", &target.cluster), ("authority", &target.authority)] {
        if value.is_empty() {
            errors.add(format!("{path}.{field}"), "must not be empty");
        }
    }
    if !matches!(target.scheme.as_str(), "http" | "https") {
        errors.add(format!("{path}.scheme"), "must be http or https");
    }
    if !target.path.starts_with('/') {
        errors.add(format!("{path}.path"), "must begin with '/'");
    }
}

fn providers(config: &PluginConfig, errors: &mut Errors) -> Vec<Provider> {
    // Whoever else can issue tokens has no say in who is on the teams of the first issuer's users.
    let mut spaces = Some(memory::spaces(config, errors));
    config.issuers.iter().map(|issuer| provider(issuer, spaces.take().unwrap_or_default())).collect()
}

fn provider(issuer: &IssuerConfig, spaces: Box<[Space]>) -> Provider {
    Provider {
        issuer: without_slash(&issuer.issuer).into(),
        audiences: issuer.audiences.iter().map(|audience| audience.as_str().into()).collect(),
        user_prefix: issuer.user_prefix.as_str().into(),
        required_scopes: issuer.required_scopes.iter().map(|scope| scope.as_str().into()).collect(),
        claim_headers: issuer
            .claim_headers
            .iter()
            .map(|mapping| (mapping.claim.as_str().into(), mapping.header.as_str().into()))
            .collect(),
        spaces,
    }
}

fn key_source(jwks: &JwksConfig, name: &str) -> KeySource {
    KeySource {
        keys: target(&jwks.keys),
        discovery: jwks.discovery.as_ref().map(target),
        schedule: Schedule {
            refresh: Duration::from_secs(jwks.refresh_seconds),
            max_stale: Duration::from_secs(jwks.max_stale_seconds),
            may_be_empty: jwks.internal,
        },
        name: name.into(),
        issuer: without_slash(name).into(),
        is_internal: jwks.internal,
    }
}

fn target(target: &TargetConfig) -> Target {
    Target {
        cluster: target.cluster.as_str().into(),
        scheme: target.scheme.as_str().into(),
        authority: target.authority.as_str().into(),
        path: target.path.as_str().into(),
    }
}

fn routes(config: &PluginConfig, errors: &mut Errors) -> (Vec<(Pattern, RoutePolicy)>, Vec<RouteRules>) {
    let mut routes = Vec::new();
    let mut rules = Vec::new();
    for (at, route) in config.routes.iter().enumerate() {
        if route.to != Destination::Engine {
            errors.add(format!("routes[{at}].to"), "only the engine can be given routes");
        }
        if route.access == Access::Public && route.forward_credential {
            errors.add(
                format!("routes[{at}].forward_credential"),
                "a public route's credentials are not verified, so they cannot travel on",
            );
        }
        check_scopes(&format!("routes[{at}].scopes"), &route.scopes, errors);
        let components = route
            .components
            .as_ref()
            .map(|list| schemes::components(&format!("routes[{at}].components"), list, errors).into());
        let tokens = route
            .tokens
            .as_ref()
            .map(|tokens| accounting::route_tokens(&format!("routes[{at}].tokens"), tokens, errors));
        let has_rules = !route.scopes.is_empty() || components.is_some() || tokens.is_some();
        let place = has_rules.then_some(rules.len());
        if has_rules {
            rules.push(RouteRules { scopes: texts(&route.scopes).into(), components, tokens });
        }
        match Pattern::parse(&route.path) {
            Ok(pattern) => routes.push((
                pattern,
                RoutePolicy {
                    access: route.access,
                    to: route.to,
                    forward_credential: route.forward_credential,
                    rules: place,
                    target: None,
                },
            )),
            Err(error) => errors.add(format!("routes[{at}].path"), format!("{:?} {error}", route.path)),
        }
    }
    (routes, rules)
}

fn engine_authorization(
    config: &PluginConfig,
    secret: &dyn Fn(&str) -> Option<String>,
    errors: &mut Errors,
) -> Option<Secret> {
    let name = config.engine.api_key_env.as_deref()?;
    match secret(name) {
        Some(key) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Some(Secret::new(format!("Bearer {key}").into_bytes()))
        }
        _ => {
            errors.add("engine.api_key_env", format!("the VM's environment variable {name} holds no key"));
            None
        }
    }
}

fn control_secret(
    config: &PluginConfig,
    secret: &dyn Fn(&str) -> Option<String>,
    errors: &mut Errors,
) -> Secret {
    let name = &config.control.secret_env;
    let value = secret(name).unwrap_or_default();
    if value.len() < SECRET_CHARS || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
        errors.add(
            "control.secret_env",
            format!("the VM's environment variable {name} must hold {SECRET_CHARS} hexadecimal digits"),
        );
    }
    Secret::new(value.into_bytes())
}

#[cfg(test)]
mod tests;
