//! Who is calling: a request's credential becomes an [`Identity`], or a [`Refusal`] with its reason.
//!
//! One file per scheme, and [`extract`] to tell which one a request uses. An [`Identity`] can be made
//! nowhere else, so whatever asks for one can only be reached by a caller that was verified.

pub mod claims;
pub mod did;
pub mod exchange;
pub mod extract;
pub mod gateway;
pub mod grants;
pub mod hmac;
pub mod httpsig;
pub mod identity;
pub mod jws;
pub mod oidc;
pub mod refusal;
pub mod replay;
pub mod rotagent;
pub mod token_cache;
pub mod verdict;

pub use identity::{Credential, Identity};
pub use refusal::Refusal;
