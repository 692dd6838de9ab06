//! Attach Gateway's native side: the control service and everything the `attach` command does.

pub mod cli;
pub mod engine;
pub mod idp;
pub mod logging;
pub mod serving;
pub mod settings;
pub mod shutdown;
