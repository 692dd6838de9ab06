//! Authorization codes that wait to be redeemed: each once, within a minute, by whoever holds the verifier.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// How long a code may wait.
pub(super) const LIFE: Duration = Duration::from_secs(60);

/// The most codes that wait at once; the one that waits longest makes room for another.
const CAPACITY: usize = 1024;

/// Bytes of randomness in a code.
const BYTES: usize = 32;

/// What a code stands for, and what it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    /// S256 of the verifier (RFC 7636 section 4.2).
    pub(super) challenge: String,
    pub(super) subject: String,
    pub(super) scope: String,
    pub(super) audiences: Vec<String>,
    pub(super) nonce: Option<String>,
    /// When the user named themselves, in seconds of Unix time.
    pub(super) auth_time: u64,
}

/// The table. It keeps digests of codes, so that neither its `Debug` nor the time of a look-up tells a code.
#[derive(Debug, Default)]
pub(super) struct Codes {
    waiting: HashMap<[u8; 32], (Instant, Grant)>,
}

impl Codes {
    /// A new code for `grant`.
    pub(super) fn issue(&mut self, grant: Grant, now: Instant) -> Result<String, getrandom::Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        self.waiting.retain(|_, (issued, _)| now.duration_since(*issued) < LIFE);
        if self.waiting.len() >= CAPACITY {
            let oldest =
                self.waiting.iter().min_by_key(|(_, (issued, _))| *issued).map(|(digest, _)| *digest);
            if let Some(digest) = oldest {
                self.waiting.remove(&digest);
            }
        }
        let code = URL_SAFE_NO_PAD.encode(bytes);
        self.waiting.insert(digest(&code), (now, grant));
        Ok(code)
    }

    /// What `code` stands for, if it waits. It waits no longer, whatever becomes of the request.
    pub(super) fn take(&mut self, code: &str, now: Instant) -> Option<Grant> {
        let (issued, grant) = self.waiting.remove(&digest(code))?;
        (now.duration_since(issued) < LIFE).then_some(grant)
    }
}

fn digest(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(subject: &str) -> Grant {
        Grant {
            client_id: "app".into(),
            redirect_uri: "http://127.0.0.1:1/".into(),
            challenge: String::new(),
            subject: subject.into(),
            scope: String::new(),
            audiences: Vec::new(),
            nonce: None,
            auth_time: 0,
        }
    }

    #[test]
    fn a_code_is_redeemed_once() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        let code = codes.issue(grant("alice"), now).unwrap();
        assert_eq!(codes.take(&code, now), Some(grant("alice")));
        assert_eq!(codes.take(&code, now), None);
    }

    #[test]
    fn a_code_is_worth_nothing_after_a_minute() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        let code = codes.issue(grant("alice"), now).unwrap();
        assert_eq!(codes.take(&code, now + LIFE), None);
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_code_makes_room() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        let first = codes.issue(grant("first"), now).unwrap();
        let later = now + Duration::from_millis(1);
        let all: Vec<String> = (0..CAPACITY).map(|_| codes.issue(grant("later"), later).unwrap()).collect();
        assert_eq!(codes.waiting.len(), CAPACITY);
        assert_eq!(codes.take(&first, later), None);
        assert!(all.iter().all(|code| codes.take(code, later).is_some()));
    }

    #[test]
    fn codes_that_ran_out_are_swept_when_another_is_issued() {
        let (mut codes, now) = (Codes::default(), Instant::now());
        codes.issue(grant("alice"), now).unwrap();
        codes.issue(grant("bob"), now + LIFE).unwrap();
        assert_eq!(codes.waiting.len(), 1);
    }
}
