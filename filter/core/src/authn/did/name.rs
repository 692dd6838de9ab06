//! A DID of a method that is accepted, in the one spelling that is stamped.

use super::{key, pkh};
use crate::authn::Refusal;
use key::KeyMaterial;

/// A DID, read strictly: exactly the DID, without path, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Did {
    name: Box<str>,
    holder: Holder,
}

/// What a DID says about who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A public key.
    Key(KeyMaterial),
    /// An Ethereum address.
    Address([u8; 20]),
}

/// The method of a text that begins with `did:`, if it is accepted, and what follows it.
pub(super) fn method(text: &str) -> Result<(Method, &str), Refusal> {
    let rest = text.strip_prefix("did:").ok_or(Refusal::DidMalformed)?;
    let (method, rest) = rest.split_once(':').ok_or(Refusal::DidMalformed)?;
    match method {
        "key" => Ok((Method::Key, rest)),
        "pkh" => Ok((Method::Pkh, rest)),
        "web" => Err(Refusal::DidWeb),
        // The method's name is lower-case letters and digits (DID Core section 3.1).
        name if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) => {
            Err(Refusal::DidMethod)
        }
        _ => Err(Refusal::DidMalformed),
    }
}

/// A method that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Key,
    Pkh,
}

impl Did {
    /// Reads a DID. A key in it is decoded, and not yet held to be a point of its curve: that costs more
    /// than a stranger's DID is worth.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        match method(text)? {
            (Method::Key, id) => Ok(Self { name: text.into(), holder: Holder::Key(key::read(id)?) }),
            (Method::Pkh, id) => {
                let (name, holder) = pkh::read(id)?;
                Ok(Self { name: name.into(), holder })
            }
        }
    }

    /// The one spelling of it: a wallet is one user, however its address is written.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Whether its key is one.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        match &self.holder {
            Holder::Key(material) => material.public().map(|_| ()),
            Holder::Address(_) => Ok(()),
        }
    }

    /// Whether a text is this DID, in any of its spellings.
    pub(super) fn is(&self, text: &str) -> bool {
        *self.name == *text || Self::parse(text).is_ok_and(|other| other.name == self.name)
    }

    /// Whether a `kid` is this DID, or the DID URL of its only key.
    pub(super) fn owns_key(&self, id: &str) -> bool {
        let Some((did, fragment)) = id.split_once('#') else { return self.is(id) };
        self.is(did)
            && match self.name.strip_prefix("did:key:") {
                // did:key, section 3.1.2: the fragment is the key once more.
                Some(key) => key == fragment,
                // did:pkh's documents call it so, and Solana's its key as well.
                None => matches!(fragment, "blockchainAccountId" | "controller"),
            }
    }
}
