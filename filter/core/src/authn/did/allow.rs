//! Who may come in with a key of his own making.

use super::name::{self, Did, Method};
use super::pkh;
use crate::authn::Refusal;

/// One entry of `DID_ALLOW`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedDid(Allowed);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// `*`, said out loud: whoever makes a key is let in, and makes another when that one's quota is used up.
    Everyone,
    /// What the DID begins with, up to and with a colon.
    Beginning(Box<str>),
    /// This one.
    One(Box<str>),
}

impl AllowedDid {
    /// Reads an entry: a DID, a beginning such as `did:key:*` or `did:pkh:eip155:1:*`, or `*`.
    ///
    /// # Errors
    /// What is wrong with it, for the operator.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self(Allowed::Everyone));
        }
        let Some(beginning) = text.strip_suffix('*') else {
            let did = Did::parse(text).map_err(reason)?;
            // An entry whose key is none would let nobody in, and nobody would find out why.
            did.check().map_err(reason)?;
            return Ok(Self(Allowed::One(did.name().into())));
        };
        let chain = beginning
            .strip_suffix(':')
            .ok_or("a beginning must end in a colon and a star, as did:key:* or did:pkh:eip155:1:*")?;
        if chain == "did" {
            return Err("write * alone for every DID");
        }
        match name::method(beginning).map_err(reason)? {
            (_, "") => {}
            (Method::Key, _) => return Err("of did:key only did:key:* or a whole DID can be listed"),
            (Method::Pkh, rest) => match rest.strip_suffix(':').map(|rest| rest.split_once(':')) {
                Some(None) if matches!(rest, "eip155:" | "solana:") => {}
                Some(Some((namespace, reference))) if pkh::is_chain(namespace, reference) => {}
                _ => return Err(Refusal::DidChain.detail()),
            },
        }
        Ok(Self(Allowed::Beginning(beginning.into())))
    }

    /// The entry with the DID as it is stamped.
    #[must_use]
    pub fn stamped(&self) -> String {
        match &self.0 {
            Allowed::Everyone => "*".to_owned(),
            Allowed::Beginning(beginning) => format!("{beginning}*"),
            Allowed::One(name) => name.to_string(),
        }
    }

    /// Whether this entry lets the DID in.
    pub(super) fn holds(&self, did: &Did) -> bool {
        match &self.0 {
            Allowed::Everyone => true,
            Allowed::Beginning(beginning) => did.name().starts_with(&**beginning),
            Allowed::One(name) => **name == *did.name(),
        }
    }
}

fn reason(refusal: Refusal) -> &'static str {
    refusal.detail()
}
