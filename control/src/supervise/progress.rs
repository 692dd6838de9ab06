//! Telling a waiting person what is being waited for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// Nobody wonders about a step that is shorter.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a step; says what it is, on standard error, once it has taken a second.
pub async fn step<F: Future>(what: &str, step: F) -> F::Output {
    let mut step = pin!(step);
    match tokio::time::timeout(PATIENCE, &mut step).await {
        Ok(output) => output,
        Err(_) => {
            eprintln!("{what} …");
            step.await
        }
    }
}
