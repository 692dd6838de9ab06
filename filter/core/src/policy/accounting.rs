//! What calls may cost, and whose limits they count against.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::authn::Identity;
use crate::authn::grants::UserPattern;
use crate::llm::bpe::Encoding;
use crate::llm::request::cap::CapField;
use crate::policy::model::Whom;
use crate::quota::{Key, Limit};

/// What happens to a call that cannot be accounted for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum FailureMode {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on, without a limit.
    Allow,
}

/// Whether the filter asks for the usage of streams on its clients' behalf.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum UsageInjection {
    /// It does, until an engine refuses the word.
    #[default]
    Auto,
    /// It always does.
    On,
    /// It never does.
    Off,
}

/// How tokens are counted, limited and reported.
#[derive(Debug)]
pub struct Accounting {
    /// The encoding of every model; `None`: by the model's name.
    pub encoding: Option<Encoding>,
    /// Whether every prompt is counted.
    pub counts_all: bool,
    /// What a call that states no cap is taken to answer, and the step by which a stream's hold grows; tokens.
    pub default_output: u64,
    /// What callers may use.
    pub limits: Vec<LimitRule>,
    /// Whether workers ask for every request, in place of taking leases.
    pub strict: bool,
    /// What happens to a call that cannot be accounted for.
    pub failure_mode: FailureMode,
    /// Whether the filter asks for the usage of streams.
    pub usage_injection: UsageInjection,
    /// Whether unstreamed answers say what they cost in headers.
    pub usage_headers: bool,
    /// Whether tokens and model go into Envoy's filter state.
    pub log_usage: bool,
    /// Whether `/api/chat` reaches the engine as OpenAI's chat.
    pub chat_is_openai: bool,
}

/// A limit, and whom and what it is about.
#[derive(Debug)]
pub struct LimitRule {
    /// Whom it is about; `None`: everybody.
    pub whom: Option<Whom>,
    /// The project that a call must name.
    pub project: Option<Box<str>>,
    /// The models that a call must be for.
    pub model: Option<UserPattern>,
    /// Whether all have it together.
    pub is_shared: bool,
    /// How much in what time.
    pub limit: Limit,
}

/// What a route says about tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTokens {
    /// Whether its calls are counted; `None`: by the path.
    pub count: Option<bool>,
    /// In place of what is said for all.
    pub usage_injection: Option<UsageInjection>,
    /// The field in which an unstreamed call that states no cap is given one.
    pub cap_field: Option<CapField>,
    /// In place of what is said for all.
    pub failure_mode: Option<FailureMode>,
    /// What an upgrade or a gRPC call costs, in tokens.
    pub flat_charge: Option<u64>,
}

/// An identity's accounts: of each limit that may be about its calls, by its place in
/// [`Accounting::limits`]. Names are hashed once for many calls.
pub type Accounts = Rc<[(usize, Key)]>;

impl Accounting {
    /// The accounts of an identity, whatever its calls' projects and models.
    #[must_use]
    pub fn accounts(&self, identity: &Identity) -> Accounts {
        let mine = self.limits.iter().enumerate().filter(|(_, rule)| rule.is_about(identity));
        mine.map(|(at, rule)| {
            let subject = if rule.is_shared { "" } else { identity.user() };
            (at, Key::of(&rule.limit.name, subject))
        })
        .collect()
    }
}

impl LimitRule {
    fn is_about(&self, identity: &Identity) -> bool {
        self.whom.as_ref().is_none_or(|whom| whom.is(identity))
    }

    /// Whether it is about a call; `model` is `None` while it is not known.
    #[must_use]
    pub fn covers(&self, project: &str, model: Option<&str>) -> bool {
        self.project.as_ref().is_none_or(|wanted| **wanted == *project)
            && match (&self.model, model) {
                (None, _) => true,
                // Of a call that does not say what it is for, anything may be true.
                (Some(_), None) => true,
                (Some(pattern), Some(model)) => pattern.matches(model),
            }
    }
}
