//! Figures that examples of the filter's and control's take by themselves: how fast texts are redacted
//! (`filter/core/examples/redact_speed.rs`) and memory is searched (`control/examples/memory_speed.rs`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::failure::Failure;
use crate::measure::file;
use crate::vm;

/// How long it may take to write a million events and to search them.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// How fast one kind of text is redacted, in MB/s.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Redaction {
    /// Which text.
    pub(crate) text: String,
    /// Whether there is anything to be taken out.
    pub(crate) has_findings: bool,
    /// As configured by default.
    pub(crate) plain: f64,
    /// With national ids.
    pub(crate) ids: f64,
    /// With patterns of the operator's own.
    pub(crate) custom: f64,
}

/// The same texts, natively and in node's V8.
pub(crate) struct Redactions {
    /// Natively.
    pub(crate) native: Vec<Redaction>,
    /// As in Envoy.
    pub(crate) vm: Vec<Redaction>,
}

/// How long one kind of reading takes, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Search {
    /// What is asked for.
    pub(crate) what: String,
    /// The median.
    pub(crate) p50: f64,
    /// What 99 of 100 did not exceed.
    pub(crate) p99: f64,
}

/// What there is to be told of control's own store.
pub(crate) struct Searches {
    /// How many events of one user's there were.
    pub(crate) events: u64,
    /// How many were written in a second.
    pub(crate) written: f64,
    /// How long it takes to read.
    pub(crate) searches: Vec<Search>,
}

/// Redacts texts.
///
/// # Errors
/// When a program or node is not there, or it fails.
pub(crate) fn redact(folder: &Path) -> Result<Redactions, Failure> {
    let (native, module) = (file("REDACT_SPEED_BIN")?, file("REDACT_SPEED_WASM")?);
    eprintln!("redacting …");
    let read = |text: String| match text.lines().filter_map(redaction).collect::<Vec<_>>() {
        none if none.is_empty() => Err(Failure(format!("redact_speed gave no result: {}", text.trim()))),
        some => Ok(some),
    };
    Ok(Redactions {
        native: read(vm::output(&mut Command::new(native))?)?,
        vm: read(vm::run(&module, folder)?)?,
    })
}

/// Searches so many of one user's events in control's own store.
///
/// # Errors
/// When the program is not there, or it fails.
pub(crate) fn search(events: u64) -> Result<Searches, Failure> {
    let program = file("MEMORY_SPEED_BIN")?;
    eprintln!("searching {events} events …");
    let text = vm::output_within(PATIENCE, Command::new(program).arg(events.to_string()))?;
    let searches: Vec<Search> = text.lines().filter_map(reading).collect();
    let written = text.lines().find_map(written);
    match written {
        Some(written) if !searches.is_empty() => Ok(Searches { events, written, searches }),
        _ => Err(Failure(format!("memory_speed gave no result: {}", text.trim()))),
    }
}

/// The number between two texts.
fn between(line: &str, before: &str, after: &str) -> Option<f64> {
    line.split_once(before)?.1.split_once(after)?.0.trim().parse().ok()
}

/// A line such as `prose  812 MB/s, 805 with national ids, 640 with custom patterns, without findings`.
fn redaction(line: &str) -> Option<Redaction> {
    let (text, plain) = line.split_once(" MB/s,")?.0.rsplit_once(' ')?;
    Some(Redaction {
        text: text.trim().to_owned(),
        has_findings: !line.ends_with(", without findings"),
        plain: plain.parse().ok()?,
        ids: between(line, "MB/s,", "with national ids")?,
        custom: between(line, "national ids,", "with custom patterns")?,
    })
}

/// A line such as `one word in at most 1 %: p50 12.1 ms, p99 31.0 ms, most 33.4 ms, found 1000`.
fn reading(line: &str) -> Option<Search> {
    let (what, _) = line.split_once(": p50 ")?;
    let (p50, p99) = (between(line, "p50 ", " ms")?, between(line, "p99 ", " ms")?);
    Some(Search { what: what.to_owned(), p50, p99 })
}

/// A line such as `1200000 events of 601 bytes: 9120 events/s, 1350 MB in the file`.
fn written(line: &str) -> Option<f64> {
    line.contains(" events of ").then(|| between(line, " bytes: ", " events/s"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redact_speed_writes_is_read() {
        let line = |end: &str| {
            format!(
                "numbers       812 MB/s,      805 with national ids,       64 with custom patterns, {end}"
            )
        };
        let found = |has_findings| Redaction {
            text: "numbers".into(),
            has_findings,
            plain: 812.0,
            ids: 805.0,
            custom: 64.0,
        };
        assert_eq!(redaction(&line("without findings")), Some(found(false)));
        assert_eq!(redaction(&line("with findings")), Some(found(true)));
        assert_eq!(redaction("thread panicked"), None);
    }

    #[test]
    fn what_memory_speed_writes_is_read() {
        assert_eq!(
            reading("one word in at most 1 %: p50 12.1 ms, p99 31.0 ms, most 33.4 ms, found 1000"),
            Some(Search { what: "one word in at most 1 %".into(), p50: 12.1, p99: 31.0 })
        );
        assert_eq!(written("1200000 events of 601 bytes: 9120 events/s, 1350 MB in the file"), Some(9120.0));
        for line in ["100000 put, 9200 events/s so far", "thread panicked"] {
            assert_eq!((reading(line), written(line)), (None, None), "{line}");
        }
    }
}
