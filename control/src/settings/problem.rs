//! What is wrong with the settings, all of it at once.

use std::fmt;

/// One mistake: the setting, and a sentence with the value and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting's name or its path in the YAML file.
    pub setting: String,
    /// What is wrong and what to write; never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)
    }
}

/// Every mistake that was found; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// In the order in which the settings are checked.
    pub problems: Vec<Problem>,
    /// Notices gathered on the way, which may explain a problem.
    pub notices: Vec<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return write!(f, "bad setting: {only}");
        }
        write!(f, "{} bad settings:", self.problems.len())?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Where the checker puts what it finds; nothing returns early.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) notices: Vec<String>,
}

impl Findings {
    pub(crate) fn problem(&mut self, setting: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { setting: setting.into(), message: message.into() });
    }

    pub(crate) fn notice(&mut self, notice: impl Into<String>) {
        self.notices.push(notice.into());
    }
}

/// A value as messages show it: quoted, escaped, and cut where it is long.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 120;
    let mut cut: String = value.chars().take(LONGEST).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
