//! `Content-Digest` (RFC 9530 section 2): what a signature that covers it says about the body.

use super::component::{Component, Part};
use super::message::Message;
use super::structured::Members;
use crate::authn::Refusal;
use crate::authn::verdict::{BodyDigest, Digest};
use crate::crypto::{sha256, sha512};
use sfv::BareItem;

/// The field's name.
pub(super) const FIELD: &str = "content-digest";
/// The digests that are computed here; RFC 9530 section 5 calls every other one insecure.
const SHA_256: &str = "sha-256";
const SHA_512: &str = "sha-512";
/// The longest field that is read, in bytes.
const MAX_BYTES: usize = 4 * 1024;

/// Whether a signature vouches for the body.
pub(super) fn is_covered(covered: &[Component]) -> bool {
    covered.iter().any(|component| {
        component.is_all_of(FIELD)
            || *component.name == *FIELD
                && matches!(&component.part, Part::Member(key) if matches!(&**key, SHA_256 | SHA_512))
    })
}

/// The digests that the body must have: of a covered field all that are supported, of covered members those.
///
/// # Errors
/// The field cannot be read, names no supported digest, or there is no body and it is not nothing's.
pub(super) fn of(message: &Message<'_>, covered: &[Component]) -> Result<Vec<BodyDigest>, Refusal> {
    let field = message.field(FIELD, MAX_BYTES).ok_or(Refusal::DigestMalformed)?;
    let members = Members::dictionary(&field).ok_or(Refusal::DigestMalformed)?;
    let whole = covered.iter().any(|component| component.is_all_of(FIELD));
    let mut digests = Vec::new();
    for member in members.iter() {
        let name = member.key();
        let is_signed = whole
            || covered.iter().any(|component| {
                *component.name == *FIELD && matches!(&component.part, Part::Member(key) if **key == *name)
            });
        if !is_signed || !matches!(name, SHA_256 | SHA_512) {
            continue;
        }
        let Some(BareItem::ByteSequence(bytes)) = member.item() else {
            return Err(Refusal::DigestMalformed);
        };
        let expected = match name {
            SHA_256 => <[u8; 32]>::try_from(&**bytes).map(Digest::Sha256),
            _ => <[u8; 64]>::try_from(&**bytes).map(|bytes| Digest::Sha512(Box::new(bytes))),
        }
        .map_err(|_| Refusal::DigestMalformed)?;
        digests.push(BodyDigest { expected, otherwise: Refusal::DigestWrong });
    }
    if digests.is_empty() {
        return Err(Refusal::DigestMalformed);
    }
    if message.has_body {
        return Ok(digests);
    }
    // A body that was taken away must be missed, and nobody will come to see the body of this request.
    let is_nothings = |digest: &BodyDigest| match &digest.expected {
        Digest::Sha256(expected) => *expected == sha256(&[]),
        Digest::Sha512(expected) => **expected == sha512(&[]),
    };
    if digests.iter().all(is_nothings) { Ok(Vec::new()) } else { Err(Refusal::DigestWrong) }
}
