//! Secrets and personal data, taken out of text before it leaves the VM.
//!
//! What is found is replaced by `[REDACTED:kind]`. The kinds that are always looked for are recognised by hand
//! (`scan`): a byte-class prefilter skips what cannot belong to any of them, and a check of each kind decides.
//! The operator's own patterns are one automaton of the `regex` crate's (`custom`), which is run only if there are
//! any. Both take linear time whatever the text.

mod custom;
mod cut;
mod field;
mod mail;
mod names;
mod national;
mod number;
mod phone;
mod scan;
mod token;

use std::borrow::Cow;

use custom::Custom;
use scan::{Finding, Kind, Scan};

/// What a replacement begins with.
const OPEN: &str = "[REDACTED:";
/// How often a text is looked through: what stood behind a secret can begin a word once that is gone.
const MOST_TURNS: usize = 4;

/// What is looked for beside what always is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether national ids are looked for.
    pub national_ids: bool,
    /// The operator's own patterns.
    pub custom: Vec<CustomPattern>,
}

/// A pattern of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomPattern {
    /// The kind, as it stands in `[REDACTED:kind]`: 1 to 32 lower-case letters, digits, `-` and `_`.
    pub kind: String,
    /// A regular expression of the `regex` crate's, over bytes: `\w`, `\d`, `\b` and `(?i)` are those of ASCII. It
    /// must not match the empty text; a match ends at most 1,024 bytes behind the first place where it could.
    pub pattern: String,
}

/// Why there is no redactor; the operator's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// Which of the custom patterns.
    pub at: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Takes secrets out of text. Made once.
pub struct Redactor {
    has_national_ids: bool,
    custom: Option<Custom>,
}

impl core::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// A redactor.
    ///
    /// # Errors
    /// [`BadPattern`]: a custom pattern cannot be used.
    pub fn new(rules: &Rules) -> Result<Self, BadPattern> {
        Ok(Self { has_national_ids: rules.national_ids, custom: Custom::new(&rules.custom)? })
    }

    /// A whole text without what is secret in it.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let findings = self.findings(text, false);
        if findings.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(self.settled(self.replaced(text, &findings)))
    }

    /// The beginning of a text of which the rest is not known: what might be a secret that the end cuts through is
    /// dropped. That is at least the last word; at most some 300 bytes go that are no secret, and a secret that is
    /// known by its beginning however long it is.
    #[must_use]
    pub fn redact_cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut findings = self.findings(text, true);
        let word = cut::before_last_word(text);
        let open = self.custom.as_ref().and_then(|custom| custom.open(text)).unwrap_or(word);
        let mut end = word.min(open);
        // What is known to be one is said to be one, even if not all of it is there.
        if let Some(last) = findings.iter().find(|finding| finding.end > end) {
            let is_begun = last.start < end;
            end = if is_begun { last.end } else { end };
        }
        findings.retain(|finding| finding.start < end);
        let kept = text.get(..end).unwrap_or_default();
        if findings.is_empty() {
            return Cow::Borrowed(kept);
        }
        Cow::Owned(self.settled(self.replaced(kept, &findings)))
    }

    /// A text in which nothing more is found.
    fn settled(&self, mut text: String) -> String {
        for _ in 1..MOST_TURNS {
            let findings = self.findings(&text, false);
            if findings.is_empty() {
                break;
            }
            text = self.replaced(&text, &findings);
        }
        text
    }

    /// Every finding, in order, none over another: what overlaps is one, of the first's kind or the longer's.
    fn findings(&self, text: &str, is_cut: bool) -> Vec<Finding> {
        let mut found = Scan::new(text, self.has_national_ids, is_cut).run();
        if let Some(custom) = &self.custom {
            let own = found.len();
            // What was replaced before stays as it is: a pattern sees the pieces between.
            let mut start = 0;
            for (from, _) in text.match_indices(OPEN) {
                if let Some(to) = self.replacement_end(text, from) {
                    custom.find(text, start..from, &mut found);
                    start = to;
                }
            }
            custom.find(text, start..text.len(), &mut found);
            if found.len() > own {
                found.sort_by_key(|finding| (finding.start, core::cmp::Reverse(finding.end)));
                found = merged(&found);
            }
        }
        found
    }

    /// The end of a replacement that begins at a place, if it is one of ours.
    fn replacement_end(&self, text: &str, start: usize) -> Option<usize> {
        let kind_start = start.checked_add(OPEN.len())?;
        let rest = text.get(kind_start..)?;
        let length = rest.bytes().take(33).position(|byte| byte == b']')?;
        let kind = rest.get(..length)?;
        let is_known = Kind::ALL.iter().any(|known| known.name() == Some(kind))
            || self.custom.as_ref().is_some_and(|custom| custom.kinds().any(|known| known == kind));
        is_known.then(|| kind_start.saturating_add(length).saturating_add(1))
    }

    fn replaced(&self, text: &str, findings: &[Finding]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for finding in findings {
            out.push_str(text.get(at..finding.start).unwrap_or_default());
            out.push_str(OPEN);
            out.push_str(self.name(finding.kind));
            out.push(']');
            at = finding.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }

    fn name(&self, kind: Kind) -> &str {
        match (kind, &self.custom) {
            (Kind::Custom(at), Some(custom)) => custom.kind(at).unwrap_or("custom"),
            (kind, _) => kind.name().unwrap_or("custom"),
        }
    }
}

/// Findings in order of their start, with those that overlap made one.
fn merged(found: &[Finding]) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::with_capacity(found.len());
    for finding in found {
        match merged.last_mut() {
            Some(last) if finding.start < last.end => last.end = last.end.max(finding.end),
            _ => merged.push(*finding),
        }
    }
    merged
}
