//! From texts to [`Settings`]: every rule of every setting, none of which stops the next.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use url::Url;

use self::files::{read_bounded, read_env_file};
use super::problem::{Findings, shown};
use super::values::Values;
use super::{
    Auth0, DEV_AUDIENCE, Invalid, Issuer, LogLevel, Secret, Settings, Sources, document, prefix, url_rules,
};

mod files;
mod network;

/// `PORT` where nobody sets it.
const DEFAULT_PORT: u16 = 8080;

/// See [`super::load`].
pub(crate) fn load(sources: &Sources) -> Result<Settings, Invalid> {
    let mut findings = Findings::default();
    let (env_file, entries) = read_env_file(sources, &mut findings);
    let folder = env_file.as_deref().and_then(Path::parent).unwrap_or(&sources.folder).to_owned();
    let values = Values::gather(sources, &entries, &mut findings);
    let mut check = Checker { values, folder, findings };

    let dev_idp = !check.values.is_set("OIDC_ISSUER");
    let (document_path, document) = check.document();
    let first = check.first_issuer(dev_idp);
    check.unsupported_methods();
    let host = check.host(dev_idp);
    let engine = check.engine();
    let ports = check.ports(dev_idp, engine.url.is_none());
    check.engine_is_not_the_gateway(engine.url.as_ref(), &ports);

    let mut issuers = vec![first.resolve(ports.idp)];
    issuers.extend(document.issuers);
    check.issuers_differ(&issuers);
    prefix::check(&issuers, &mut check.findings);

    let settings = Settings {
        issuers,
        dev_idp,
        auth0: check.auth0(),
        engine,
        host,
        ports,
        public_url: check.public_url(host, ports.gateway),
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
    let mut check = Checker { values, folder: sources.folder.clone(), findings: Findings::default() };
    let port = check.number("PORT", 1..=u16::MAX).unwrap_or(DEFAULT_PORT);
    let folder = check.state_dir(sources, port);
    let Findings { problems, notices } = check.findings;
    if problems.is_empty() { Ok(folder) } else { Err(Invalid { problems, notices }) }
}

/// The first issuer, before the dev identity provider's port is known.
struct FirstIssuer {
    issuer: Option<String>,
    audience: String,
    jwks_url: Option<Url>,
}

impl FirstIssuer {
    fn resolve(self, idp_port: u16) -> Issuer {
        Issuer {
            setting: "OIDC_ISSUER".to_owned(),
            issuer: self.issuer.unwrap_or_else(|| format!("http://127.0.0.1:{idp_port}")),
            audiences: vec![self.audience],
            jwks_url: self.jwks_url,
            user_prefix: String::new(),
        }
    }
}

struct Checker {
    values: Values,
    folder: PathBuf,
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

    fn first_issuer(&mut self, dev_idp: bool) -> FirstIssuer {
        let issuer = self.parse("OIDC_ISSUER", |text| document::issuer_url(text).map(|()| text.to_owned()));
        let audience = self.text("OIDC_AUD");
        if !dev_idp && audience.is_none() && self.findings.problems.iter().all(|p| p.setting != "OIDC_AUD") {
            self.problem(
                "OIDC_AUD",
                "must be set where OIDC_ISSUER is: the audience its tokens must name (Auth0: the API's identifier)",
            );
        }
        let jwks_url = self.parse("OIDC_JWKS_URL", url_rules::trusted);
        if dev_idp && jwks_url.is_some() {
            self.problem(
                "OIDC_JWKS_URL",
                "has no meaning without OIDC_ISSUER; set both, or neither for the dev identity provider",
            );
        }
        FirstIssuer { issuer, audience: audience.unwrap_or_else(|| DEV_AUDIENCE.to_owned()), jwks_url }
    }

    /// Asking for a way to authenticate that is not there must not silently give another.
    fn unsupported_methods(&mut self) {
        if self.text("AUTH_BACKEND").is_some_and(|backend| backend.eq_ignore_ascii_case("descope")) {
            self.problem(
                "AUTH_BACKEND",
                "\"descope\" is not available in this version; to accept Descope's own tokens set OIDC_ISSUER, OIDC_AUD and OIDC_JWKS_URL to its values and remove AUTH_BACKEND",
            );
        }
        if let Some(methods) = self.text("AUTH_METHODS")
            && methods.split(',').any(|method| !method.trim().eq_ignore_ascii_case("oidc"))
        {
            self.problem(
                "AUTH_METHODS",
                format!(
                    "{} names a method that this version does not have; write oidc or remove it",
                    shown(&methods)
                ),
            );
        }
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

    fn issuers_differ(&mut self, issuers: &[Issuer]) {
        for (at, issuer) in issuers.iter().enumerate() {
            let same = |other: &&Issuer| {
                !issuer.issuer.is_empty()
                    && other.issuer.trim_end_matches('/') == issuer.issuer.trim_end_matches('/')
            };
            if let Some(other) = issuers.iter().take(at).find(same) {
                self.findings.problem(
                    issuer.setting.clone(),
                    format!(
                        "{} is set by {} too; name each issuer once",
                        shown(&issuer.issuer),
                        other.setting
                    ),
                );
            }
        }
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
