//! What the service is made from: plain values, so that whoever has them decides where they come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attach_core::config::memory::{CustomRedactionConfig, RedactionConfig};
use attach_core::redact::{BadPattern, CustomPattern, Redactor, Rules};
use attach_core::secret::Secret;

use super::metrics::Metrics;
use super::{AuthConfig, Fixed, State};
use crate::authorized_keys::AuthorizedKeys;
use crate::discover::engine::{OLLAMA_PORT, local};
use crate::fetch::{self, ClientError};
use crate::ledger::Ledger;
use crate::memory::docs::{self, Documents};
use crate::memory::{self, EmbedBy, Memory};
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
    /// What is remembered, and where.
    pub memory: settings::Memory,
    /// The engine that `MEM_EMBED_MODEL` is one of.
    pub embed_by: EmbedBy,
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
    /// A pattern of the operator's own.
    #[error("memory.redaction.custom[{}].pattern cannot be used: {}", .0.at, .0.problem)]
    Redaction(BadPattern),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] memory::OpenError),
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
            memory: settings.memory.clone(),
            embed_by: embed_by(settings),
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
        let authorities = fetch::authorities::find(self.ssl_cert_file.as_deref());
        let folder = self.database.parent().unwrap_or(Path::new("."));
        let memory =
            Memory::open(&self.memory, folder, store.clone(), &self.embed_by, authorities.as_deref())?;
        let receiver = |to: OpenMeter| {
            let http = fetch::client(authorities.as_deref(), outbox::Pace::default().timeout)?;
            Ok::<_, ClientError>(Receiver::new(&to.url, to.key, http))
        };
        let documents =
            memory.as_ref().map(|_| Documents::open(&self.database.with_file_name(docs::FILE_NAME)));
        Ok(State {
            memory,
            documents: documents.transpose()?,
            redactor: Arc::new(redactor(&self.memory.redaction)?),
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
                retention_days: self.memory.retention_days,
            }),
        })
    }
}

/// The engine that embeds: the one that is set, else Ollama on this machine. Where nothing embeds it does not matter,
/// and another engine must not make another service.
fn embed_by(settings: &Settings) -> EmbedBy {
    let engine = settings.memory.embed_model.is_some().then_some(&settings.engine);
    let url = engine.and_then(|engine| engine.url.clone());
    EmbedBy {
        url: url.unwrap_or_else(|| local(OLLAMA_PORT)),
        key: engine.and_then(|engine| engine.api_key.clone()),
    }
}

/// What takes secrets out of what comes in here, as the filter's does.
fn redactor(config: &RedactionConfig) -> Result<Redactor, OptionsError> {
    let own =
        |own: &CustomRedactionConfig| CustomPattern { kind: own.kind.clone(), pattern: own.pattern.clone() };
    let rules = Rules { national_ids: config.national_ids, custom: config.custom.iter().map(own).collect() };
    Redactor::new(&rules).map_err(OptionsError::Redaction)
}
