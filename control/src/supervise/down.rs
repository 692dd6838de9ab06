//! Stopping a gateway.

use super::process::{self, Record};
use super::progress::step;
use super::state::StateDir;
use super::{Error, Service};

/// Stops every process that was recorded, the gateway's door first; says which ones ran. A process that
/// does not stop does not keep the others from being stopped.
///
/// # Errors
/// The first one, after everything has been tried; [`Error::Locked`] before anything is.
pub async fn down(state: &StateDir) -> Result<Vec<Service>, Error> {
    // Nothing was ever started here, and stopping leaves no traces of its own.
    if !state.root().is_dir() {
        return Ok(Vec::new());
    }
    let _lock = state.lock()?;
    let mut stopped = Vec::new();
    let mut result = Ok(());
    for service in Service::ALL.into_iter().rev() {
        let one = stop(state, service).await;
        if let Ok(true) = one {
            stopped.push(service);
        }
        result = result.and(one.map(|_| ()));
    }
    result.map(|()| stopped)
}

async fn stop(state: &StateDir, service: Service) -> Result<bool, Error> {
    let Some(record) = Record::read(state, service)? else { return Ok(false) };
    let ran = record.is_running();
    step(&format!("stopping {service}"), process::stop(service, &record)).await?;
    process::forget(state, service)?;
    Ok(ran)
}
