//! What the black-box tests are made of.
//!
//! A test starts a [`Gateway`](gateway::Gateway) through the real `attach up` in front of an
//! [`Upstream`](upstream::Upstream) that records what reaches it, with an [`Issuer`](issuer::Issuer) whose
//! faults are scripted and a [`Mint`](mint::Mint) that makes every good and bad token. Everything is on free
//! loopback ports; nothing sleeps for a fixed time ([`wait`]).
//!
//! Everything here is blocking and on threads, so that a test reads from top to bottom. Only gRPC's HTTP/2
//! ([`grpc`]) needs a runtime, and hides it.
//!
//! This crate panics on purpose: a panic is how a test fails.

pub mod cases;
pub mod env;
pub mod fixture;
pub mod gateway;
pub mod grpc;
pub mod http;
pub mod issuer;
pub mod mint;
pub mod native;
pub mod peers;
pub mod ports;
pub mod request;
pub mod sent;
pub mod tls;
pub mod upstream;
pub mod wait;
pub mod wire;
