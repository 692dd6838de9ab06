//! What exactly is started: arguments, environment and fingerprint of each service.
//!
//! Nothing is inherited. Each gets the few variables that it reads, so that the fingerprint knows them all
//! and a secret in the user's environment reaches only the process that it is meant for.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use attach_core::secret::Secret;

use super::check::MODULE;
use crate::render::{CONTROL_SECRET_ENV, ENGINE_API_KEY_ENV};
use crate::serve;
use crate::settings::{Settings, names};
use crate::supervise::detach::Program;
use crate::supervise::envoy::Envoy;
use crate::supervise::fingerprint::{self, Fingerprint};
use crate::supervise::ports::{Wanted, reachable};
use crate::supervise::ready::Health;
use crate::supervise::state::StateDir;
use crate::supervise::{Error, Service};

/// The setting of how much is logged.
const LOG_LEVEL: &str = "LOG_LEVEL";

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

    /// Envoy's environment: the two secrets, by reference.
    #[must_use]
    pub fn envoy_environment(&self, secret: &str) -> Vec<(String, OsString)> {
        let mut environment = vec![(CONTROL_SECRET_ENV.to_owned(), secret.into())];
        if let Some(key) = &self.settings.engine.api_key {
            environment.push((ENGINE_API_KEY_ENV.to_owned(), key.expose().into()));
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
        let inherited =
            names::KNOWN.iter().filter(|name| !names::SECRET.contains(name) && **name != LOG_LEVEL);
        let values = inherited.filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)));
        program.environment.extend(values);
        program.folder.clone_from(&settings.folder);
        let made_of = serve::Options::new(settings, Secret::new(secret.as_bytes().to_vec()));
        program.fingerprint = self
            .print(Service::Control, &[], &[(LOG_LEVEL.to_owned(), settings.log_level.for_tracing().into())])
            .with("port", settings.ports.control.to_string().as_bytes())
            .with("state", format!("{made_of:?}").as_bytes())
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

    /// The fingerprints of idp, engine, control and Envoy with these settings.
    fn prints(values: &[(&str, &str)]) -> [String; 4] {
        let sources = Sources {
            state_dir: Some("/nowhere".into()),
            folder: "/".into(),
            environment: values.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            ..Sources::default()
        };
        let settings = load(&sources).unwrap();
        let state = StateDir::at(&settings.state_dir);
        let attach = std::env::current_exe().unwrap();
        let programs = Programs::new(&attach, &state, &settings, SECRET).unwrap();
        let envoy = Envoy { path: "/envoy".into(), version: "1".into() };
        let all = [
            programs.idp(),
            programs.engine(),
            programs.control(SECRET),
            programs.envoy(&envoy, "bootstrap", programs.envoy_environment(SECRET)),
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
        ] {
            assert_eq!(touched(&[(setting, before)], &[(setting, after)]), expected, "{setting}");
        }
    }

    #[test]
    fn the_same_settings_have_the_same_fingerprints() {
        assert_eq!(prints(&[("ENGINE_API_KEY", "k")]), prints(&[("ENGINE_API_KEY", "k")]));
    }
}
