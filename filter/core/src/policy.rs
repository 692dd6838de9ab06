//! What the configuration was compiled into, and what every request is decided by.

pub mod route;

use crate::authn::oidc::Provider;
use crate::keys::discovery::Target;
use crate::keys::turn::Schedule;
use crate::secret::Secret;
use route::{Access, DEFAULT, Destination, Pattern};

/// Everything a request is decided by; made by [`config::compile`](crate::config::compile), never changed.
#[derive(Debug)]
pub struct Policy {
    /// The issuers that are believed.
    pub providers: Vec<Provider>,
    /// Where and when their keys are fetched, in the same order.
    pub sources: Vec<KeySource>,
    /// What no subject without a prefix may begin with.
    pub reserved: Vec<Box<str>>,
    /// The operator's own routes.
    pub routes: Vec<(Pattern, RoutePolicy)>,
    /// The gateway's own routes.
    pub defaults: Vec<(Pattern, RoutePolicy)>,
    /// The whole `Authorization` value that the engine gets, if it has a key of its own.
    pub engine_authorization: Option<Secret>,
    /// What control knows the filter by.
    pub control_secret: Secret,
    /// Where a client that was refused learns how to log in (RFC 9728 section 5.1).
    pub resource_metadata: Box<str>,
}

/// Where an issuer's keys are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// Where they were when the configuration was rendered.
    pub keys: Target,
    /// Where the issuer says where they are now, if it is asked at all.
    pub discovery: Option<Target>,
    /// How often, and how long a set serves.
    pub schedule: Schedule,
}

/// What holds for the requests of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutePolicy {
    /// Who may use it.
    pub access: Access,
    /// Who answers.
    pub to: Destination,
    /// Whether the caller's own `Authorization` header travels on.
    pub forward_credential: bool,
}

impl Policy {
    /// The route of a request. `path` must be [plain](crate::headers::plain_path).
    ///
    /// The gateway's own routes come first: whatever an operator adds, what goes to control and what does
    /// not is the same here and in Envoy's route table.
    #[must_use]
    pub fn route(&self, method: &[u8], path: &str) -> RoutePolicy {
        let mut route = self
            .defaults
            .iter()
            .chain(&self.routes)
            .find(|(pattern, _)| pattern.matches(path))
            .map_or(RoutePolicy::ENGINE, |(_, route)| *route);
        if !matches!(method, b"GET" | b"HEAD") {
            route.access = Access::Verified;
        }
        route
    }

    /// The gateway's own routes, ready to be matched.
    #[must_use]
    pub fn default_routes() -> Vec<(Pattern, RoutePolicy)> {
        DEFAULT
            .iter()
            .filter_map(|(path, access, to)| {
                let route = RoutePolicy { access: *access, to: *to, forward_credential: false };
                Some((Pattern::parse(path).ok()?, route))
            })
            .collect()
    }
}

impl RoutePolicy {
    /// Whatever no route names.
    pub const ENGINE: Self =
        Self { access: Access::Verified, to: Destination::Engine, forward_credential: false };
}
