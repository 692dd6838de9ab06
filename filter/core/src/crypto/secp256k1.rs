//! secp256k1, for wallets: signatures of a known key, and the address that a signature was made with.

use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use k256::ecdsa::{Signature, VerifyingKey};
use k256::elliptic_curve::ops::{Invert as _, LinearCombination as _, Reduce};
use k256::elliptic_curve::point::DecompressPoint as _;
use k256::elliptic_curve::scalar::IsHigh as _;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use k256::{AffinePoint, ProjectivePoint, Scalar, U256};
use sha2::{Digest as _, Sha256};
use subtle::Choice;

use super::keccak256;

/// The signature as r and s, in the one of its two forms that is accepted: with an s in the upper half of
/// the order anybody could make a second token out of a first.
fn read(signature: &[u8]) -> Option<Signature> {
    // Refuses r or s of zero or beyond the order, and every length but 64.
    let signature = Signature::from_slice(signature).ok()?;
    if bool::from(signature.s().is_high()) { None } else { Some(signature) }
}

/// ES256K (RFC 8812 section 3.2).
pub(super) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    read(signature).is_some_and(|signature| key.verify_prehash(&Sha256::digest(message), &signature).is_ok())
}

/// The Ethereum address whose key made the 65-byte signature r ‖ s ‖ v over the digest; v is 0 or 1, or 27
/// or 28 as wallets write it. `None`: there is no such key, or s is in the upper half of the order.
#[must_use]
pub fn recover_address(digest: &[u8; 32], signature: &[u8]) -> Option<[u8; 20]> {
    let (v, signature) = signature.split_last()?;
    let odd = match v {
        0 | 27 => 0,
        1 | 28 => 1,
        _ => return None,
    };
    let (r, s) = read(signature)?.split_scalars();
    // The crate's own recovery verifies what it has recovered, which doubles the price. It cannot fail:
    // the key is the one solution of the equation that verification tests (SEC 1 section 4.1.6).
    let point = Option::<AffinePoint>::from(AffinePoint::decompress(&r.to_bytes(), Choice::from(odd)))?;
    let z = <Scalar as Reduce<U256>>::reduce_bytes(&(*digest).into());
    let r_inverse = *r.invert_vartime();
    let key = ProjectivePoint::lincomb(
        &ProjectivePoint::GENERATOR,
        &-(r_inverse * z),
        &ProjectivePoint::from(point),
        &(r_inverse * *s),
    );
    if key == ProjectivePoint::IDENTITY {
        return None;
    }
    let encoded = key.to_affine().to_encoded_point(false);
    keccak256(&[encoded.as_bytes().get(1..)?]).last_chunk::<20>().copied()
}

#[cfg(test)]
mod tests;
