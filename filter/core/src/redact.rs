//! Secrets and personal data, taken out of text before it leaves the VM.
//!
//! What is found is replaced by `[REDACTED:kind]`.

use std::borrow::Cow;

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
    /// The kind, as it stands in `[REDACTED:kind]`: lower-case letters, digits, `-` and `_`.
    pub kind: String,
    /// A regular expression of the `regex` crate's.
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
pub struct Redactor {}

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
    pub fn new(_: &Rules) -> Result<Self, BadPattern> {
        Ok(Self {})
    }

    /// A whole text without what is secret in it.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }

    /// The beginning of a text of which the rest is not known: what might be a secret that the end cuts through is
    /// dropped.
    #[must_use]
    pub fn redact_cut<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }
}
