//! Processes that end when the bench does, however it ends.

use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{During as _, Failure};

/// How long a process may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// A child process, and a shell that asks it to end as soon as its own standard input does: when this value is
/// dropped, and when the bench is killed.
pub(crate) struct Watched {
    child: Child,
    watchdog: Child,
}

impl Watched {
    /// Starts it.
    ///
    /// # Errors
    /// When it or the shell cannot be started.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Failure> {
        const SCRIPT: &str = r#"trap '' INT TERM HUP; cat >/dev/null; kill "$1" 2>/dev/null"#;
        let mut child = command.spawn().during(command.get_program().display())?;
        let watchdog = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match watchdog.during("a shell that watches it") {
            Ok(watchdog) => Ok(Self { child, watchdog }),
            Err(failure) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(failure)
            }
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its ends of pipes.
    pub(crate) fn pipes(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends, not longer than `limit`; whether it has.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > limit {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Until it is waited for, its id is nobody else's.
        drop::<Option<ChildStdin>>(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        if !self.ends_within(PATIENCE) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
