//! What models are told and what they say: whose wire format a call speaks, and how many tokens it is.
//!
//! Everything here works on bytes as they come, in pieces of any size: how a message was cut into chunks
//! never changes a number.

pub mod bpe;
pub mod edit;
pub mod request;
pub mod response;
pub mod scan;
pub mod shape;
pub mod usage;
