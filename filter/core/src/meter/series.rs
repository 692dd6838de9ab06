//! Token counters by user and model: at most so many series per Envoy, whoever calls and whatever for.
//!
//! A host's metrics live as long as its process. So every label set has to be claimed in a register
//! that all workers share before its counters are made. Once the register is full, a new user reads
//! `other`, beside the model where there is room for that; a user with very many models reads
//! `other` for the model before that, so that one caller's made-up names do not use the register up.

use core::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};

use self::registry::Registry;
use super::instrument::{Counter, MetricHost};
use super::label::{OTHER, label};

pub use self::registry::{KEY, empty};

mod registry;

/// The metric.
const NAME: &str = "attach_usage_tokens_total";
/// How many label sets are kept until the next flush that have no counters of this worker's yet.
const MAX_FRESH: usize = 1_024;
/// How often a worker tries to write the register while others write it too.
const WRITE_ATTEMPTS: usize = 8;

/// Whose tokens, and of which model's.
#[derive(PartialEq, Eq, Debug)]
struct Pair {
    user: Box<str>,
    model: Box<str>,
}

/// A pair that is looked for.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Probe<'a> {
    user: &'a str,
    model: &'a str,
}

impl Hash for Pair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Probe { user: &self.user, model: &self.model }.hash(state);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user.hash(state);
        self.model.hash(state);
    }
}

impl Equivalent<Pair> for Probe<'_> {
    fn equivalent(&self, pair: &Pair) -> bool {
        *self.user == *pair.user && *self.model == *pair.model
    }
}

/// What was used since the last flush.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    input: u64,
    output: u64,
}

impl Used {
    fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
    }
}

/// The counters of one label set.
#[derive(Debug)]
struct Counters {
    input: Counter,
    output: Counter,
}

/// One worker's token counters.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Places among `counters`, of pairs that have their own.
    known: HashMap<Pair, usize>,
    /// Places by labels as they are written.
    places: HashMap<Pair, usize>,
    counters: Vec<Counters>,
    /// Those that have something to tell.
    dirty: Vec<usize>,
    fresh: HashMap<Pair, Used>,
    /// What came when `fresh` was full.
    rest: Used,
    registry: Registry,
}

impl Series {
    /// Counts a call.
    pub(super) fn count(&mut self, user: &str, model: &str, input: u64, output: u64) {
        let used = Used { input, output };
        if input == 0 && output == 0 {
            return;
        }
        let probe = Probe { user, model };
        if let Some(place) = self.known.get(&probe) {
            return count(&mut self.counters, &mut self.dirty, *place, used);
        }
        if let Some(have) = self.fresh.get_mut(&probe) {
            have.add(used);
        } else if self.fresh.len() < MAX_FRESH {
            // What is too long for a label need not be kept at its length.
            let short =
                |text: &str| if text.len() > super::label::MAX_BYTES { "".into() } else { text.into() };
            self.fresh.entry(Pair { user: short(user), model: short(model) }).or_default().add(used);
        } else {
            self.rest.add(used);
        }
    }

    /// Tells the host. `most` is the number of series that may exist.
    pub(super) fn flush(&mut self, host: &dyn MetricHost, most: u32) {
        if !self.fresh.is_empty() || self.rest.input > 0 || self.rest.output > 0 {
            self.settle(host, most);
        }
        for place in core::mem::take(&mut self.dirty) {
            if let Some(counters) = self.counters.get_mut(place)
                && !(counters.input.flush(host) & counters.output.flush(host))
            {
                self.dirty.push(place);
            }
        }
    }

    /// Finds counters for what came new. Where the register cannot be had it waits for the next flush.
    fn settle(&mut self, host: &dyn MetricHost, most: u32) {
        let Some(claimed) = self.claim(host, most) else { return };
        let fresh = core::mem::take(&mut self.fresh);
        for ((pair, used), granted) in fresh.into_iter().zip(claimed) {
            let (user, model) = (label(&pair.user), label(&pair.model));
            let (user, model) = granted.labels(&user, &model);
            let place = self.place(user, model);
            count(&mut self.counters, &mut self.dirty, place, used);
            if granted == Granted::Own {
                self.known.insert(pair, place);
            }
        }
        let rest = core::mem::take(&mut self.rest);
        if rest.input > 0 || rest.output > 0 {
            let place = self.place(OTHER, OTHER);
            count(&mut self.counters, &mut self.dirty, place, rest);
        }
    }

    /// What each of the new pairs is granted, in their order. The shared register is only asked where this
    /// worker's copy of it does not say.
    fn claim(&mut self, host: &dyn MetricHost, most: u32) -> Option<Vec<Granted>> {
        let claim_all = |fresh: &HashMap<Pair, Used>, registry: &mut Registry, may_grow| {
            let grant = |pair: &Pair| registry.grant(&pair.user, &pair.model, most, may_grow);
            fresh.keys().map(grant).collect::<Vec<_>>()
        };
        let granted = claim_all(&self.fresh, &mut self.registry, false);
        if !self.registry.take_grown() {
            return Some(granted);
        }
        for _ in 0..WRITE_ATTEMPTS {
            let (value, Some(version)) = host.shared(KEY) else { return None };
            let mut registry = Registry::read(&value.unwrap_or_default());
            let granted = claim_all(&self.fresh, &mut registry, true);
            if !registry.take_grown() || host.set_shared(KEY, registry.value(), Some(version)) {
                self.registry = registry;
                return Some(granted);
            }
        }
        None
    }

    /// The place of a label set's counters.
    fn place(&mut self, user: &str, model: &str) -> usize {
        if let Some(place) = self.places.get(&Probe { user, model }) {
            return *place;
        }
        let place = self.counters.len();
        // What a caller chooses never stands last: a host may drop a name's trailing dots.
        let name = |direction| format!("{NAME};user={user};model={model};direction={direction}");
        self.counters.push(Counters { input: Counter::new(name("in")), output: Counter::new(name("out")) });
        self.places.insert(Pair { user: user.into(), model: model.into() }, place);
        place
    }
}

fn count(counters: &mut [Counters], dirty: &mut Vec<usize>, place: usize, used: Used) {
    let Some(counters) = counters.get_mut(place) else { return };
    // Whatever has something to tell stands there once.
    if !counters.input.is_pending() && !counters.output.is_pending() {
        dirty.push(place);
    }
    counters.input.add(used.input);
    counters.output.add(used.output);
}

/// Which label set a pair counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granted {
    /// Its own.
    Own,
    /// Its user's, of all further models.
    User,
    /// Its model's, of all further users.
    Model,
    /// That of everything else.
    Rest,
}

impl Granted {
    fn labels<'a>(self, user: &'a str, model: &'a str) -> (&'a str, &'a str) {
        match self {
            Self::Own => (user, model),
            Self::User => (user, OTHER),
            Self::Model => (OTHER, model),
            Self::Rest => (OTHER, OTHER),
        }
    }
}

#[cfg(test)]
mod tests;
