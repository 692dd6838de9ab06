//! Attach Gateway's native side: the control service and everything the `attach` command does.

pub mod authorized_keys;
pub mod cli;
pub mod clock;
pub mod discover;
pub mod doctor;
pub mod engine;
pub mod fetch;
pub mod idp;
pub mod ledger;
pub mod logging;
pub mod memory;
pub mod orchestrator;
pub mod outbox;
pub mod quota;
pub mod render;
pub mod replay;
pub mod serve;
pub mod serving;
pub mod settings;
pub mod shutdown;
pub mod signing;
pub mod store;
pub mod supervise;
pub mod token;
pub mod trust;
pub mod up;
