//! From texts to [`Settings`]: every rule of every setting, none of which stops the next.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use url::{Origin, Url};

use super::problem::{Findings, shown};
use super::values::Values;
use super::{
    Auth0, DEV_AUDIENCE, Engine, Invalid, Issuer, LogLevel, Ports, RewriteChat, Secret, Settings, Sources,
    document, env_file, prefix, url_rules,
};

/// `PORT` where nobody sets it.
const DEFAULT_PORT: u16 = 8080;

/// See [`super::load`].
pub(crate) fn load(sources: &Sources) -> Result<Settings, Invalid> {
    let mut findings = Findings::default();
    let (env_file, entries) = read_env_file(sources, &mut findings);
    let folder = env_file.as_deref().and_then(Path::parent).unwrap_or(&sources.folder).to_owned();
    let values = Values::gather(sources, &entries, &mut findings);
    let mut check = Checker { values, folder, findings };

    let dev_idp = check.text("OIDC_ISSUER").is_none();
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

/// The env file's absolute path and what it says.
fn read_env_file(sources: &Sources, findings: &mut Findings) -> (Option<PathBuf>, Vec<env_file::Entry>) {
    let (path, label) = match &sources.env_file {
        Some(path) => (sources.folder.join(path), "--env-file"),
        None => (sources.folder.join(".env"), ".env"),
    };
    if sources.env_file.is_none() && !path.exists() {
        return (None, Vec::new());
    }
    let text = match read_bounded(&path, env_file::MAX_BYTES) {
        Ok(text) => text,
        Err(why) => {
            findings.problem(label, format!("{} {why}", path.display()));
            // Where it was meant to be still says what relative paths count from.
            return (Some(path), Vec::new());
        }
    };
    let (entries, bad) = env_file::parse(&text);
    for bad in bad {
        findings.problem(format!("{}:{}", path.display(), bad.line), bad.message);
    }
    (Some(path), entries)
}

fn read_bounded(path: &Path, most: u64) -> Result<String, String> {
    let file = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    // A pipe or a device has no length to check: `attach` could read it for ever.
    if !file.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if file.len() > most {
        return Err(format!("has {} bytes; {most} are the most", file.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
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

    fn host(&mut self, dev_idp: bool) -> IpAddr {
        let default = if dev_idp { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED }.into();
        let host = self.parse("HOST", |text| {
            if text == "localhost" {
                return Ok(Ipv4Addr::LOCALHOST.into());
            }
            text.parse::<IpAddr>().map_err(|_| {
                format!(
                    "{} must be an IP address of this machine, for example 127.0.0.1 or 0.0.0.0",
                    shown(text)
                )
            })
        });
        match host {
            Some(host) if dev_idp && !host.is_loopback() => {
                self.problem(
                    "HOST",
                    format!(
                        "\"{host}\" would open the dev identity provider's gateway to others, and it gives anyone a token; set OIDC_ISSUER and OIDC_AUD, or use 127.0.0.1"
                    ),
                );
                default
            }
            host => host.unwrap_or(default),
        }
    }

    /// All ports, of which those in use differ.
    fn ports(&mut self, dev_idp: bool, echo: bool) -> Ports {
        let mut port = |name, default| self.number(name, 1..=u16::MAX).unwrap_or(default);
        let ports = Ports {
            gateway: port("PORT", DEFAULT_PORT),
            admin: port("ADMIN_PORT", 9901),
            control: port("CONTROL_PORT", 8081),
            idp: port("IDP_PORT", 8082),
            echo: port("ECHO_PORT", 8083),
        };
        let mut seen: Vec<(&'static str, u16)> = Vec::new();
        for (name, port, used) in [
            ("PORT", ports.gateway, true),
            ("ADMIN_PORT", ports.admin, true),
            ("CONTROL_PORT", ports.control, true),
            ("IDP_PORT", ports.idp, dev_idp),
            ("ECHO_PORT", ports.echo, echo),
        ] {
            if !used {
                continue;
            }
            if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == port) {
                let other = self.label(other);
                self.problem(name, format!("{port} is {other}'s port too; give each its own"));
            }
            seen.push((name, port));
        }
        ports
    }

    fn engine(&mut self) -> Engine {
        let mut shortened = None;
        let url = self.parse("ENGINE_URL", |text| {
            let mut url = url_rules::http(text)?;
            if url.query().is_some() {
                return Err(format!("{} must not have a query; remove everything from '?' on", shown(text)));
            }
            let path = url.path().trim_end_matches('/').to_owned();
            if path.contains('%') || path.contains("//") {
                return Err(format!("{} must have a plain path, without '%' and '//'", shown(text)));
            }
            let base = path.strip_suffix("/v1").unwrap_or(&path);
            if base.len() < path.len() {
                shortened = Some(format!(
                    "{}: its final /v1 is left out, since clients send it themselves",
                    shown(text)
                ));
            }
            url.set_path(base);
            Ok(url)
        });
        if let Some(notice) = shortened {
            self.findings.notice(format!("ENGINE_URL {notice}"));
        }
        let rewrite_chat =
            self.parse("ENGINE_REWRITE_CHAT", |text| match text.to_ascii_lowercase().as_str() {
                "auto" => Ok(RewriteChat::Auto),
                "on" => Ok(RewriteChat::On),
                "off" => Ok(RewriteChat::Off),
                _ => Err(format!("{} must be auto, on or off", shown(text))),
            });
        Engine { url, api_key: self.secret("ENGINE_API_KEY"), rewrite_chat: rewrite_chat.unwrap_or_default() }
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

    /// An engine behind one of the gateway's own doors would be a loop, or hand Envoy's admin interface to users.
    fn engine_is_not_the_gateway(&mut self, url: Option<&Url>, ports: &Ports) {
        let Some(url) = url.filter(|url| url_rules::is_loopback(url)) else { return };
        for (name, port) in
            [("PORT", ports.gateway), ("ADMIN_PORT", ports.admin), ("CONTROL_PORT", ports.control)]
        {
            if url.port_or_known_default() == Some(port) {
                let name = self.label(name);
                self.problem(
                    "ENGINE_URL",
                    format!(
                        "{} is the gateway itself ({name} is {port}); name the engine's own address",
                        shown(url.as_str())
                    ),
                );
            }
        }
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

    fn public_url(&mut self, host: IpAddr, port: u16) -> String {
        let set = self.parse("PUBLIC_URL", |text| {
            let url = url_rules::http(text)?;
            if url.path() != "/" || url.query().is_some() {
                return Err(format!(
                    "{} must be scheme, host and port alone, for example https://gateway.example.com",
                    shown(text)
                ));
            }
            Ok(url.origin().ascii_serialization())
        });
        set.unwrap_or_else(|| {
            let host = if host.is_unspecified() { "localhost".to_owned() } else { url_rules::url_host(host) };
            format!("http://{host}:{port}")
        })
    }

    fn cors_origins(&mut self) -> Vec<String> {
        let Some(text) = self.text("CORS_ORIGINS") else {
            return vec!["http://localhost:9000".to_owned(), "http://127.0.0.1:9000".to_owned()];
        };
        if text.eq_ignore_ascii_case("none") {
            return Vec::new();
        }
        let mut origins = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match url_rules::http(part).map(|url| (url.origin(), url)) {
                Ok((origin @ Origin::Tuple(..), url)) if url.path() == "/" && url.query().is_none() => {
                    origins.push(origin.ascii_serialization());
                }
                _ => self.problem(
                    "CORS_ORIGINS",
                    format!(
                        "{} must be an exact origin such as https://app.example.com (several with commas; none turns CORS off)",
                        shown(part)
                    ),
                ),
            }
        }
        origins
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

    fn envoy_bin(&mut self) -> Option<PathBuf> {
        let folder = self.folder.clone();
        self.parse("ENVOY_BIN", |text| {
            if !text.contains('/') {
                return Ok(PathBuf::from(text));
            }
            let path = folder.join(text);
            if path.is_file() {
                Ok(path)
            } else {
                Err(format!("{} is no file; write the path of an envoy binary", path.display()))
            }
        })
    }

    fn ssl_cert_file(&mut self) -> Option<PathBuf> {
        const MAX_BYTES: u64 = 16 * 1024 * 1024;
        let folder = self.folder.clone();
        self.parse("SSL_CERT_FILE", |text| {
            let path = folder.join(text);
            match read_bounded(&path, MAX_BYTES) {
                Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(path),
                Ok(_) => Err(format!("{} holds no PEM certificate", path.display())),
                Err(why) => Err(format!("{} {why}", path.display())),
            }
        })
    }

    fn state_dir(&mut self, sources: &Sources, port: u16) -> PathBuf {
        if let Some(path) = &sources.state_dir {
            return sources.folder.join(path);
        }
        let absolute = |name: &str| {
            sources
                .environment
                .get(std::ffi::OsStr::new(name))
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        match state {
            Some(state) => state.join("attach").join(port.to_string()),
            None => {
                self.findings
                    .problem("--state-dir", "must be given where neither XDG_STATE_HOME nor HOME is set");
                PathBuf::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
