//! When to stop: SIGTERM, or SIGINT from a terminal.

use tokio::signal::unix::{Signal, SignalKind, signal as listen};

/// Resolves once this process has been asked to stop. The signals are caught from the call on, not only once
/// the future is polled, so one that comes during start-up is not lost.
///
/// Must be called inside a tokio runtime.
pub fn signal() -> impl Future<Output = ()> + Send + 'static {
    let (terminate, interrupt) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    async move {
        let name = tokio::select! {
            () = received(terminate) => "SIGTERM",
            () = received(interrupt) => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    }
}

/// A signal that cannot be listened for keeps its default action, which ends the process: nothing to wait for.
async fn received(signal: std::io::Result<Signal>) {
    match signal {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "cannot listen for a signal");
            std::future::pending().await
        }
    }
}
