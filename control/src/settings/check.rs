//! From texts to [`Settings`]: every rule of every setting, none of which stops the next.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use self::files::{read_bounded, read_env_file};
use super::problem::{Findings, shown};
use super::values::Values;
use super::{Auth0, Invalid, LogLevel, Method, Secret, Settings, Sources, document, prefix};

mod accounting;
mod credentials;
mod descope;
mod exchanges;
mod files;
mod httpsig;
mod issuers;
mod memory;
mod methods;
mod network;
mod targets;

/// `PORT` where nobody sets it.
const DEFAULT_PORT: u16 = 8080;

/// See [`super::load`].
pub(crate) fn load(sources: &Sources) -> Result<Settings, Invalid> {
    let mut findings = Findings::default();
    let (env_file, entries) = read_env_file(sources, &mut findings);
    let folder = env_file.as_deref().and_then(Path::parent).unwrap_or(&sources.folder).to_owned();
    let values = Values::gather(sources, &entries, &mut findings);
    let secrets_withheld = sources.secrets_withheld;
    let mut check = Checker { values, folder, secrets_withheld, findings };

    let methods = check.methods();
    let oidc = methods.contains(&Method::Oidc);
    let descope = check.descope(oidc);
    let dev_idp = oidc && !descope.is_provider && !check.values.is_set("OIDC_ISSUER");
    let (document_path, document) = check.document();
    let first = check.first_issuer(dev_idp, &descope);
    let host = check.host(dev_idp);
    let engine = check.engine();
    let ports = check.ports(dev_idp, engine.url.is_none());
    check.is_not_the_gateway("ENGINE_URL", engine.url.as_ref(), &ports);
    let public_url = check.public_url(host, ports.gateway);
    let audiences = check.audiences(dev_idp, &public_url);

    let prefixes = document.prefixes;
    let mut issuers = Vec::new();
    if oidc {
        issuers.push(first.resolve(ports.idp, document.oidc));
        check.add_descope(&descope, &prefixes.descope, &mut issuers);
        issuers.extend(document.issuers);
    } else if check.values.is_set("OIDC_ISSUER") || !document.issuers.is_empty() {
        check.findings.notice("AUTH_METHODS leaves oidc out: OIDC_ISSUER and `issuers` have no effect");
    }
    check.issuers_differ(&issuers, dev_idp, &public_url);
    let mut exchanges = check.exchanges(document.exchanges, sources, &entries);
    exchanges.extend(descope.exchange);
    check.exchanges_fit(&exchanges, &issuers);
    check.models_fit(&document.models, &issuers);
    check.limits_fit(&document.limits, &issuers);

    if dev_idp && methods.len() > 1 && !check.values.is_set("AUTH_METHODS") {
        check.findings.notice(
            "the dev identity provider, which trusts everyone, is on beside the other methods: set OIDC_ISSUER, or AUTH_METHODS without oidc",
        );
    }
    let development = check.development(&methods);
    check.dev_private_key(development);
    let rotagent = check.rotagent(&methods, prefixes.rotagent);
    let hmac = check.hmac(&methods, prefixes.hmac);
    let httpsig = check.httpsig(&methods, prefixes.httpsig, document.httpsig, &public_url);
    let others = [
        ("prefixes.rotagent", rotagent.as_ref().map(|on| &on.user_prefix)),
        ("prefixes.hmac", hmac.as_ref().map(|on| &on.user_prefix)),
        ("prefixes.httpsig", httpsig.as_ref().map(|on| &on.user_prefix)),
    ];
    let others: Vec<_> =
        others.into_iter().filter_map(|(name, prefix)| Some((name, prefix?.as_str()))).collect();
    prefix::check(&issuers, &others, &mut check.findings);
    let targets = check.targets(&ports);

    let settings = Settings {
        mode: check.mode(),
        issuers,
        dev_idp,
        audiences,
        did_allow: check.did_allow(&methods),
        rotagent,
        hmac,
        httpsig,
        development,
        exchanges,
        required_scopes: check.required_scopes(),
        grants: document.grants,
        models: document.models,
        redis_url: check.redis_url(),
        accounting: check.accounting(document.limits, &ports),
        memory: check.memory(document.redaction, &methods, &ports),
        agents: check.agents(&targets),
        targets,
        methods,
        auth0: check.auth0(),
        engine,
        host,
        ports,
        public_url,
        cors_origins: check.cors_origins(),
        log_level: check.log_level(),
        routes: document.routes,
        jwks: document.jwks,
        envoy_bin: check.envoy_bin(),
        envoy_concurrency: check.number("ENVOY_CONCURRENCY", 1..=1024),
        ssl_cert_file: check.ssl_cert_file(),
        state_dir: check.state_dir(sources, ports.gateway),
        document: document_path,
        env_file,
        folder: check.folder.clone(),
        notices: Vec::new(),
    };
    let Findings { problems, notices } = check.findings;
    if problems.is_empty() {
        Ok(Settings { notices, ..settings })
    } else {
        Err(Invalid { problems, notices })
    }
}

/// See [`super::state_dir`].
pub(crate) fn state_dir(sources: &Sources) -> Result<PathBuf, Invalid> {
    if let Some(path) = &sources.state_dir {
        return Ok(sources.folder.join(path));
    }
    let mut findings = Findings::default();
    let (_, entries) = read_env_file(sources, &mut findings);
    let values = Values::gather(sources, &entries, &mut findings);
    // Only what the folder's name hangs on counts here.
    let mut check = Checker {
        values,
        folder: sources.folder.clone(),
        secrets_withheld: sources.secrets_withheld,
        findings: Findings::default(),
    };
    let port = check.number("PORT", 1..=u16::MAX).unwrap_or(DEFAULT_PORT);
    let folder = check.state_dir(sources, port);
    let Findings { problems, notices } = check.findings;
    if problems.is_empty() { Ok(folder) } else { Err(Invalid { problems, notices }) }
}

struct Checker {
    values: Values,
    folder: PathBuf,
    /// See [`Sources::secrets_withheld`].
    secrets_withheld: bool,
    findings: Findings,
}

impl Checker {
    fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.text.clone())
    }

    fn label(&self, name: &'static str) -> &'static str {
        self.values.get(name).map_or(name, |value| value.label)
    }

    fn problem(&mut self, name: &'static str, message: impl Into<String>) {
        let label = self.label(name);
        self.findings.problem(label, message);
    }

    /// What `read` makes of the text, or nothing and a problem.
    fn parse<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        read(&text).map_err(|message| self.problem(name, message)).ok()
    }

    fn number<N>(&mut self, name: &'static str, range: RangeInclusive<N>) -> Option<N>
    where
        N: std::str::FromStr + PartialOrd + Display,
    {
        self.parse(name, |text| {
            text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
                format!("{} must be a whole number from {} to {}", shown(text), range.start(), range.end())
            })
        })
    }

    fn document(&mut self) -> (Option<PathBuf>, document::Document) {
        let (path, label) = match self.text("ATTACH_CONFIG") {
            Some(text) => (self.folder.join(text), "ATTACH_CONFIG"),
            None => (self.folder.join("attach.yaml"), "attach.yaml"),
        };
        if label == "attach.yaml" && !path.exists() {
            return (None, document::Document::default());
        }
        match read_bounded(&path, document::MAX_BYTES) {
            Ok(text) => {
                let document = document::parse(&path.display().to_string(), &text, &mut self.findings);
                (Some(path), document)
            }
            Err(why) => {
                self.findings.problem(label, format!("{} {why}", path.display()));
                (None, document::Document::default())
            }
        }
    }

    /// The parts of a list with commas, none of them empty.
    fn parts(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Whether a setting was refused already, so that nothing more need be said about it.
    fn has_problem(&self, name: &str) -> bool {
        self.findings.problems.iter().any(|problem| problem.setting == name)
    }

    /// A secret that can stand in a header.
    fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.parse(name, |text| {
            if text.bytes().all(|b| b.is_ascii_graphic()) {
                Ok(Secret::new(text.to_owned()))
            } else {
                Err("must be visible ASCII signs without spaces (the value is not shown)".to_owned())
            }
        })
    }

    fn auth0(&mut self) -> Auth0 {
        let domain = self.parse("AUTH0_DOMAIN", |text| {
            let plain =
                url::Host::parse(text).is_ok_and(|host| host.to_string() == text.to_ascii_lowercase());
            if plain {
                Ok(text.to_owned())
            } else {
                Err(format!("{} must be a host name alone, for example your-domain.auth0.com", shown(text)))
            }
        });
        Auth0 { domain, client: self.text("AUTH0_CLIENT"), secret: self.secret("AUTH0_SECRET") }
    }

    fn log_level(&mut self) -> LogLevel {
        let level = self.parse("LOG_LEVEL", |text| match text.to_ascii_lowercase().as_str() {
            "trace" => Ok(LogLevel::Trace),
            "debug" => Ok(LogLevel::Debug),
            "info" => Ok(LogLevel::Info),
            "warn" | "warning" => Ok(LogLevel::Warning),
            "error" | "critical" => Ok(LogLevel::Error),
            _ => Err(format!("{} must be trace, debug, info, warning or error", shown(text))),
        });
        level.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
