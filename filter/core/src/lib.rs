//! The logic of Attach Gateway's filter: everything it decides, and nothing it needs a host for.
//!
//! No host call, clock, randomness, environment, runtime or network is reached from here: time comes in
//! as a value ([`clock::UnixMillis`]), signatures that the host can check come in through a port
//! ([`crypto::HostVerifier`]), everything else goes out as an effect.

pub mod authn;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod headers;
pub mod json;
pub mod keys;
pub mod llm;
pub mod meter;
pub mod mirror;
pub mod outbox;
pub mod policy;
pub mod quota;
pub mod redact;
pub mod reply;
pub mod secret;
pub mod stamp;
pub mod stream;
