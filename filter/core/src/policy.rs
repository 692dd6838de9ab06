//! What the configuration was compiled into, and what every request is decided by.

pub mod route;
