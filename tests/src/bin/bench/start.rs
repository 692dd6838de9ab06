//! How long a gateway takes to be ready again, with everything built.

use std::time::Instant;

use attach_tests::gateway::Builder;

use crate::failure::Failure;

/// Starts a gateway, stops it, and starts it again: the second time Envoy and module are known.
///
/// # Errors
/// When `attach up` fails.
pub(crate) fn measure() -> Result<String, Failure> {
    let gateway = Builder::new("bench-start").prepare();
    let timed = |command: &str| {
        eprintln!("attach {command} …");
        let start = Instant::now();
        let ended = gateway.run(&[command]);
        match ended.status {
            0 => Ok(start.elapsed().as_secs_f64()),
            _ => Err(Failure(format!("attach {command}: {}", ended.stderr.trim()))),
        }
    };
    timed("up")?;
    let unchanged = timed("up")?;
    timed("down")?;
    let again = timed("up")?;
    gateway.stop();
    Ok(format!(
        "attach up, everything built: ready in {again:.1} s (goal ≤ 5 s); while it runs, nothing changed: {unchanged:.1} s"
    ))
}
