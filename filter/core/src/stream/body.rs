//! What is asked of a whole body: that it is the one that was signed, and that its model is allowed.

use super::stop::Stop;
use crate::authn::verdict::{BodyDigest, Digest};
use crate::crypto::{same, sha256, sha512};

/// Holds a body against what was signed.
pub(super) fn check_digests(digests: &[BodyDigest], body: &[u8]) -> Result<(), Stop> {
    for digest in digests {
        let is_signed = match &digest.expected {
            Digest::Sha256(expected) => same(&sha256(&[body]), expected),
            Digest::Sha512(expected) => same(&sha512(&[body]), &**expected),
        };
        if !is_signed {
            return Err(Stop::Refused(digest.otherwise));
        }
    }
    Ok(())
}
