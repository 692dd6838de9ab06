//! did:pkh: an account of a chain (CAIP-10), `did:pkh:<namespace>:<chain>:<address>`.

use super::key::KeyMaterial;
use super::name::Holder;
use crate::authn::Refusal;
use crate::crypto::{base58, hex, keccak256, to_hex};

/// The longest chain reference (CAIP-2).
const MAX_REFERENCE: usize = 32;

/// Reads what follows `did:pkh:`; the DID in its one spelling and who holds it.
pub(super) fn read(id: &str) -> Result<(String, Holder), Refusal> {
    let mut parts = id.split(':');
    let (Some(namespace), Some(chain), Some(address), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::DidMalformed);
    };
    if !is_chain(namespace, chain) {
        return Err(Refusal::DidChain);
    }
    let (address, holder) = if namespace == "eip155" {
        let bytes = ethereum(address).ok_or(Refusal::DidAddress)?;
        (checksummed(&bytes), Holder::Address(bytes))
    } else {
        // Base58 has one text for a key, so this one is it.
        let key = base58(address).filter(|key| key.len() == 32).ok_or(Refusal::DidAddress)?;
        (address.to_owned(), Holder::Key(KeyMaterial::ed25519(&key)))
    };
    Ok((format!("did:pkh:{namespace}:{chain}:{address}"), holder))
}

/// Whether a chain is one whose accounts can sign here.
pub(super) fn is_chain(namespace: &str, reference: &str) -> bool {
    let well_formed = (1..=MAX_REFERENCE).contains(&reference.len());
    well_formed
        && match namespace {
            // A number in its one spelling; there is no chain 0.
            "eip155" => !reference.starts_with('0') && reference.bytes().all(|b| b.is_ascii_digit()),
            // The first digits of the genesis block's hash: `5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp` is the main net.
            "solana" => reference.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')),
            _ => false,
        }
}

/// An address in lower case, in upper case, or with the checksum that its case is (EIP-55).
fn ethereum(text: &str) -> Option<[u8; 20]> {
    let digits = text.strip_prefix("0x")?;
    let bytes: [u8; 20] = hex(digits)?.try_into().ok()?;
    let lower = digits.bytes().any(|b| b.is_ascii_lowercase());
    let upper = digits.bytes().any(|b| b.is_ascii_uppercase());
    // One wrong letter of a checksummed address is somebody else's.
    if lower && upper && checksummed(&bytes) != text { None } else { Some(bytes) }
}

/// An address as EIP-55 writes it: the spelling that wallets show, and the one that is stamped.
fn checksummed(address: &[u8; 20]) -> String {
    let digits = to_hex(address);
    let hash = to_hex(&keccak256(&[digits.as_bytes()]));
    let letters = digits.chars().zip(hash.bytes()).map(|(digit, nibble)| {
        // The hash's digit is 8 or more.
        if nibble >= b'8' { digit.to_ascii_uppercase() } else { digit }
    });
    core::iter::once('0').chain(core::iter::once('x')).chain(letters).collect()
}
