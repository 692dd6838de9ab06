//! Every kind of credential as others make it, through the real gateway.
//!
//! None of these tests is skipped where a peer is missing: that a credential of ours is accepted says
//! nothing about the ones that are in use.

mod agents;
mod assertions;
mod did;
mod exchange;
mod httpsig;
mod keys_folder;
mod mcp;
mod providers;
mod replay;
mod rotagent;
mod shadow;
mod site;
mod tools;

/// What every token here is for.
const AUDIENCE: &str = "attach-test";
/// A key that a service shares with the gateway.
const BILLING_SECRET: &str = "a-secret-that-is-long-enough-for-hs512-which-wants-sixty-four-bytes";
