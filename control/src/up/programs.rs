//! What exactly is started: arguments, environment and fingerprint of each service.
//!
//! Nothing is inherited. Each gets the few variables that it reads, so that the fingerprint knows them all
//! and a secret in the user's environment reaches only the process that it is meant for.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use attach_core::secret::Secret;

use super::check::MODULE;
use crate::render::{
    ASSERTION_KEY_ENV, CONTROL_SECRET_ENV, ENGINE_API_KEY_ENV, HMAC_KEYS_ENV, OPENMETER_KEY_ENV,
    WEAVIATE_KEY_ENV, exchange_secret_env,
};
use crate::serve;
use crate::settings::{Method, Settings, names};
use crate::supervise::detach::Program;
use crate::supervise::envoy::Envoy;
use crate::supervise::fingerprint::{self, Fingerprint};
use crate::supervise::ports::{Wanted, reachable};
use crate::supervise::ready::Health;
use crate::supervise::state::StateDir;
use crate::supervise::{Error, Service};

/// The setting of how much is logged.
const LOG_LEVEL: &str = "LOG_LEVEL";
/// The secrets among the settings that control needs.
const REDIS_URL: &str = "REDIS_URL";
const OPENMETER_API_KEY: &str = "OPENMETER_API_KEY";
/// Weaviate's: control reads and forgets with it.
const WEAVIATE_API_KEY: &str = "WEAVIATE_API_KEY";
const ENGINE_API_KEY: &str = "ENGINE_API_KEY";
/// The setting whose default hangs on secrets that control is not given.
const AUTH_METHODS: &str = "AUTH_METHODS";

/// Where everything but the gateway's own listener is bound.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What the programs are made from.
#[derive(Debug)]
pub struct Programs<'a> {
    attach: PathBuf,
    attach_hash: String,
    state: &'a StateDir,
    settings: &'a Settings,
    key: Fingerprint,
}

impl<'a> Programs<'a> {
    /// `attach` is this binary.
    ///
    /// # Errors
    /// When the binary cannot be read.
    pub fn new(
        attach: &Path,
        state: &'a StateDir,
        settings: &'a Settings,
        secret: &str,
    ) -> Result<Self, Error> {
        let attach_hash = fingerprint::of_file(attach)?;
        let key = Fingerprint::keyed(secret);
        Ok(Self { attach: attach.to_path_buf(), attach_hash, state, settings, key })
    }

    /// The dev identity provider.
    #[must_use]
    pub fn idp(&self) -> Program {
        let mut arguments: Vec<OsString> = vec!["idp".into()];
        arguments.extend(flag("--port", self.settings.ports.idp.to_string()));
        arguments.extend(flag("--key-file", self.state.secrets().join("idp-key.pem")));
        let audience = self.settings.first_issuer().and_then(|issuer| issuer.audiences.first());
        arguments.extend(audience.into_iter().flat_map(|audience| flag("--audience", audience)));
        self.own(Service::Idp, arguments, self.settings.ports.idp)
    }

    /// The echo engine.
    #[must_use]
    pub fn engine(&self) -> Program {
        let mut arguments: Vec<OsString> = vec!["engine".into()];
        arguments.extend(flag("--port", self.settings.ports.echo.to_string()));
        self.own(Service::Engine, arguments, self.settings.ports.echo)
    }

    /// Envoy's environment: the secrets, by reference. `seed` is that of the key that signs assertions.
    #[must_use]
    pub fn envoy_environment(&self, secret: &str, seed: &str) -> Vec<(String, OsString)> {
        let mut environment =
            vec![(CONTROL_SECRET_ENV.to_owned(), secret.into()), (ASSERTION_KEY_ENV.to_owned(), seed.into())];
        if let Some(key) = &self.settings.engine.api_key {
            environment.push((ENGINE_API_KEY_ENV.to_owned(), key.expose().into()));
        }
        if let Some(hmac) = &self.settings.hmac {
            let lines = hmac.keys.iter().map(|key| format!("{}={}", key.name, key.secret.expose()));
            environment.push((HMAC_KEYS_ENV.to_owned(), lines.collect::<Vec<_>>().join("\n").into()));
        }
        if let Some(openmeter) = self.settings.accounting.openmeter() {
            environment.push((OPENMETER_KEY_ENV.to_owned(), openmeter.key.expose().into()));
        }
        if let Some(key) = self.settings.memory.direct().and_then(|weaviate| weaviate.key.as_ref()) {
            environment.push((WEAVIATE_KEY_ENV.to_owned(), key.expose().into()));
        }
        for (at, exchange) in self.settings.exchanges.iter().enumerate() {
            let secret = exchange.client_secret.as_ref().map(|secret| secret.expose().into());
            environment.extend(secret.map(|secret| (exchange_secret_env(at), secret)));
        }
        environment
    }

    /// Envoy.
    ///
    /// Without hot restart: a new configuration means a new process here, and the shared memory that hot
    /// restart needs would have to have another number for each gateway of the machine.
    #[must_use]
    pub fn envoy(&self, envoy: &Envoy, bootstrap: &str, environment: Vec<(String, OsString)>) -> Program {
        let settings = self.settings;
        // Honours a container's share of the processors; Envoy itself counts the machine's.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let workers = settings.envoy_concurrency.map_or(cores, |workers| workers.try_into().unwrap_or(cores));
        let mut command = vec![envoy.path.clone().into_os_string(), "--disable-hot-restart".into()];
        command.extend(flag("--config-path", self.state.envoy_config()));
        command.extend(flag("--concurrency", workers.to_string()));
        command.extend(flag("--log-level", settings.log_level.for_envoy()));
        // Whoever follows the access log waits a second for a line, not ten.
        command.extend(flag("--file-flush-interval-msec", "1000"));
        let print = self.print(Service::Envoy, &command, &environment);
        let print = print
            .with("version", envoy.version.as_bytes())
            .with("bootstrap", bootstrap.as_bytes())
            .with("module", MODULE);
        Program {
            service: Service::Envoy,
            command,
            environment,
            folder: self.state.root().to_path_buf(),
            health: Health {
                address: reachable(settings.host, settings.ports.gateway),
                path: attach_core::policy::route::HEALTH.to_owned(),
            },
            more_ports: vec![settings.ports.admin],
            fingerprint: print.finish(),
        }
    }

    /// The control service.
    ///
    /// It reads the settings itself, from where this command has them. Its fingerprint holds what it makes
    /// of them and not where they come from: another engine is nothing to it.
    #[must_use]
    pub fn control(&self, secret: &str) -> Program {
        let settings = self.settings;
        let mut arguments: Vec<OsString> = vec!["serve".into()];
        arguments.extend(flag("--state-dir", self.state.root()));
        arguments.extend(flag("--host", settings.host.to_string()));
        arguments.extend(flag("--port", settings.ports.gateway.to_string()));
        arguments.extend(settings.env_file.iter().flat_map(|file| flag("--env-file", file)));
        let mut program = self.own(Service::Control, arguments, settings.ports.control);
        let own = [LOG_LEVEL, AUTH_METHODS];
        let is_there = |name: &str| std::env::var_os(name).is_some();
        let inherited = names::KNOWN.iter().filter(|name| {
            !names::SECRET.contains(name) && !own.contains(name) && !names::is_of_another(name, is_there)
        });
        let values = inherited.filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)));
        program.environment.extend(values);
        let methods: Vec<_> = settings.methods.iter().copied().map(Method::name).collect();
        program.environment.push((AUTH_METHODS.to_owned(), methods.join(",").into()));
        let redis_url = settings.redis_url.as_ref().map_or("", |url| url.expose());
        // Empty counts as "not set".
        program.environment.push((REDIS_URL.to_owned(), redis_url.into()));
        let openmeter = settings.accounting.openmeter().map_or("", |openmeter| openmeter.key.expose());
        program.environment.push((OPENMETER_API_KEY.to_owned(), openmeter.into()));
        let weaviate = settings.memory.weaviate().and_then(|weaviate| weaviate.key.as_ref());
        let weaviate = weaviate.map_or("", |key| key.expose());
        program.environment.push((WEAVIATE_API_KEY.to_owned(), weaviate.into()));
        // Control asks the engine for nothing but embeddings.
        let engine = settings.memory.embed_model.as_ref().and(settings.engine.api_key.as_ref());
        let engine = engine.map_or("", |key| key.expose());
        program.environment.push((ENGINE_API_KEY.to_owned(), engine.into()));
        program.folder.clone_from(&settings.folder);
        let made_of = serve::Options::new(settings, Secret::new(secret.as_bytes().to_vec()));
        program.fingerprint = self
            .print(Service::Control, &[], &[(LOG_LEVEL.to_owned(), settings.log_level.for_tracing().into())])
            .with("port", settings.ports.control.to_string().as_bytes())
            .with("state", format!("{made_of:?}").as_bytes())
            .with(REDIS_URL, redis_url.as_bytes())
            .with(OPENMETER_API_KEY, openmeter.as_bytes())
            .with(WEAVIATE_API_KEY, weaviate.as_bytes())
            .with(ENGINE_API_KEY, engine.as_bytes())
            .with("binary", self.attach_hash.as_bytes())
            .finish();
        program
    }

    /// One of `attach`'s own servers.
    fn own(&self, service: Service, arguments: Vec<OsString>, port: u16) -> Program {
        let mut command = vec![self.attach.clone().into_os_string()];
        command.extend(arguments);
        let level = self.settings.log_level.for_tracing();
        let environment = vec![(LOG_LEVEL.to_owned(), level.into())];
        let print = self.print(service, &command, &environment);
        let health = Health { address: SocketAddr::new(LOOPBACK, port), path: "/healthz".to_owned() };
        let fingerprint = print.with("binary", self.attach_hash.as_bytes()).finish();
        let folder = self.state.root().to_path_buf();
        Program { service, command, environment, folder, health, more_ports: Vec::new(), fingerprint }
    }

    fn print(
        &self,
        service: Service,
        command: &[OsString],
        environment: &[(String, OsString)],
    ) -> Fingerprint {
        let print = self.key.clone().with("service", service.name().as_bytes());
        let print = print.with_all("argument", command);
        environment.iter().fold(print, |print, (name, value)| print.with_all(name, [value]))
    }

    /// Every port that the gateway needs, and the setting that moves it.
    #[must_use]
    pub fn ports(&self, with_echo: bool) -> Vec<Wanted> {
        let settings = self.settings;
        let ports = &settings.ports;
        let local = |port, setting| Wanted {
            address: SocketAddr::new(LOOPBACK, port),
            setting,
            flag: None,
            host_setting: None,
        };
        let mut wanted = vec![
            Wanted {
                address: settings.listen(),
                setting: "PORT",
                flag: Some("--port"),
                host_setting: Some("HOST (or pass --host)"),
            },
            local(ports.admin, "ADMIN_PORT"),
            local(ports.control, "CONTROL_PORT"),
        ];
        wanted.extend(settings.dev_idp.then(|| local(ports.idp, "IDP_PORT")));
        wanted.extend(with_echo.then(|| local(ports.echo, "ECHO_PORT")));
        wanted
    }
}

fn flag(name: &str, value: impl Into<OsString>) -> [OsString; 2] {
    [name.into(), value.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Sources, load};

    const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn hmac(name: &str) -> String {
        format!("{name}={}", "k".repeat(32))
    }

    fn settings(values: &[(&str, &str)]) -> Settings {
        let sources = Sources {
            state_dir: Some("/nowhere".into()),
            folder: "/".into(),
            environment: values.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            ..Sources::default()
        };
        load(&sources).unwrap()
    }

    /// The fingerprints of idp, engine, control and Envoy with these settings.
    fn prints(values: &[(&str, &str)]) -> [String; 4] {
        let settings = settings(values);
        let state = StateDir::at(&settings.state_dir);
        let attach = std::env::current_exe().unwrap();
        let programs = Programs::new(&attach, &state, &settings, SECRET).unwrap();
        let envoy = Envoy { path: "/envoy".into(), version: "1".into() };
        let all = [
            programs.idp(),
            programs.engine(),
            programs.control(SECRET),
            programs.envoy(&envoy, "bootstrap", programs.envoy_environment(SECRET, "seed")),
        ];
        for program in &all {
            assert!(!program.fingerprint.contains(SECRET) && !format!("{program:?}").contains(SECRET));
            assert!(!program.command.iter().any(|word| word == SECRET), "arguments are seen by everyone");
        }
        all.map(|program| program.fingerprint)
    }

    /// Which of the four a changed setting touches.
    fn touched(before: &[(&str, &str)], after: &[(&str, &str)]) -> Vec<&'static str> {
        let (before, after) = (prints(before), prints(after));
        let names = Service::ALL.map(Service::name);
        names
            .into_iter()
            .zip(before.iter().zip(&after))
            .filter(|(_, (a, b))| a != b)
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn secrets_go_to_the_process_that_needs_them_and_to_no_other() {
        let key = format!("billing={}", "k".repeat(32));
        let environment = [
            ("HMAC_KEYS", key.as_str()),
            ("REDIS_URL", "redis://:hunter2@h"),
            ("USAGE_METERING", "openmeter"),
            ("OPENMETER_API_KEY", "om-hunter4"),
            ("AUTH_METHODS", "oidc,hmac"),
            ("OIDC_ISSUER", "https://idp.example.com/"),
            ("OIDC_AUD", "api"),
            ("ENABLE_DESCOPE_EXCHANGE", "true"),
            ("DESCOPE_PROJECT_ID", "P2"),
            ("DESCOPE_CLIENT_ID", "c"),
            ("DESCOPE_CLIENT_SECRET", "hunter3"),
        ];
        let settings = settings(&environment);
        let state = StateDir::at(&settings.state_dir);
        let attach = std::env::current_exe().unwrap();
        let programs = Programs::new(&attach, &state, &settings, SECRET).unwrap();
        let find = |environment: &[(String, OsString)], name: &str| {
            environment
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone().into_string().unwrap())
        };
        let envoy = programs.envoy_environment(SECRET, "seed");
        for (name, value) in [
            ("ATTACH_HMAC_KEYS", key.as_str()),
            ("ATTACH_ASSERTION_KEY", "seed"),
            ("ATTACH_EXCHANGE_SECRET_0", "hunter3"),
            ("ATTACH_OPENMETER_KEY", "om-hunter4"),
        ] {
            assert_eq!(find(&envoy, name).as_deref(), Some(value));
        }
        assert_eq!(find(&envoy, "REDIS_URL"), None);
        let control = programs.control(SECRET).environment;
        assert_eq!(find(&control, "REDIS_URL").as_deref(), Some("redis://:hunter2@h"));
        // What the filter cannot deliver to OpenMeter, control does.
        assert_eq!(find(&control, "OPENMETER_API_KEY").as_deref(), Some("om-hunter4"));
        assert_eq!(find(&control, "AUTH_METHODS").as_deref(), Some("oidc,hmac"));
        for (name, value) in &control {
            let value = value.to_string_lossy();
            assert!(!value.contains("hunter3") && !value.contains(&key), "{name}");
        }
    }

    #[test]
    fn a_changed_setting_touches_only_those_that_use_it() {
        for (setting, before, after, expected) in [
            ("ENGINE_API_KEY", "a", "b", &["envoy"][..]),
            ("ENVOY_CONCURRENCY", "1", "2", &["envoy"]),
            ("AUTH0_CLIENT", "a", "b", &["control"]),
            ("CONTROL_PORT", "9001", "9002", &["control"]),
            ("ECHO_PORT", "9001", "9002", &["engine"]),
            ("OIDC_AUD", "a", "b", &["idp", "control"]),
            ("ENGINE_URL", "http://127.0.0.1:1", "http://127.0.0.1:2", &[]),
            ("LOG_LEVEL", "info", "debug", &["idp", "engine", "control", "envoy"]),
            ("REDIS_URL", "redis://:a@h", "redis://:b@h", &["control"]),
            ("AUTHORIZED_KEYS_DIR", "/a", "/b", &["control"]),
            ("REQUIRED_SCOPES", "a", "b", &["control"]),
            ("HMAC_KEYS", &hmac("a"), &hmac("b"), &["envoy"]),
            // These are in Envoy's configuration, which is the same in this test.
            ("DID_ALLOW", "did:key:*", "did:pkh:*", &[]),
            ("AUTH_MODE", "enforce", "shadow", &[]),
        ] {
            assert_eq!(touched(&[(setting, before)], &[(setting, after)]), expected, "{setting}");
        }
    }

    #[test]
    fn openmeters_key_is_envoys_and_controls() {
        let with = |key| [("USAGE_METERING", "openmeter"), ("OPENMETER_API_KEY", key)];
        assert_eq!(touched(&with("a"), &with("b")), ["control", "envoy"]);
    }

    #[test]
    fn the_same_settings_have_the_same_fingerprints() {
        assert_eq!(prints(&[("ENGINE_API_KEY", "k")]), prints(&[("ENGINE_API_KEY", "k")]));
    }
}
