//! `attach up`: from settings to a gateway that answers.
//!
//! The order is what keeps a running gateway safe: everything that can be wrong is found out before
//! anything that runs is touched.
//!
//! 1. Settings, Envoy, ports. Nothing has been started yet.
//! 2. What discovery and the engine's probe must ask: the dev identity provider and the echo engine, if
//!    they are wanted and nobody answers there yet.
//! 3. Discovery, the configuration, and Envoy's own check of it.
//! 4. What changed is replaced, what is missing is started, and all of it is waited for.
//!
//! Whatever fails or interrupts: what this call started is stopped again, what ran before step 4 still runs.

pub mod check;
pub mod crew;
pub mod programs;
pub mod report;
