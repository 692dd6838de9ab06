//! What exactly is started: arguments, environment and fingerprint of each service.
//!
//! Nothing is inherited. Each gets the few variables that it reads, so that the fingerprint knows them all
//! and a secret in the user's environment reaches only the process that it is meant for.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::check::MODULE;
use crate::settings::Settings;
use crate::supervise::detach::Program;
use crate::supervise::envoy::Envoy;
use crate::supervise::fingerprint::{self, Fingerprint};
use crate::supervise::ports::{Wanted, reachable};
use crate::supervise::ready::Health;
use crate::supervise::state::StateDir;
use crate::supervise::{Error, Service};

/// The variable in Envoy's environment that holds the secret which filter and control share.
pub const CONTROL_SECRET: &str = "ATTACH_CONTROL_SECRET";
/// The variable in Envoy's environment that holds the engine's own key.
pub const ENGINE_API_KEY: &str = "ENGINE_API_KEY";

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
        let mut environment = vec![(CONTROL_SECRET.to_owned(), secret.into())];
        if let Some(key) = &self.settings.engine.api_key {
            environment.push((ENGINE_API_KEY.to_owned(), key.expose().into()));
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
        let print = self.print(Service::Envoy, &command, &environment);
        let print = print
            .with("version", envoy.version.as_bytes())
            .with("bootstrap", bootstrap.as_bytes())
            .with("module", MODULE);
        Program {
            service: Service::Envoy,
            command,
            environment,
            health: Health {
                address: reachable(settings.host, settings.ports.gateway),
                path: attach_core::policy::route::HEALTH.to_owned(),
            },
            more_ports: vec![settings.ports.admin],
            fingerprint: print.finish(),
        }
    }

    /// The control service.
    #[must_use]
    pub fn control(&self, arguments: Vec<OsString>) -> Program {
        self.own(Service::Control, arguments, self.settings.ports.control)
    }

    /// One of `attach`'s own servers.
    fn own(&self, service: Service, arguments: Vec<OsString>, port: u16) -> Program {
        let mut command = vec![self.attach.clone().into_os_string()];
        command.extend(arguments);
        let level = self.settings.log_level.for_tracing();
        let environment = vec![("LOG_LEVEL".to_owned(), level.into())];
        let print = self.print(service, &command, &environment);
        let health = Health { address: SocketAddr::new(LOOPBACK, port), path: "/healthz".to_owned() };
        let fingerprint = print.with("binary", self.attach_hash.as_bytes()).finish();
        Program { service, command, environment, health, more_ports: Vec::new(), fingerprint }
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
