//! The logic of Attach Gateway's filter: everything it decides, and nothing it needs a host for.

pub mod config;
pub mod policy;
