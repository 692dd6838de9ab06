//! How many events a second control keeps for good while Weaviate is away, and whether they outlive `kill -9`.

use std::time::Duration;

use crate::control::Control;
use crate::failure::Failure;

/// What was found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outbox {
    /// How many events were acknowledged.
    pub(crate) events: u64,
    /// How long that took.
    pub(crate) took: Duration,
    /// How many rows there were after a `kill -9`.
    pub(crate) rows: u64,
    /// How many different ones.
    pub(crate) ids: u64,
}

/// Fills the outbox of a control, and kills it with the last acknowledgement.
///
/// # Errors
/// When it does not start, or does not acknowledge a batch.
pub(crate) fn measure(events: u64) -> Result<Outbox, Failure> {
    eprintln!("{events} events into the outbox …");
    // Nobody listens there, so nothing leaves it.
    let nobody = format!("http://127.0.0.1:{}", attach_tests::ports::free());
    let mut control = Control::start("bench-outbox", &nobody)?;
    let took = control.fill(events)?;
    control.kill();
    let (rows, ids) = control.rows()?;
    Ok(Outbox { events, took, rows, ids })
}
