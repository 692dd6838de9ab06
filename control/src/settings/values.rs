//! Which text each setting has, and where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use super::names;
use super::problem::Findings;
use super::{Sources, env_file};

/// What is wrong with a value that the example shows and nobody has replaced.
pub(crate) const PLACEHOLDER: &str =
    "still has the example's placeholder; write your own value or remove the line";

/// One setting's text, empty only where that says something ([`names::EMPTY_COUNTS`]).
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    /// How messages name it: `PORT`, `--port`.
    pub(crate) label: &'static str,
    /// Whether it stands in the env file, where it was put for the gateway and nothing else.
    pub(crate) in_file: bool,
}

/// Every known setting that is set.
#[derive(Debug, Default)]
pub(crate) struct Values {
    known: BTreeMap<&'static str, Value>,
    /// Set to something that was refused already: neither usable nor absent.
    refused: BTreeSet<&'static str>,
}

impl Values {
    /// Gathers flags, environment and env file, and says what belongs to other versions or nearly to this one.
    pub(crate) fn gather(sources: &Sources, entries: &[env_file::Entry], findings: &mut Findings) -> Self {
        let file = last_of_each(entries, findings);
        let (mut known, mut refused) = (BTreeMap::new(), BTreeSet::new());
        let is_there = |name: &str| sources.environment.contains_key(OsStr::new(name));
        let environment = |name: &str| {
            let own = !names::is_of_another(name, is_there);
            sources.environment.get(OsStr::new(name)).filter(|_| own)
        };
        for name in names::KNOWN.iter().copied() {
            let flag = match name {
                "HOST" => sources.host.as_deref().map(|text| ("--host", text)),
                "PORT" => sources.port.as_deref().map(|text| ("--port", text)),
                _ => None,
            };
            let (label, text, in_file) = match (flag, environment(name), file.get(name)) {
                (Some((label, text)), _, _) => (label, text.to_owned(), false),
                (None, Some(text), _) => match text.to_str() {
                    Some(text) => (name, text.to_owned(), false),
                    None => {
                        findings.problem(name, "its value in the environment is not UTF-8; write plain text");
                        refused.insert(name);
                        continue;
                    }
                },
                (None, None, Some(entry)) => {
                    if entry.value.contains("${") {
                        findings
                            .problem(name, "'${…}' is not expanded in the env file; write the value itself");
                        refused.insert(name);
                        continue;
                    }
                    (name, entry.value.clone(), true)
                }
                (None, None, None) => continue,
            };
            let text = text.trim();
            if text.is_empty() && !names::EMPTY_COUNTS.contains(&name) {
                continue;
            }
            if is_placeholder(name, text) {
                refused.insert(name);
                // The original's example has these lines whoever the provider is: they matter to Descope's alone.
                if !name.starts_with("DESCOPE_") {
                    findings.problem(label, PLACEHOLDER);
                }
                continue;
            }
            known.insert(name, Value { text: text.to_owned(), label, in_file });
        }
        later(sources, &file, findings);
        for name in file.keys() {
            if let Some(meant) = names::nearest(name) {
                findings.notice(format!(
                    "{name} in the env file is no setting and has no effect; is it {meant}?"
                ));
            }
        }
        Self { known, refused }
    }

    /// Whether someone meant to set it, rightly or not.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.known.contains_key(name) || self.refused.contains(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.known.get(name)
    }
}

fn last_of_each<'a>(
    entries: &'a [env_file::Entry],
    findings: &mut Findings,
) -> BTreeMap<&'a str, &'a env_file::Entry> {
    let mut last: BTreeMap<&str, &env_file::Entry> = BTreeMap::new();
    for entry in entries {
        if let Some(before) = last.insert(&entry.key, entry)
            && names::KNOWN.contains(&entry.key.as_str())
        {
            findings.notice(format!(
                "{} is set twice in the env file, in lines {} and {}; the later one counts",
                entry.key, before.line, entry.line
            ));
        }
    }
    last
}

/// The example's `<your-api-identifier>`, also inside a longer value; a secret may hold such signs of its own.
fn is_placeholder(name: &str, text: &str) -> bool {
    if names::SECRET.contains(&name) {
        return text.starts_with('<') && text.ends_with('>');
    }
    text.split_once('<').is_some_and(|(_, rest)| rest.contains('>'))
}

fn later(sources: &Sources, file: &BTreeMap<&str, &env_file::Entry>, findings: &mut Findings) {
    for setting in names::LATER {
        let from_environment = sources
            .environment
            .get(OsStr::new(setting.name))
            .filter(|_| !names::AMBIENT.contains(&setting.name))
            .map(|text| text.to_string_lossy().into_owned());
        let Some(text) = from_environment.or_else(|| file.get(setting.name).map(|entry| entry.value.clone()))
        else {
            continue;
        };
        let text = text.trim();
        let inert = text.is_empty() || setting.inert.iter().any(|inert| inert.eq_ignore_ascii_case(text));
        if !inert && !is_placeholder(setting.name, text) {
            findings.notice(format!("{} is not implemented in this version and has no effect", setting.name));
        }
    }
}
