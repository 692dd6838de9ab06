//! What happens to a gateway's processes and folder when its test ends, however it ends.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, Once, PoisonError};

/// The folders of the gateways that live, for whoever looks for the reason of a failure.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A shell that stops the gateway in a folder, and removes the folder, at the end of its standard input.
pub(super) struct Watchdog {
    shell: Option<Child>,
    folder: PathBuf,
}

impl Watchdog {
    /// Over the gateway that `attach` will start in a folder. Where an `attach up` is still at work when the
    /// test process ends, stopping is tried again until it has finished.
    pub(super) fn start(attach: &Path, folder: &Path) -> Self {
        const SCRIPT: &str = r#"
            trap '' INT TERM HUP
            cat >/dev/null
            tries=60
            until "$1" down --state-dir "$2/state" >"$2/down.log" 2>&1; do
                tries=$((tries - 1))
                [ $tries -gt 0 ] || { touch "$2/keep"; break; }
                sleep 1
            done
            [ -e "$2/keep" ] || rm -rf "$2"
        "#;
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(attach)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a watchdog");
        keep_logs_on_failure();
        live().push(folder.to_path_buf());
        Self { shell: Some(shell), folder: folder.to_path_buf() }
    }

    /// Stops the gateway and waits until that is done.
    pub(super) fn stop(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
        live().retain(|folder| *folder != self.folder);
    }
}

fn live() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_logs_on_failure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            usual(info);
            let mut said = String::new();
            for folder in live().iter() {
                let _ = fs::write(folder.join("keep"), "");
                let _ = writeln!(said, "logs are kept in {}", folder.join("state/logs").display());
            }
            let _ = std::io::stderr().write_all(said.as_bytes());
        }));
    });
}
