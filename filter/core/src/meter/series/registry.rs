//! Which label sets exist in an Envoy, as all its workers share it: a seed, and twelve bytes for each.

use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

use hashbrown::{HashMap, HashSet};

use super::Granted;
use crate::meter::label::{OTHER, label};

/// What the shared value is called.
pub const KEY: &str = "attach/series";
/// Of the label sets that may exist, those that are kept for "other" users of a model: one in so many …
const RESERVED_SHARE: usize = 10;
/// … and no more than that.
const MAX_RESERVED: usize = 64;
/// How many models a user has counters for, before further ones read "other".
const MAX_MODELS: u16 = 64;
/// Two series for each label set: prompts and answers.
const DIRECTIONS: usize = 2;

/// A register without entries. `seed` is random, so that nobody can find names that look the same to it.
#[must_use]
pub fn empty(seed: u64) -> Vec<u8> {
    seed.to_le_bytes().to_vec()
}

/// A copy of the register.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry {
    seed: u64,
    pairs: HashSet<u64>,
    /// Entries of each user.
    models: HashMap<u32, u16>,
    /// The shared value.
    value: Vec<u8>,
    has_grown: bool,
}

impl Registry {
    pub(super) fn read(value: &[u8]) -> Self {
        let (seed, entries) = value.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        let mut registry = Self { seed: u64::from_le_bytes(*seed), value: seed.to_vec(), ..Self::default() };
        for [a, b, c, d, e, f, g, h, user @ ..] in entries.as_chunks::<12>().0 {
            registry.put(u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), u32::from_le_bytes(*user));
        }
        registry
    }

    /// The shared value.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether something was granted, or would have been, that the register did not hold.
    pub(super) fn take_grown(&mut self) -> bool {
        core::mem::take(&mut self.has_grown)
    }

    /// What a pair is granted while no more than `most` series may exist. Unless it may grow, the register
    /// stays as it is.
    pub(super) fn grant(&mut self, user: &str, model: &str, most: u32, may_grow: bool) -> Granted {
        let (user, model) = (label(user), label(model));
        let pairs = usize::try_from(most).unwrap_or(usize::MAX) / DIRECTIONS;
        // The last one is that of everything else, which needs no entry.
        let all = pairs.saturating_sub(1);
        let own = all.saturating_sub((pairs / RESERVED_SHARE).min(MAX_RESERVED));
        if user != OTHER {
            let whose = self.hash(&[&user]);
            #[allow(clippy::cast_possible_truncation)] // Half of it is meant.
            let whose = whose as u32;
            let has_room = self.models.get(&whose).is_none_or(|models| *models < MAX_MODELS);
            if model != OTHER && self.claim(&user, &model, whose, if has_room { own } else { 0 }, may_grow) {
                return Granted::Own;
            }
            if self.claim(&user, OTHER, whose, own, may_grow) {
                return Granted::User;
            }
        }
        // "Other" users have as many models as there is room for.
        if model != OTHER && self.claim(OTHER, &model, 0, all, may_grow) {
            return Granted::Model;
        }
        Granted::Rest
    }

    /// Whether a label set exists, or may while there are fewer than `most`.
    fn claim(&mut self, user: &str, model: &str, whose: u32, most: usize, may_grow: bool) -> bool {
        let pair = self.hash(&[user, model]);
        if self.pairs.contains(&pair) {
            return true;
        }
        if self.pairs.len() >= most {
            return false;
        }
        if may_grow {
            self.put(pair, whose);
        }
        self.has_grown = true;
        true
    }

    fn put(&mut self, pair: u64, whose: u32) {
        if self.pairs.insert(pair) {
            let models = self.models.entry(whose).or_default();
            *models = models.saturating_add(1);
            self.value.extend_from_slice(&pair.to_le_bytes());
            self.value.extend_from_slice(&whose.to_le_bytes());
        }
    }

    /// The same in every worker, which all run the same module.
    fn hash(&self, texts: &[&str]) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        texts.hash(&mut hasher);
        hasher.finish()
    }
}
