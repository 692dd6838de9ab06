//! Tokens that were verified lately, so that the next request with one costs a look-up.
//!
//! Bounded by bytes in two generations: when the younger is full, the older is dropped whole and the
//! younger takes its place; a hit in the older moves the entry to the younger. So the tokens in use stay,
//! and memory never exceeds twice [`GENERATION_BYTES`]. Only verified tokens are kept: nobody without an
//! issuer's key can fill it. The token itself is compared, never a hash alone. Beside them, a short list of
//! tokens that an exchange refused, so that nobody can have it asked over and over about one.

use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::rc::Rc;

use hashbrown::hash_map::Entry as MapEntry;
use hashbrown::{Equivalent, HashMap};

use super::identity::Identity;
use super::verdict::Accepted;
use crate::clock::UnixMillis;
use crate::crypto::sha256;

/// What one generation may hold: tokens and entries.
pub const GENERATION_BYTES: usize = 8 * 1024 * 1024;
/// What an entry costs besides its token and its user's name, with what others note beside it; an estimate
/// on the high side.
const ENTRY_BYTES: usize = 2048;

/// A verified token, and what others have worked out about it.
#[derive(Debug)]
pub struct Entry<Memo> {
    /// Whose it is.
    pub identity: Rc<Identity>,
    /// Whose key signed it; see [`Accepted`].
    pub source: Option<usize>,
    /// What was worked out.
    pub memo: Memo,
    key_fingerprint: [u8; 32],
    refused_from: UnixMillis,
}

impl<Memo: Default> Entry<Memo> {
    fn new(accepted: Accepted) -> Self {
        Self {
            identity: Rc::new(accepted.identity),
            source: accepted.source,
            memo: Memo::default(),
            key_fingerprint: accepted.key_fingerprint,
            refused_from: accepted.refused_from,
        }
    }
}

/// The cache of one worker.
pub struct TokenCache<Memo> {
    young: Generation<Memo>,
    old: Generation<Memo>,
    /// Tokens that an exchange refused, by their hash, and until when; at most [`MAX_REFUSED`].
    refused: HashMap<[u8; 32], UnixMillis>,
}

/// How many tokens are remembered that somebody else refused.
const MAX_REFUSED: usize = 1024;
/// For how long.
const REFUSED_FOR: Duration = Duration::from_secs(30);

struct Generation<Memo> {
    entries: HashMap<Token, Entry<Memo>>,
    bytes: usize,
}

impl<Memo> Default for Generation<Memo> {
    fn default() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }
}

impl<Memo> Default for TokenCache<Memo> {
    fn default() -> Self {
        Self { young: Generation::default(), old: Generation::default(), refused: HashMap::new() }
    }
}

#[derive(PartialEq, Eq)]
struct Token(Box<[u8]>);

/// A token that is looked for.
#[derive(PartialEq, Eq)]
struct Probe<'a>(&'a [u8]);

/// Hashes the end of a token: a piece of its signature, which differs wherever tokens differ. Whoever could
/// make many verified tokens with the same end holds an issuer's key.
fn hash_end<H: Hasher>(token: &[u8], state: &mut H) {
    match token.last_chunk::<8>() {
        Some(end) => state.write_u64(u64::from_le_bytes(*end)),
        None => state.write(token),
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_end(&self.0, state);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_end(self.0, state);
    }
}

impl Equivalent<Token> for Probe<'_> {
    fn equivalent(&self, key: &Token) -> bool {
        same(self.0, &key.0)
    }
}

/// Whether two tokens are the same, eight bytes at a time: the module's `memcmp` goes byte by byte, which
/// would be the dearest thing that happens to a request whose token is known.
fn same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    words.len() == other_words.len()
        && rest == other_rest
        && words.iter().zip(other_words).all(|(a, b)| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b))
}

impl<Memo> core::fmt::Debug for TokenCache<Memo> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TokenCache")
            .field("young", &self.young.entries.len())
            .field("old", &self.old.entries.len())
            .finish()
    }
}

impl<Memo: Default> TokenCache<Memo> {
    /// The entry of a token that is still good.
    pub fn get(&mut self, token: &[u8], now: UnixMillis) -> Option<&mut Entry<Memo>> {
        let probe = Probe(token);
        match self.young.entries.get(&probe).map(|entry| now < entry.refused_from) {
            Some(true) => self.young.entries.get_mut(&probe),
            Some(false) => {
                let (token, entry) = self.young.entries.remove_entry(&probe)?;
                self.young.bytes = self.young.bytes.saturating_sub(cost(&token.0, &entry));
                None
            }
            None => {
                let (token, entry) = self.old.entries.remove_entry(&probe)?;
                self.old.bytes = self.old.bytes.saturating_sub(cost(&token.0, &entry));
                (now < entry.refused_from).then(|| self.keep(token, entry))
            }
        }
    }

    /// Keeps a token that was just accepted, and gives its entry back.
    pub fn insert(&mut self, token: &[u8], accepted: Accepted) -> &mut Entry<Memo> {
        self.keep(Token(token.into()), Entry::new(accepted))
    }

    fn keep(&mut self, token: Token, entry: Entry<Memo>) -> &mut Entry<Memo> {
        let bytes = cost(&token.0, &entry);
        if self.young.bytes.saturating_add(bytes) > GENERATION_BYTES {
            self.old = core::mem::take(&mut self.young);
        }
        match self.young.entries.entry(token) {
            MapEntry::Occupied(mut found) => {
                *found.get_mut() = entry;
                found.into_mut()
            }
            MapEntry::Vacant(place) => {
                self.young.bytes = self.young.bytes.saturating_add(bytes);
                place.insert(entry)
            }
        }
    }

    /// Forgets every token of a source whose key `holds` no longer knows: a token dies with its key.
    pub fn retain(&mut self, source: usize, holds: impl Fn(&[u8; 32]) -> bool) {
        for generation in [&mut self.young, &mut self.old] {
            generation
                .entries
                .retain(|_, entry| entry.source != Some(source) || holds(&entry.key_fingerprint));
            generation.bytes = generation.entries.iter().map(|(token, entry)| cost(&token.0, entry)).sum();
        }
    }

    /// Remembers that somebody who was asked about a token refused it. When there are too many of them, all
    /// are forgotten: to ask once more does no harm.
    pub fn refuse(&mut self, token: &[u8], now: UnixMillis) {
        if self.refused.len() >= MAX_REFUSED {
            self.refused.retain(|_, until| now < *until);
        }
        if self.refused.len() >= MAX_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(sha256(&[token]), now.after(REFUSED_FOR));
    }

    /// Whether a token was refused so lately that nobody need be asked.
    #[must_use]
    pub fn is_refused(&self, token: &[u8], now: UnixMillis) -> bool {
        self.refused.get(&sha256(&[token])).is_some_and(|until| now < *until)
    }

    /// How many tokens are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.entries.len().saturating_add(self.old.entries.len())
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn cost<Memo>(token: &[u8], entry: &Entry<Memo>) -> usize {
    let identity = &entry.identity;
    let scopes: usize = identity.scopes().iter().map(|scope| scope.len().saturating_add(16)).sum();
    let claims = identity.claims().iter();
    let claims: usize = claims.map(|claim| claim.value.len().saturating_add(claim.header.len())).sum();
    // What an upstream is told about the caller repeats all of it, and a third more in base64.
    let said = identity.user().len().saturating_add(scopes).saturating_add(claims);
    token.len().saturating_add(said.saturating_mul(3)).saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn accepted(user: &str, source: usize, key: u8) -> Accepted {
        Accepted {
            identity: Identity::new(user.into(), UnixMillis(2_000_000), crate::authn::Credential::Oidc),
            source: Some(source),
            key_fingerprint: [key; 32],
            refused_from: UnixMillis(2_000_000),
        }
    }

    #[test]
    fn a_token_is_known_until_it_is_refused() {
        let mut cache = TokenCache::<()>::default();
        cache.insert(b"t", accepted("alice", 0, 1));
        assert_eq!(cache.get(b"t", NOW).unwrap().identity.user(), "alice");
        assert!(cache.get(b"T", NOW).is_none());
        assert!(cache.get(b"t", UnixMillis(2_000_000)).is_none());
        assert!(cache.is_empty());
    }

    #[test]
    fn a_token_dies_with_its_key() {
        let mut cache = TokenCache::<()>::default();
        cache.insert(b"a", accepted("alice", 0, 1));
        cache.insert(b"b", accepted("bob", 0, 2));
        cache.insert(b"c", accepted("carol", 1, 1));
        cache.retain(0, |key| *key == [2; 32]);
        assert!(cache.get(b"a", NOW).is_none());
        assert!(cache.get(b"b", NOW).is_some());
        assert!(cache.get(b"c", NOW).is_some());
    }

    #[test]
    fn a_million_tokens_take_no_more_room_than_a_few_thousand() {
        let mut cache = TokenCache::<()>::default();
        let mut most = 0;
        for n in 0..100_000 {
            cache.insert(format!("{n:0700}").as_bytes(), accepted("alice", 0, 1));
            most = most.max(cache.len());
            // The first token is in use all the time, and stays.
            if n > 0 {
                assert!(cache.get(format!("{:0700}", 0).as_bytes(), NOW).is_some());
            }
        }
        assert!(most <= 2 * GENERATION_BYTES / 700, "{most}");
        assert!(cache.young.bytes <= GENERATION_BYTES);
    }

    #[test]
    fn tokens_that_differ_in_one_byte_are_not_the_same() {
        let token: Vec<u8> = (0..100).collect();
        for length in 0..100 {
            assert!(same(&token[..length], &token.clone()[..length]));
            assert!(!same(&token[..length], &token[..length + 1]));
            for at in 0..length {
                let mut other = token[..length].to_vec();
                other[at] ^= 1;
                assert!(!same(&token[..length], &other));
            }
        }
    }
}
