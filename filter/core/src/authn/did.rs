#![allow(missing_docs)]
use super::verdict::Accepted;
use super::{Refusal, jws::Jws};
use crate::clock::UnixMillis;
use crate::crypto::HostVerifier;
#[derive(Debug)]
pub struct Rules {
    pub allow: Vec<AllowedDid>,
    pub audiences: Box<[Box<str>]>,
}
#[derive(Debug)]
pub struct AllowedDid;
impl AllowedDid {
    pub fn parse(_: &str) -> Result<Self, &'static str> {
        Ok(Self)
    }
}
pub fn authenticate(_: &str, _: &Rules, _: &dyn HostVerifier, _: UnixMillis) -> Result<Accepted, Refusal> {
    Err(Refusal::DidOff)
}
pub fn is_prefix_form(token: &str) -> bool {
    token.starts_with("did:")
}
pub fn names_did(_: &Jws<'_>) -> bool {
    false
}
