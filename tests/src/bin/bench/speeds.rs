//! Figures that other programs take: how fast texts are redacted, and how fast memory is searched.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::failure::Failure;
use crate::measure::file;
use crate::vm;

/// How long it may take to write a million events and to search them.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// What a figure may be in.
const UNITS: [&str; 3] = ["MB/s", "ms", "µs"];

/// One line of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    /// Of what.
    pub(crate) name: String,
    /// The figure with its unit.
    pub(crate) value: String,
    /// What it must reach; empty where that is nothing.
    pub(crate) goal: String,
}

/// How fast texts are redacted, natively and in node's V8.
///
/// # Errors
/// When a program or node is not there, or it fails.
pub(crate) fn redact(folder: &Path) -> Result<Vec<Figure>, Failure> {
    let (native, module) = (file("REDACT_SPEED_BIN")?, file("REDACT_SPEED_WASM")?);
    eprintln!("redacting …");
    let native = figures("redact_speed", &vm::output(&mut Command::new(native))?)?;
    let inside = figures("redact_speed in a VM", &vm::run(&module, folder)?)?;
    let inside = inside.into_iter().map(|figure| Figure {
        name: format!("{}, in a VM", figure.name),
        // What must be reached must be reached natively.
        goal: String::new(),
        ..figure
    });
    Ok(native.into_iter().chain(inside).collect())
}

/// How fast so many of one user's events are searched in control's own store.
///
/// # Errors
/// When the program is not there, or it fails.
pub(crate) fn search(events: u64) -> Result<Vec<Figure>, Failure> {
    let program = file("MEMORY_SPEED_BIN")?;
    eprintln!("searching {events} events …");
    let text = vm::output_within(PATIENCE, Command::new(program).arg(events.to_string()))?;
    figures("memory_speed", &text)
}

fn figures(what: &str, text: &str) -> Result<Vec<Figure>, Failure> {
    let figures: Vec<Figure> = text.lines().filter_map(parse).collect();
    match figures.is_empty() {
        true => Err(Failure(format!("{what} gave no result: {}", text.trim()))),
        false => Ok(figures),
    }
}

/// A line such as `English without findings   812.5 MB/s   at least 300`.
fn parse(line: &str) -> Option<Figure> {
    let (before, unit, after) = UNITS.iter().find_map(|unit| {
        let (before, after) = line.split_once(&format!(" {unit}"))?;
        Some((before.trim_end(), *unit, after))
    })?;
    let (name, value) = before.rsplit_once(' ')?;
    let number: f64 = value.parse().ok()?;
    let sign = [("at most ", '≤'), ("at least ", '≥')].into_iter();
    let goal = sign.filter_map(|(words, sign)| {
        let limit = after.trim().strip_prefix(words)?.split_whitespace().next()?;
        Some(format!("{sign} {limit} {unit}"))
    });
    Some(Figure {
        name: name.trim().to_owned(),
        value: format!("{number:.1} {unit}"),
        goal: goal.last().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_programs_write_is_read() {
        let figure = |name: &str, value: &str, goal: &str| {
            Some(Figure { name: name.into(), value: value.into(), goal: goal.into() })
        };
        for (line, found) in [
            (
                "English without findings   812.52 MB/s   at least 300",
                figure("English without findings", "812.5 MB/s", "≥ 300 MB/s"),
            ),
            (
                "a term in 1 % of 1000000 events   31 ms   at most 50 (median)",
                figure("a term in 1 % of 1000000 events", "31.0 ms", "≤ 50 ms"),
            ),
            ("a secret in every line  41.0 MB/s", figure("a secret in every line", "41.0 MB/s", "")),
            ("wrote 1000000 events", None),
            ("thread panicked after 3 msgs", None),
        ] {
            assert_eq!(parse(line), found, "{line}");
        }
        assert!(figures("it", "nothing\n").is_err());
    }
}
