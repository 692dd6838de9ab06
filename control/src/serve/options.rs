//! What the service is made from: plain values, so that whoever has them decides where they come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use attach_core::secret::Secret;

use super::metrics::Metrics;
use super::{AuthConfig, Fixed, State};
use crate::authorized_keys::AuthorizedKeys;
use crate::fetch::{self, ClientError};
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::memory::embedded::{self, Embedded};
use crate::outbox::{self, Outbox, Receiver};
use crate::quota::Quotas;
use crate::replay::{BadUrl, ReplayStore};
use crate::settings::{self, OpenMeter, Settings};
use crate::signing::{self, Keyring, Purpose};
use crate::store::{self, OpenError, Store};

/// Everything the service is told. Making it touches nothing; its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the filter is known by.
    pub secret: Secret,
    /// What browser apps read to log in.
    pub auth_config: AuthConfig,
    /// `PUBLIC_URL`, without a slash at its end.
    pub public_url: String,
    /// The OIDC issuers, as their tokens name them.
    pub issuers: Vec<String>,
    /// What clients should ask for: `REQUIRED_SCOPES` and the routes'.
    pub scopes: Vec<String>,
    /// `AUTHORIZED_KEYS_DIR`; `None`: signed requests are off.
    pub authorized_keys: Option<PathBuf>,
    /// `APP_ENV=development`: only to say so.
    pub development: bool,
    /// `REDIS_URL`.
    pub redis_url: Option<settings::Secret>,
    /// `A2A_AGENTS`: targets, each with the identity it has as a caller.
    pub agents: BTreeMap<String, String>,
    /// The file with the keys of the filter's statements.
    pub assertion_keys: PathBuf,
    /// The file with the keys of the gateway's tokens.
    pub gateway_keys: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// `USAGE_METERING=openmeter`: where events go.
    pub openmeter: Option<OpenMeter>,
    /// How many events may wait for OpenMeter.
    pub outbox_limit: u64,
    /// `SSL_CERT_FILE`.
    pub ssl_cert_file: Option<PathBuf>,
    /// `ADMIN_PORT`: where Envoy has the filter's metrics.
    pub admin_port: u16,
}

/// Why there is no service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The signing keys.
    #[error(transparent)]
    Keys(#[from] signing::Error),
    /// `REDIS_URL`.
    #[error(transparent)]
    Redis(#[from] BadUrl),
    /// The database.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A client for HTTP.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Options {
    /// What the settings say.
    #[must_use]
    pub fn new(settings: &Settings, secret: Secret) -> Self {
        let secrets = settings.state_dir.join("secrets");
        let issuers = settings.issuers.iter();
        let wanted = settings
            .required_scopes
            .iter()
            .chain(issuers.flat_map(|issuer| &issuer.required_scopes))
            .chain(settings.routes.iter().flat_map(|route| &route.scopes));
        let mut scopes: Vec<String> = Vec::new();
        for scope in wanted {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        let agents = settings.agents.iter().map(|agent| (agent.target.clone(), agent.identity.clone()));
        Self {
            secret,
            auth_config: AuthConfig::new(settings),
            public_url: settings.public_url.clone(),
            issuers: settings.issuers.iter().map(|issuer| issuer.issuer.clone()).collect(),
            scopes,
            authorized_keys: settings.rotagent.as_ref().map(|rotagent| rotagent.folder.clone()),
            development: settings.development && settings.rotagent.is_some(),
            redis_url: settings.redis_url.clone(),
            agents: agents.collect(),
            assertion_keys: secrets.join(Purpose::Assertions.file_name()),
            gateway_keys: secrets.join(Purpose::GatewayTokens.file_name()),
            database: settings.state_dir.join(store::FILE_NAME),
            openmeter: settings.accounting.openmeter().cloned(),
            outbox_limit: outbox::LIMIT,
            ssl_cert_file: settings.ssl_cert_file.clone(),
            admin_port: settings.ports.admin,
        }
    }

    /// The service's state at `now` (seconds of Unix time). Key files and a database that are missing are made;
    /// nothing is asked of another machine. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub fn open(self, now: u64) -> Result<State, OptionsError> {
        if self.development {
            tracing::warn!(
                "APP_ENV=development: signed requests need no jti and no body hash, may be sent twice and live 6 h; \
                 never set it where others can reach the gateway"
            );
        }
        let store = Store::open(&self.database)?;
        let outbox = Outbox::new(store.clone(), self.outbox_limit);
        let receiver = |to: OpenMeter| {
            let authorities = fetch::authorities::find(self.ssl_cert_file.as_deref());
            let http = fetch::client(authorities.as_deref(), outbox::Pace::default().timeout)?;
            Ok::<_, ClientError>(Receiver::new(&to.url, to.key, http))
        };
        let memory = Embedded::open(&self.database.with_file_name(embedded::FILE_NAME))?;
        Ok(State {
            memory: Some(Memory::embedded(memory)),
            ledger: Ledger::new(store.clone(), outbox.clone()),
            quotas: Quotas::new(store.clone(), self.redis_url.as_ref())?,
            store,
            outbox,
            openmeter: self.openmeter.map(receiver).transpose()?,
            secret: Arc::new(self.secret),
            authorized: Arc::new(AuthorizedKeys::new(self.authorized_keys)),
            assertions: Arc::new(Keyring::open(self.assertion_keys, Purpose::Assertions, now)?),
            gateway: Arc::new(Keyring::open(self.gateway_keys, Purpose::GatewayTokens, now)?),
            replay: self.redis_url.as_ref().map(ReplayStore::new).transpose()?,
            metrics: Arc::new(Metrics::new(self.admin_port)?),
            fixed: Arc::new(Fixed {
                auth_config: self.auth_config,
                public_url: self.public_url,
                issuers: self.issuers,
                scopes: self.scopes,
                agents: self.agents,
            }),
        })
    }
}
