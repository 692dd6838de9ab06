//! The control service: what the gateway answers that the filter cannot answer itself.
//!
//! [`app`] is the whole of it as a function of its [`State`], so that tests call it without a socket.
//! Public routes believe nothing; whatever believes `X-Attach-*` takes a [`Caller`], which exists only
//! where the filter vouches for it ([`crate::trust`]).

mod auth_config;
mod keys;
mod logs;
mod mem;
mod metrics;
mod mirror;
mod once;
mod options;
mod quota;
mod records;
pub mod reply;
mod resource;
mod token;
mod usage;
mod weaviate;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use attach_core::mirror::{EMBEDDED_PREFIX, OUTBOX_PATH};
use attach_core::policy::route::METRICS;
use attach_core::quota::wire;
use attach_core::redact::Redactor;
use attach_core::secret::Secret;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};

use crate::authorized_keys::AuthorizedKeys;
use crate::clock::unix_now_millis;
use crate::ledger::{self, Ledger};
use crate::memory::docs::Documents;
use crate::memory::{self, Memory};
use crate::outbox::{self, Delivery, Outbox, Receiver};
use crate::quota::Quotas;
use crate::replay::ReplayStore;
use crate::serving;
use crate::signing::Keyring;
use crate::store::Store;
use crate::trust::{Caller, FromFilter, Stranger};

pub use auth_config::AuthConfig;
pub use options::{Options, OptionsError};

/// What the service's answers are made of.
#[derive(Clone, Debug)]
pub struct State {
    /// What the filter is known by.
    pub(crate) secret: Arc<Secret>,
    /// What is read and never changes.
    fixed: Arc<Fixed>,
    /// The keys of those who may sign requests.
    authorized: Arc<AuthorizedKeys>,
    /// The keys of the statements that the filter signs.
    assertions: Arc<Keyring>,
    /// The keys of the tokens that are made here.
    gateway: Arc<Keyring>,
    /// Where what may be used once is remembered; `None`: `REDIS_URL` is not set.
    replay: Option<ReplayStore>,
    /// What must not be forgotten.
    store: Store,
    /// What calls did cost.
    ledger: Ledger,
    /// What is left of limits.
    quotas: Quotas,
    /// What must leave for OpenMeter and has not.
    outbox: Outbox,
    /// OpenMeter; `None`: `USAGE_METERING` is something else.
    openmeter: Option<Receiver>,
    /// What is remembered; `None`: `MEM_BACKEND=none`.
    memory: Option<Memory>,
    /// What agents wrote; there is none without memory.
    documents: Option<Documents>,
    /// What takes secrets out of what comes in here.
    redactor: Arc<Redactor>,
    metrics: Arc<metrics::Metrics>,
}

/// What the settings say and no request changes.
#[derive(Debug)]
struct Fixed {
    auth_config: AuthConfig,
    public_url: String,
    issuers: Vec<String>,
    scopes: Vec<String>,
    agents: BTreeMap<String, String>,
    retention_days: Option<u32>,
}

/// Routes of the gateway whose service this version does not have: they are control's, so they must not
/// fall through to the engine, and only a caller that was verified learns of them.
const LATER: &[&str] = &["/a2a", "/tasks/send", "/tasks/status", "/v1/quota/me", "/agents"];

/// The service.
pub fn app(state: State) -> Router {
    // A prefix, with and without what may follow it.
    let all = |router: Router<State>, path: &str, service: MethodRouter<State>| {
        let rest = format!("{path}/{{*rest}}");
        router.route(path, service.clone()).route(&format!("{path}/"), service.clone()).route(&rest, service)
    };
    let mut prefixes = all(Router::new(), "/internal", any(unknown_internal));
    for path in LATER {
        prefixes = all(prefixes, path, any(not_yet));
    }
    Router::new()
        .route(
            "/healthz",
            get(|| async { reply::json(StatusCode::OK, &serde_json::json!({"status": "ok"})) }),
        )
        .route("/auth/config", get(auth_config::read))
        .route(
            "/auth/token",
            post(token::exchange)
                .fallback(token::other_method)
                .layer(DefaultBodyLimit::max(token::MAX_BYTES)),
        )
        .route("/.well-known/attach-jwks.json", get(keys::assertions))
        .route("/.well-known/oauth-protected-resource", get(resource::metadata))
        .route("/.well-known/oauth-protected-resource/", get(resource::metadata))
        .route("/.well-known/oauth-protected-resource/{*path}", get(resource::metadata))
        .route(METRICS, get(metrics::read))
        .route("/internal/ping", get(ping))
        .route("/internal/authorized-keys", get(keys::authorized))
        .route("/internal/gateway-keys", get(keys::gateway))
        .route("/internal/replay", post(once::first))
        .route("/internal/records", post(records::accept).layer(DefaultBodyLimit::max(records::MAX_BYTES)))
        .route(wire::PATH, post(quota::operate).layer(DefaultBodyLimit::max(wire::MAX_BYTES)))
        .route("/internal/health", get(records::health))
        .route(OUTBOX_PATH, post(mirror::accept).layer(DefaultBodyLimit::max(mirror::MAX_BYTES)))
        .route("/v1/usage", get(usage::own))
        .merge(logs::routes())
        .merge(mem::routes())
        .nest(EMBEDDED_PREFIX, weaviate::routes())
        .merge(prefixes)
        .fallback(unknown)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::from_fn(serving::observe))
        .with_state(state)
}

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port cannot be had, or the listener broke down.
    #[error(transparent)]
    Serving(#[from] serving::Error),
    /// Memory is there and cannot be used as it is set.
    #[error(transparent)]
    Memory(#[from] memory::Error),
}

/// Serves on loopback until `shutdown` resolves.
///
/// # Errors
/// The port cannot be had, memory cannot be used as it is set, or the listener broke down.
pub async fn serve(
    port: u16,
    state: State,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let listener = serving::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), port, "CONTROL_PORT").await?;
    if let Some(memory) = &state.memory {
        memory.check().await?;
    }
    tracing::info!(address = %listener.local_addr().map_err(serving::Error::from)?, "listening");
    let background = Background::start(&state).await;
    let served = serving::run(listener, app(state), shutdown).await;
    background.stop().await;
    Ok(served?)
}

/// What the service does without being asked.
struct Background {
    delivery: Option<outbox::Running>,
    memory: Option<memory::Running>,
    documents: Option<tokio::task::JoinHandle<()>>,
    prune: tokio::task::JoinHandle<()>,
}

impl Background {
    /// Begins; OpenMeter may be down.
    async fn start(state: &State) -> Self {
        let delivery = state.openmeter.clone();
        let delivery =
            delivery.map(|to| Delivery::new(state.outbox.clone(), to, outbox::Pace::default()).start());
        if delivery.is_none() {
            let waiting = state.outbox.health(unix_now_millis()).await.unwrap_or_default().outbox;
            if waiting > 0 {
                tracing::warn!(
                    waiting,
                    "events wait for OpenMeter: they leave with USAGE_METERING=openmeter"
                );
            }
        }
        let memory = state.memory.as_ref().map(Memory::start);
        if memory.is_none() {
            let queue = Outbox::of(state.store.clone(), outbox::Kind::Memory, memory::outbox::LIMIT);
            let waiting = queue.health(unix_now_millis()).await.unwrap_or_default().outbox;
            if waiting > 0 {
                tracing::warn!(
                    waiting,
                    "events wait for memory: they leave with another MEM_BACKEND than none"
                );
            }
        }
        let documents = state.documents.clone().zip(state.fixed.retention_days);
        let documents = documents.map(|(documents, days)| tokio::spawn(documents.expire_for_good(days)));
        Self { delivery, memory, documents, prune: tokio::spawn(ledger::prune(state.store.clone())) }
    }

    /// Ends all of it. What has not left is on the disk.
    async fn stop(self) {
        self.prune.abort();
        if let Some(documents) = &self.documents {
            documents.abort();
        }
        let delivery = async {
            if let Some(delivery) = self.delivery {
                delivery.stop().await;
            }
        };
        let memory = async {
            if let Some(memory) = self.memory {
                memory.stop().await;
            }
        };
        tokio::join!(delivery, memory);
    }
}

/// Whether the filter's secret is this service's.
async fn ping(_: FromFilter) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn unknown_internal(_: FromFilter) -> Response {
    reply::detail(StatusCode::NOT_FOUND, "There is no such internal route")
}

async fn not_yet(caller: Result<Caller, Stranger>, uri: Uri) -> Result<Response, Stranger> {
    caller?;
    let path = uri.path();
    Ok(reply::detail(
        StatusCode::NOT_FOUND,
        &format!("{path} is not available in this version of the gateway"),
    ))
}

async fn unknown() -> Response {
    reply::detail(StatusCode::NOT_FOUND, "Not found")
}

#[cfg(test)]
mod tests;
