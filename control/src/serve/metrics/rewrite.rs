//! Envoy's page, line by line as it comes, made into the gateway's.

use std::collections::BTreeSet;

use super::families::{self, Kind, Own, PREFIX, head, help, told};
use super::sample::{Sample, is_name, thousandth, unwritten};

/// The longest line, in bytes. A label's value has a few hundred at most, and there are few labels.
const MAX_LINE: usize = 64 * 1024;

/// What is wrong with a page. It holds nothing of it: there are callers' names on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}")]
pub(super) struct Unreadable {
    line: u64,
    what: &'static str,
}

/// The page in the making.
#[derive(Debug)]
pub(super) struct Rewriter {
    page: String,
    /// Metrics that are on the page already.
    seen: BTreeSet<String>,
    family: Family,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    line: u64,
}

/// What the last `# TYPE` was about.
#[derive(Clone, Debug)]
enum Family {
    /// Nothing has been said yet, or something that is not the gateway's.
    Foreign,
    /// One of the gateway's.
    Told { from: String, to: families::Told, kind: Kind },
    /// One that control says itself, or that was there before.
    Again,
}

impl Rewriter {
    /// A page that begins with control's own metrics.
    pub(super) fn new(own: &Own) -> Self {
        let mut page = String::new();
        let seen = own.write(&mut page).into_iter().map(str::to_owned).collect();
        Self { page, seen, family: Family::Foreign, begun: Vec::new(), line: 1 }
    }

    /// Takes the next piece.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> Result<(), Unreadable> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = piece.split_at_checked(end).unwrap_or((piece, &[]));
            if self.begun.is_empty() {
                self.take(line)?;
            } else {
                self.keep(line)?;
                let line = std::mem::take(&mut self.begun);
                self.take(&line)?;
            }
            piece = rest.strip_prefix(b"\n").unwrap_or_default();
        }
        self.keep(piece)
    }

    /// The whole page.
    pub(super) fn finish(self) -> Result<String, Unreadable> {
        if self.begun.is_empty() { Ok(self.page) } else { Err(self.because("has no end")) }
    }

    fn because(&self, what: &'static str) -> Unreadable {
        Unreadable { line: self.line, what }
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Unreadable> {
        if self.begun.len().saturating_add(part.len()) > MAX_LINE {
            return Err(self.because("is too long"));
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Unreadable> {
        if line.len() > MAX_LINE {
            return Err(self.because("is too long"));
        }
        let line = std::str::from_utf8(line).map_err(|_| self.because("is not UTF-8"))?;
        match line.strip_prefix("# TYPE ") {
            Some(text) => self.family = self.begin(text)?,
            None if line.is_empty() || line.starts_with('#') => {}
            None => self.sample(line)?,
        }
        self.line = self.line.saturating_add(1);
        Ok(())
    }

    /// A metric's name and type.
    fn begin(&mut self, text: &str) -> Result<Family, Unreadable> {
        if !text.starts_with(PREFIX) {
            return Ok(Family::Foreign);
        }
        let known = text.split_once(' ').and_then(|(name, word)| Some((name, Kind::read(word)?)));
        let Some((name, kind)) = known.filter(|(name, _)| is_name(name)) else {
            return Err(self.because("says no type that is known"));
        };
        let to = told(name, kind);
        if !self.seen.insert(to.name.clone()) {
            return Ok(Family::Again);
        }
        head(&mut self.page, &to.name, help(&to.name), kind);
        Ok(Family::Told { from: name.to_owned(), to, kind })
    }

    fn sample(&mut self, line: &str) -> Result<(), Unreadable> {
        if !line.starts_with(PREFIX) {
            return Ok(());
        }
        let (from, to, kind) = match &self.family {
            Family::Told { from, to, kind } => (from, to, *kind),
            Family::Again => return Ok(()),
            Family::Foreign => return Err(self.because("has a metric without a type")),
        };
        let mut sample = Sample::read(line).ok_or_else(|| self.because("is no sample"))?;
        // What follows the metric's own name.
        let part = sample.name.strip_prefix(from.as_str()).filter(|part| match kind {
            Kind::Counter | Kind::Gauge => part.is_empty(),
            Kind::Histogram => ["_bucket", "_sum", "_count"].contains(part),
        });
        let part = part.ok_or_else(|| self.because("has another metric than the type before it"))?;
        let name = format!("{}{part}", to.name);
        for (_, value) in &mut sample.labels {
            *value = unwritten(std::mem::take(value));
        }
        let is_number = || self.because("has a bound that is no number");
        let value;
        if to.is_thousandths && part == "_bucket" {
            for (_, bound) in sample.labels.iter_mut().filter(|(name, _)| *name == "le") {
                *bound = thousandth(bound).ok_or_else(is_number)?.into();
            }
        } else if to.is_thousandths && part != "_count" {
            value = thousandth(sample.value).ok_or_else(is_number)?;
            sample.value = &value;
        }
        sample.write(&name, &mut self.page);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outbox::Health;

    const BUILD: &str = "# HELP attach_build_info The version of the gateway's control service; the value is always 1.\n\
                         # TYPE attach_build_info gauge\nattach_build_info{version=\"1.2.3\"} 1\n";

    fn rewrite(pieces: &[&[u8]]) -> Result<String, Unreadable> {
        let mut rewriter = Rewriter::new(&Own { version: "1.2.3", outbox: Health::default(), memory: None });
        for piece in pieces {
            rewriter.feed(piece)?;
        }
        let page = rewriter.finish()?;
        let page = page.strip_prefix(BUILD).expect("control's own first");
        let (_, page) = page.split_once("\nattach_control_outbox_oldest_seconds 0\n").expect("all of it");
        Ok(page.to_owned())
    }

    #[test]
    fn only_the_gateways_metrics_are_kept_and_each_gets_its_help() {
        let page = "# TYPE envoy_cluster_x counter\nenvoy_cluster_x{name=\"attach_y\"} 3\n\n\
                    # TYPE attach_requests_total counter\nattach_requests_total{outcome=\"allowed\"} 6\n\
                    # TYPE attach_news gauge\nattach_news{} 1\n# a word\n";
        assert_eq!(
            rewrite(&[page.as_bytes()]).unwrap(),
            "# HELP attach_requests_total Requests that were let through or refused, by outcome.\n\
             # TYPE attach_requests_total counter\nattach_requests_total{outcome=\"allowed\"} 6\n\
             # HELP attach_news A metric of the gateway's filter.\n# TYPE attach_news gauge\nattach_news 1\n"
        );
        assert_eq!(rewrite(&[]).unwrap(), "", "nothing has been counted yet");
    }

    #[test]
    fn a_distribution_in_thousandths_is_told_in_base_units() {
        let page = "# TYPE attach_time_to_first_token_millis histogram\n\
                    attach_time_to_first_token_millis_bucket{reason=\"le\",le=\"0.5\"} 1\n\
                    attach_time_to_first_token_millis_bucket{reason=\"le\",le=\"+Inf\"} 1500\n\
                    attach_time_to_first_token_millis_sum{reason=\"le\"} 37.5\n\
                    attach_time_to_first_token_millis_count{reason=\"le\"} 1500\n";
        let told = rewrite(&[page.as_bytes()]).unwrap();
        let (_, samples) = told.split_once("# TYPE attach_time_to_first_token_seconds histogram\n").unwrap();
        assert_eq!(
            samples,
            "attach_time_to_first_token_seconds_bucket{reason=\"le\",le=\"0.0005\"} 1\n\
             attach_time_to_first_token_seconds_bucket{reason=\"le\",le=\"+Inf\"} 1500\n\
             attach_time_to_first_token_seconds_sum{reason=\"le\"} 0.0375\n\
             attach_time_to_first_token_seconds_count{reason=\"le\"} 1500\n"
        );
    }

    #[test]
    fn a_metric_is_told_once_and_control_speaks_for_itself() {
        let page = "# TYPE attach_build_info gauge\nattach_build_info{version=\"evil\"} 9\n\
                    # TYPE attach_x_millis gauge\nattach_x_millis{} 5\n\
                    # TYPE attach_x_milliseconds gauge\nattach_x_milliseconds{} 7\n";
        let told = rewrite(&[page.as_bytes()]).unwrap();
        assert!(told.ends_with("# TYPE attach_x_seconds gauge\nattach_x_seconds 0.005\n"), "{told}");
        assert!(!told.contains("evil") && !told.contains("0.007"), "{told}");
    }

    #[test]
    fn a_page_that_cannot_be_understood_is_refused_with_its_line_and_without_its_words() {
        let long = format!("# TYPE attach_a gauge\nattach_a{{x=\"{}\"}} 1\n", "y".repeat(MAX_LINE));
        for (page, line, what) in [
            ("attach_a{} 1\n", 1, "without a type"),
            ("# TYPE envoy_a gauge\nattach_a{} 1\n", 2, "without a type"),
            ("# TYPE attach_a gauge\nattach_b{} 1\n", 2, "another metric"),
            ("# TYPE attach_a gauge\nattach_a_sum{} 1\n", 2, "another metric"),
            ("# TYPE attach_a histogram\nattach_a{} 1\n", 2, "another metric"),
            ("# TYPE attach_a summary\n", 1, "no type that is known"),
            ("# TYPE attach_a\n", 1, "no type that is known"),
            ("# TYPE attach_a:b gauge\n", 1, "no type that is known"),
            ("# TYPE attach_a gauge\n\nattach_a{user=\"anna} 1\n", 3, "no sample"),
            ("# TYPE attach_a gauge\nattach_a{} 1", 2, "no end"),
            ("# TYPE attach_a_millis histogram\nattach_a_millis_bucket{le=\"x\"} 1\n", 2, "no number"),
        ] {
            let error = rewrite(&[page.as_bytes()]).unwrap_err();
            assert_eq!(error.line, line, "{page}");
            assert!(
                error.to_string().contains(what) && !error.to_string().contains("anna"),
                "{page}: {error}"
            );
        }
        for pieces in [&[long.as_bytes()][..], &[&long.as_bytes()[..100], &long.as_bytes()[100..]]] {
            assert_eq!(rewrite(pieces).unwrap_err().what, "is too long");
        }
        assert_eq!(
            rewrite(&[b"# TYPE attach_a gauge\nattach_a{x=\"\xff\"} 1\n"]).unwrap_err().what,
            "is not UTF-8"
        );
    }

    proptest! {
        #[test]
        fn however_a_page_is_cut_it_reads_the_same(one in 0..2000_usize, two in 0..2000_usize) {
            let page = include_bytes!("recorded.txt");
            let (one, two) = (one.min(two), one.max(two));
            let pieces = [&page[..one], &page[one..two], &page[two..]];
            prop_assert_eq!(rewrite(&pieces), rewrite(&[page]));
        }

        #[test]
        fn no_page_makes_it_panic(page in "(?s)(# TYPE attach_a(_millis)? (gauge|histogram|counter)\n|attach_a(_millis)?(_bucket|_sum)?(\\{(le=\".{0,3}\",?){0,2}\\})? .{0,3}\n|.{0,10}){0,8}") {
            let _ = rewrite(&[page.as_bytes()]);
        }
    }
}
