//! What the configuration was compiled into, and what every request is decided by.

pub mod accounting;
pub mod memory;
pub mod metering;
pub mod model;
pub mod route;

use crate::authn::Identity;
use crate::authn::extract::Schemes;
use crate::authn::httpsig::Component;
use crate::keys::discovery::Target;
use crate::keys::turn::Schedule;
use crate::secret::Secret;
use crate::stamp::assertion::Signer;
use accounting::{Accounting, Accounts, RouteTokens};
use memory::Memory;
use metering::Metering;
use model::ModelRule;
use route::{Access, DEFAULT, Destination, METRICS, Pattern};

/// Everything a request is decided by; made by [`config::compile`](crate::config::compile), never changed.
#[derive(Debug)]
pub struct Policy {
    /// Who may come in, and by what.
    pub schemes: Schemes,
    /// Where and when keys are fetched: of the issuers, the signers' directories, control's own sets.
    pub sources: Vec<KeySource>,
    /// Whether what is wrong is refused, or on the engine's routes only counted.
    pub is_shadow: bool,
    /// What every verified caller must be allowed to do.
    pub required_scopes: Vec<Box<str>>,
    /// Which models callers may use.
    pub models: Vec<ModelRule>,
    /// Who signs the statement for the upstreams, if one is made.
    pub signer: Option<Signer>,
    /// Whether control remembers what may be used once, for more than this Envoy.
    pub control_remembers: bool,
    /// The operator's own routes.
    pub routes: Vec<(Pattern, RoutePolicy)>,
    /// The gateway's own routes.
    pub defaults: Vec<(Pattern, RoutePolicy)>,
    /// What holds for the operator's routes beyond that.
    pub rules: Vec<RouteRules>,
    /// The names behind `/agents/{name}/…`.
    pub targets: Vec<Box<str>>,
    /// The whole `Authorization` value that the engine gets, if it has a key of its own.
    pub engine_authorization: Option<Secret>,
    /// The largest body that is held back until it has been judged, in bytes.
    pub max_request_bytes: usize,
    /// How tokens are counted, limited and reported; `None`: they are not.
    pub accounting: Option<Accounting>,
    /// What control knows the filter by.
    pub control_secret: Secret,
    /// Where control is.
    pub control: Option<Target>,
    /// Who is told what calls did cost.
    pub metering: Metering,
    /// Who remembers prompts and answers; `None`: nobody.
    pub memory: Option<Memory>,
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
    /// What the log calls it.
    pub name: Box<str>,
    /// The issuer whose discovery document it is.
    pub issuer: Box<str>,
    /// The set is control's own: it is asked with the secret, and it may be empty.
    pub is_internal: bool,
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
    /// Further rules, by their place in [`Policy::rules`].
    pub rules: Option<usize>,
    /// The target, by its place in [`Policy::targets`].
    pub target: Option<usize>,
}

/// What holds for a route that not every route has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteRules {
    /// What a caller must be allowed to do.
    pub scopes: Box<[Box<str>]>,
    /// What a message signature must cover, in place of the general minimum.
    pub components: Option<Box<[Component]>>,
    /// What is said about tokens.
    pub tokens: Option<RouteTokens>,
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
        if route.to == Destination::Target {
            route.target = self.target(path);
            // Envoy has a route for each target, and what none of them is goes to control.
            if route.target.is_none() {
                route.to = Destination::Control;
            }
        }
        if !matches!(method, b"GET" | b"HEAD") {
            route.access = Access::Verified;
        }
        route
    }

    fn target(&self, path: &str) -> Option<usize> {
        let name = path.strip_prefix("/agents/")?.split('/').next()?;
        self.targets.iter().position(|target| **target == *name)
    }

    /// The name of a route's upstream, as assertions address it.
    #[must_use]
    pub fn audience(&self, route: RoutePolicy) -> &str {
        match (route.to, route.target.and_then(|at| self.targets.get(at))) {
            (Destination::Target, Some(name)) => name,
            (Destination::Engine, _) => "engine",
            _ => "control",
        }
    }

    /// The first scope that a caller lacks on a route; `source` is that of its credential.
    #[must_use]
    pub fn missing_scope(
        &self,
        identity: &Identity,
        source: Option<usize>,
        route: RoutePolicy,
    ) -> Option<&str> {
        let of_issuer = source.and_then(|source| self.schemes.providers.get(source));
        let of_route = route.rules.and_then(|at| self.rules.get(at));
        self.required_scopes
            .iter()
            .chain(of_issuer.map(|provider| &*provider.required_scopes).into_iter().flatten())
            .chain(of_route.map(|rules| &*rules.scopes).into_iter().flatten())
            .find(|scope| !identity.scopes().contains(scope))
            .map(|scope| &**scope)
    }

    /// The accounts of an identity.
    #[must_use]
    pub fn accounts(&self, identity: &Identity) -> Accounts {
        match &self.accounting {
            Some(accounting) => accounting.accounts(identity),
            None => Accounts::default(),
        }
    }

    /// Whether a caller may not use every model.
    #[must_use]
    pub fn limits_models(&self, identity: &Identity) -> bool {
        self.models.iter().any(|rule| rule.is_about(identity))
    }

    /// The gateway's own routes, ready to be matched; `metrics` are the rules of [`METRICS`].
    #[must_use]
    pub fn default_routes(metrics: Option<usize>) -> Vec<(Pattern, RoutePolicy)> {
        DEFAULT
            .iter()
            .filter_map(|(path, access, to)| {
                let rules = metrics.filter(|_| *path == METRICS);
                let route = RoutePolicy { access: *access, to: *to, rules, ..RoutePolicy::ENGINE };
                Some((Pattern::parse(path).ok()?, route))
            })
            .collect()
    }
}

impl RoutePolicy {
    /// Whatever no route names.
    pub const ENGINE: Self = Self {
        access: Access::Verified,
        to: Destination::Engine,
        forward_credential: false,
        rules: None,
        target: None,
    };
}
