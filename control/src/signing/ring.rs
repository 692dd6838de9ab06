//! A ring: the key that signs, the one that will, and those that did.

use serde_json::{Value, json};

use super::{PublicKey, SigningKey};

/// Seconds after which the next key of the gateway tokens takes over: filters refresh their keys more often.
pub const TAKEOVER: u64 = 60;
/// The most retired keys a ring lists. One stays for minutes: more than these come from no person's hand.
const MAX_RETIRED: usize = 64;

/// What a ring's keys sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `X-Attach-Assertion`: Envoy's filter signs.
    Assertions,
    /// Tokens of `POST /auth/token`: this service signs.
    GatewayTokens,
}

impl Purpose {
    /// Seconds for which a public half stays published after its key was replaced.
    #[must_use]
    pub fn grace(self) -> u64 {
        match self {
            // An assertion lives two minutes; ten is what operators are told.
            Self::Assertions => 600,
            // A token lives fifteen minutes, and verifiers allow a minute for clocks.
            Self::GatewayTokens => 15 * 60 + 120,
        }
    }

    /// The ring's file in a state folder's `secrets`.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Assertions => "assertion-keys.json",
            Self::GatewayTokens => "gateway-keys.json",
        }
    }
}

/// A key with its private half.
#[derive(Debug)]
struct Held {
    key: SigningKey,
    created: u64,
}

/// A public half that is still shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Retired {
    key: PublicKey,
    until: u64,
}

/// The keys of one purpose. Times are seconds of Unix time.
#[derive(Debug)]
pub(super) struct Ring {
    current: Held,
    next: Option<Held>,
    retired: Vec<Retired>,
}

impl Ring {
    /// A ring of one key.
    pub(super) fn new(key: SigningKey, now: u64) -> Self {
        Self { current: Held { key, created: now }, next: None, retired: Vec::new() }
    }

    /// The key that signs.
    pub(super) fn current(&self) -> &SigningKey {
        &self.current.key
    }

    /// The key that will.
    pub(super) fn next(&self) -> Option<&SigningKey> {
        self.next.as_ref().map(|next| &next.key)
    }

    /// The key of whoever starts now.
    pub(super) fn into_newest(self) -> SigningKey {
        self.next.unwrap_or(self.current).key
    }

    /// Takes the next key, of which there must be none yet; its id.
    pub(super) fn rotate(&mut self, key: SigningKey, now: u64) -> &str {
        self.next.insert(Held { key, created: now }).key.kid()
    }

    /// Makes the next key the current one; the old public half is shown until then.
    pub(super) fn promote(&mut self, until: u64) {
        if let Some(next) = self.next.take() {
            let old = std::mem::replace(&mut self.current, next);
            self.retired.push(Retired { key: old.key.public().clone(), until });
            // The oldest goes first.
            let surplus = self.retired.len().saturating_sub(MAX_RETIRED);
            self.retired.drain(..surplus);
        }
    }

    /// When the next key takes over without being told to.
    pub(super) fn takeover(&self, purpose: Purpose) -> Option<u64> {
        match purpose {
            Purpose::Assertions => None,
            Purpose::GatewayTokens => self.next.as_ref().map(|next| next.created.saturating_add(TAKEOVER)),
        }
    }

    /// The ring as it stands at a moment. It depends on nothing else, so that several services that share a
    /// file which they cannot write agree all the same.
    pub(super) fn settled(mut self, purpose: Purpose, now: u64) -> Self {
        self.settle(purpose, now);
        self
    }

    /// As [`Ring::settled`], in place.
    pub(super) fn settle(&mut self, purpose: Purpose, now: u64) {
        if let Some(takeover) = self.takeover(purpose).filter(|takeover| *takeover <= now) {
            self.promote(takeover.saturating_add(purpose.grace()));
        }
        self.retired.retain(|retired| retired.until > now);
    }

    /// Every public key that somebody may need at a moment: the current one first.
    pub(super) fn published(&self, now: u64) -> impl Iterator<Item = &PublicKey> {
        let held = std::iter::once(&self.current).chain(self.next.as_ref());
        let retired = self.retired.iter().filter(move |retired| retired.until > now);
        held.map(|held| held.key.public()).chain(retired.map(|retired| &retired.key))
    }

    /// What its file holds.
    pub(super) fn to_json(&self) -> Value {
        let held =
            |held: &Held| json!({ "seed": held.key.seed(), "kid": held.key.kid(), "created": held.created });
        let retired = |retired: &Retired| json!({ "public": retired.key.text(), "kid": retired.key.kid(), "until": retired.until });
        json!({
            "current": held(&self.current),
            "next": self.next.as_ref().map(held),
            "retired": self.retired.iter().map(retired).collect::<Vec<_>>(),
        })
    }

    /// The other direction; `None` for everything that [`Ring::to_json`] does not write, ids that are not
    /// their keys' included.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let held = |value: &Value| {
            let key = SigningKey::from_text(value.get("seed")?.as_str()?)?;
            let created = value.get("created")?.as_u64()?;
            (value.get("kid")?.as_str()? == key.kid()).then_some(Held { key, created })
        };
        let retired = |value: &Value| {
            let key = PublicKey::from_text(value.get("public")?.as_str()?)?;
            let until = value.get("until")?.as_u64()?;
            (value.get("kid")?.as_str()? == key.kid()).then_some(Retired { key, until })
        };
        Some(Self {
            current: held(value.get("current")?)?,
            next: match value.get("next")? {
                Value::Null => None,
                next => Some(held(next)?),
            },
            retired: value.get("retired")?.as_array()?.iter().map(retired).collect::<Option<_>>()?,
        })
    }
}
