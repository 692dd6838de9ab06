//! Attach Gateway's native side: the control service and everything the `attach` command does.

pub mod cli;
pub mod settings;
pub mod supervise;
pub mod up;
