//! What is remembered of prompts and answers: memory outside the model.
//!
//! An event is made where a call ends, redacted before it leaves the VM, and told to Weaviate, or to control,
//! which speaks Weaviate's REST API itself and keeps what Weaviate does not take.

pub mod delivery;
pub mod event;
pub mod pool;
pub mod transcript;

pub use event::{MemoryEvent, Object};

/// The class of events, as the original names it.
pub const CLASS: &str = "MemoryEvent";

/// Where batches of objects go, below Weaviate's address: `POST {"objects":[…]}`.
pub const BATCH_PATH: &str = "/v1/batch/objects";

/// Where control answers as Weaviate does: [`BATCH_PATH`] and its like lie below.
pub const EMBEDDED_PREFIX: &str = "/internal/weaviate";

/// Where control takes a batch that Weaviate did not: the same body, kept until Weaviate has it.
pub const OUTBOX_PATH: &str = "/internal/memory";

/// What stands before a space's name where an owner's does. No user's name has it: those are ASCII.
pub const SPACE_PREFIX: char = '\u{a7}';

/// The owner of what a named space holds.
#[must_use]
pub fn space_owner(space: &str) -> String {
    format!("{SPACE_PREFIX}{space}")
}

/// The tenant of an owner under `WEAVIATE_TENANCY=user`: the first 32 hexadecimal digits of its SHA-256.
#[must_use]
pub fn tenant_of(owner: &str) -> String {
    let digits = crate::crypto::sha256_hex(&[owner.as_bytes()]);
    digits.iter().take(32).copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_32_digits_of_its_owners_digest() {
        // sha256sum of "alice".
        assert_eq!(tenant_of("alice"), "2bd806c97f0e00af1a1fc3328fa763a9");
    }

    #[test]
    fn no_user_has_the_name_of_a_spaces_owner() {
        assert!(!crate::authn::identity::fits_header(&space_owner("team-a")));
    }
}
