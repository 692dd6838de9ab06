//! What signatures cost inside a VM, by `filter/core/examples/vm_speed.rs` in node's V8.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{During as _, Failure};
use crate::process::Watched;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// One of its lines.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// What is done.
    pub(crate) name: String,
    /// The median of how long it takes, in microseconds.
    pub(crate) median: f64,
    /// The most that it may take.
    pub(crate) limit: Option<f64>,
}

/// Runs the program.
///
/// # Errors
/// When the program or node is not there, or it fails.
pub(crate) fn measure(folder: &Path) -> Result<Vec<Step>, Failure> {
    let program = crate::measure::file("VM_SPEED_WASM")?;
    let steps: Vec<Step> = run(&program, folder)?.lines().filter_map(parse).collect();
    if steps.is_empty() { Err(Failure("vm_speed gave no result".into())) } else { Ok(steps) }
}

/// What a program of WASI's writes when node's V8 runs it.
///
/// # Errors
/// When node is not there, or the program fails.
pub(crate) fn run(program: &Path, folder: &Path) -> Result<String, Failure> {
    let script = folder.join("vm-speed.mjs");
    std::fs::write(&script, include_str!("../../../bench/vm-speed.mjs")).during(script.display())?;
    output(node()?.arg("--no-warnings").arg(&script).arg(program))
}

/// node.
///
/// # Errors
/// When it is not there.
pub(crate) fn node() -> Result<Command, Failure> {
    let found = Command::new("node").arg("--version").stdin(Stdio::null()).output();
    found.map(|_| Command::new("node")).map_err(|_| {
        Failure("node is missing: install the package nodejs, or leave out vm-speed and count-speed".into())
    })
}

/// What a program writes.
///
/// # Errors
/// When it fails, or takes too long.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    output_within(PATIENCE, command)
}

/// What a program writes that may take so long.
///
/// # Errors
/// When it fails, or takes too long.
pub(crate) fn output_within(limit: Duration, command: &mut Command) -> Result<String, Failure> {
    let what = command.get_program().to_string_lossy().into_owned();
    let mut process = Watched::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    // It says less than a pipe holds, so it never waits for us to read.
    if !process.ends_within(limit) {
        return Err(Failure(format!("{what} did not end within {} s", limit.as_secs())));
    }
    let mut text = String::new();
    if let Some(stdout) = process.pipes().stdout.as_mut() {
        stdout.read_to_string(&mut text).during(&what)?;
    }
    Ok(text)
}

/// A line such as `Ed25519 verify   98.0 µs   at most 120`.
fn parse(line: &str) -> Option<Step> {
    let (before, after) = line.split_once(" µs")?;
    let (name, median) = before.trim_end().rsplit_once(' ')?;
    let limit = after.trim().strip_prefix("at most ").and_then(|limit| limit.parse().ok());
    Some(Step { name: name.trim_end().to_owned(), median: median.parse().ok()?, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_writes_is_read() {
        let step = parse("Ed25519 verify               98.4 µs   at most 120").unwrap();
        assert_eq!((step.name.as_str(), step.median, step.limit), ("Ed25519 verify", 98.4, Some(120.0)));
        assert_eq!(parse("HS256 verify    3.1 µs").unwrap().limit, None);
        assert_eq!(parse("thread panicked"), None);
    }
}
