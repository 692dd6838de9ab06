//! Which encoding a model counts in, as tiktoken knows it.

use super::Encoding;

const C: Option<Encoding> = Some(Encoding::Cl100k);
const O: Option<Encoding> = Some(Encoding::O200k);

/// Models by their whole name. Those of older encodings are not here: no prefix below is theirs either.
const NAMES: &[(&str, Option<Encoding>)] = &[
    ("o1", O),
    ("o3", O),
    ("o4-mini", O),
    ("gpt-5", O),
    ("gpt-4.1", O),
    ("gpt-4o", O),
    ("gpt-4", C),
    ("gpt-3.5-turbo", C),
    ("gpt-3.5", C),
    ("gpt-35-turbo", C),
    ("davinci-002", C),
    ("babbage-002", C),
    ("text-embedding-ada-002", C),
    ("text-embedding-3-small", C),
    ("text-embedding-3-large", C),
];

/// Models by how their name starts; the first that fits counts.
const PREFIXES: &[(&str, Option<Encoding>)] = &[
    ("o1-", O),
    ("o3-", O),
    ("o4-mini-", O),
    ("gpt-5", O),
    ("gpt-4.5-", O),
    ("gpt-4.1-", O),
    ("chatgpt-4o-", O),
    ("gpt-4o-", O),
    ("gpt-4-", C),
    ("gpt-3.5-turbo-", C),
    ("gpt-35-turbo-", C),
    // tiktoken's o200k_harmony: o200k with more special tokens, and those are ordinary text here.
    ("gpt-oss-", O),
    ("ft:gpt-4o", O),
    ("ft:gpt-4", C),
    ("ft:gpt-3.5-turbo", C),
    ("ft:davinci-002", C),
    ("ft:babbage-002", C),
];

pub(super) fn encoding(model: &str) -> Option<Encoding> {
    let named = NAMES.iter().find(|(name, _)| *name == model);
    named
        .or_else(|| PREFIXES.iter().find(|(prefix, _)| model.starts_with(prefix)))
        .and_then(|(_, found)| *found)
}
