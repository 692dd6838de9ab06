//! Which models a caller may use, and which one a request asks for.

use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::authn::Identity;
use crate::authn::grants::UserPattern;

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Users by name.
    User(UserPattern),
    /// Who has a claim with that value; the claim is known by the header it travels in.
    Claim {
        /// The header.
        header: Box<str>,
        /// The value, of a list any element.
        value: Box<str>,
    },
}

/// What some callers may use. Who matches no rule may use every model; who matches several, all of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRule {
    /// Whom it is about.
    pub whom: Whom,
    /// Models by name, or by how it begins.
    pub allow: Box<[UserPattern]>,
}

impl ModelRule {
    /// Whether the rule is about a caller.
    #[must_use]
    pub fn is_about(&self, identity: &Identity) -> bool {
        match &self.whom {
            Whom::User(pattern) => pattern.matches(identity.user()),
            Whom::Claim { header, value } => identity
                .claims()
                .iter()
                .any(|claim| claim.header == *header && claim.value.split(',').any(|have| *have == **value)),
        }
    }
}

/// What is wrong with a request for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelProblem {
    /// It names none in a form that every engine would read alike.
    Unnamed,
    /// The caller may not use it.
    Forbidden,
}

/// Judges the models that a request names, by its path and its body.
///
/// # Errors
/// [`ModelProblem`]; the caller's fault.
pub fn check(rules: &[ModelRule], identity: &Identity, path: &str, body: &[u8]) -> Result<(), ModelProblem> {
    let mine: Vec<&ModelRule> = rules.iter().filter(|rule| rule.is_about(identity)).collect();
    if mine.is_empty() {
        return Ok(());
    }
    let may = |model: &str| mine.iter().any(|rule| rule.allow.iter().any(|pattern| pattern.matches(model)));
    let in_path = of_path(path);
    if in_path.is_some_and(|model| !may(model)) {
        return Err(ModelProblem::Forbidden);
    }
    if body.is_empty() {
        return Ok(());
    }
    let named = of_body(body).ok_or(ModelProblem::Unnamed)?;
    if named.is_empty() && in_path.is_none() {
        return Err(ModelProblem::Unnamed);
    }
    if named.iter().all(|model| may(model)) { Ok(()) } else { Err(ModelProblem::Forbidden) }
}

/// The model in a path, as Gemini's routes have it: `/v1beta/models/{model}:generateContent`.
fn of_path(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/models/")?;
    let segment = rest.split('/').next()?;
    Some(segment.rsplit_once(':').map_or(segment, |(model, _)| model)).filter(|model| !model.is_empty())
}

/// The members that engines take a model from: `model` everywhere, the others in Ollama's routes.
const MEMBERS: [&str; 4] = ["model", "name", "from", "source"];

/// The models that a JSON body names; `None` where two readers could find different ones.
///
/// Go's reader, and with it Ollama's, takes `Model` and even `ſource` for what it looks for, and the last
/// of several; so every spelling counts, and none may stand there twice.
fn of_body(body: &[u8]) -> Option<Vec<String>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let named = Names.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(named)
}

struct Names;

impl<'de> DeserializeSeed<'de> for Names {
    type Value = Vec<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut seen = [false; MEMBERS.len()];
        let mut named = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let folded = folded(&name);
            let place = MEMBERS.iter().position(|member| *member == folded);
            match place.and_then(|place| seen.get_mut(place)) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(true) => return Err(A::Error::custom("twice")),
                Some(seen) => {
                    *seen = true;
                    named.push(map.next_value::<String>()?);
                }
            }
        }
        Ok(named)
    }
}

/// A member's name as a reader that does not tell cases apart sees it.
fn folded(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'ſ' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_its_models_in_every_spelling() {
        for (body, expected) in [
            (r#"{"model":"a","messages":[{"model":"b"}]}"#, Some(vec!["a"])),
            (r#"{"Model":"a"}"#, Some(vec!["a"])),
            (r#"{"\u006dodel":"a"}"#, Some(vec!["a"])),
            (r#"{"model":"a","MODEL":"b"}"#, None),
            (r#"{"model":"a","model":"a"}"#, None),
            (r#"{"model":1}"#, None),
            (r#"{"name":"a","ſource":"b"}"#, Some(vec!["a", "b"])),
            (r#"{}"#, Some(vec![])),
            (r#"[]"#, None),
            (r#"{"model":"a"} x"#, None),
            ("model=a", None),
        ] {
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(of_body(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_path_can_name_a_model() {
        for (path, expected) in [
            ("/v1beta/models/gemini-pro:generateContent", Some("gemini-pro")),
            ("/v1/models/llama3", Some("llama3")),
            ("/v1/models", None),
            ("/v1/models/", None),
            ("/v1/chat/completions", None),
        ] {
            assert_eq!(of_path(path), expected, "{path}");
        }
    }
}
