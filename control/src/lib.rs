//! Attach Gateway's native side: the control service and everything the `attach` command does.

pub mod cli;
pub mod discover;
pub mod fetch;
pub mod settings;
