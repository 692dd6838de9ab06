//! Which models a caller may use, and which one a request asks for.

use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::authn::Identity;
use crate::authn::grants::UserPattern;
use crate::headers::Pairs;

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
        self.whom.is(identity)
    }
}

impl Whom {
    /// Whether a caller is one of them.
    #[must_use]
    pub fn is(&self, identity: &Identity) -> bool {
        match self {
            Self::User(pattern) => pattern.matches(identity.user()),
            Self::Claim { header, value } => {
                identity.claims().iter().any(|claim| claim.header == *header && claim.has(value))
            }
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
pub fn check(
    rules: &[ModelRule],
    identity: &Identity,
    path: &str,
    is_json: bool,
    body: &[u8],
) -> Result<(), ModelProblem> {
    let mine: Vec<&ModelRule> = rules.iter().filter(|rule| rule.is_about(identity)).collect();
    if mine.is_empty() {
        return Ok(());
    }
    let may = |model: &str| mine.iter().any(|rule| rule.allow.iter().any(|pattern| pattern.matches(model)));
    // An escape could be a letter of a word that is looked for.
    if path.contains('%') {
        return Err(ModelProblem::Unnamed);
    }
    let in_path = of_path(path);
    if in_path.is_some_and(|model| !may(model)) {
        return Err(ModelProblem::Forbidden);
    }
    if body.is_empty() {
        return Ok(());
    }
    if !is_json {
        return Err(ModelProblem::Unnamed);
    }
    let named = of_body(body).ok_or(ModelProblem::Unnamed)?;
    if named.is_empty() && in_path.is_none() {
        return Err(ModelProblem::Unnamed);
    }
    if named.iter().all(|model| may(model)) { Ok(()) } else { Err(ModelProblem::Forbidden) }
}

/// What is done with a model, after a colon: Gemini's and Vertex' verbs. Whatever else follows a colon is
/// part of the name, as Ollama's tags are.
const VERBS: [&str; 12] = [
    "generateContent",
    "streamGenerateContent",
    "generateAnswer",
    "generateMessage",
    "generateText",
    "embedContent",
    "batchEmbedContents",
    "countTokens",
    "predict",
    "predictLongRunning",
    "rawPredict",
    "streamRawPredict",
];

/// The segments after which a model stands: OpenAI's and Gemini's, Azure's, OpenAI's first ones.
const BEFORE_MODEL: [&str; 4] = ["models", "tunedModels", "deployments", "engines"];

/// The model in a path, such as `/v1beta/models/{model}:generateContent`.
fn of_path(path: &str) -> Option<&str> {
    let mut segments = path.split('/');
    segments.find(|segment| BEFORE_MODEL.iter().any(|word| word.eq_ignore_ascii_case(segment)))?;
    let segment = segments.next()?;
    let model = match segment.rsplit_once(':') {
        Some((model, verb)) if VERBS.contains(&verb) => model,
        _ => segment,
    };
    Some(model).filter(|model| !model.is_empty())
}

/// Whether a body can only be read as JSON in UTF-8: another type, character set or coding, and the engine
/// may find another model in it than the filter does.
#[must_use]
pub fn is_plain_json(pairs: &Pairs) -> bool {
    pairs.iter().all(|(name, value)| match name.as_str() {
        "content-type" => core::str::from_utf8(value).is_ok_and(|value| {
            let value = value.to_ascii_lowercase();
            let (kind, parameters) = value.split_once(';').unwrap_or((&value, ""));
            let kind = kind.trim();
            (kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")))
                && matches!(parameters.trim(), "" | "charset=utf-8" | "charset=\"utf-8\"")
        }),
        "content-encoding" => value.trim_ascii().eq_ignore_ascii_case(b"identity"),
        _ => true,
    })
}

/// The members that engines take a model from: `model` everywhere, the others in Ollama's routes.
const MEMBERS: [&str; 5] = ["model", "name", "from", "source", "destination"];

/// Members that name models in ways that are not looked into: routers' alternatives, Ollama's own language.
const OPAQUE: [&str; 3] = ["models", "fallbacks", "modelfile"];

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
                None if OPAQUE.contains(&folded.as_str()) => return Err(A::Error::custom("opaque")),
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
            (r#"{"model":"a","models":["b"]}"#, None),
            (r#"{"model":"a","Modelfile":"FROM b"}"#, None),
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
    fn only_json_in_utf_8_reads_alike_everywhere() {
        for (name, value, expected) in [
            ("accept", "x", true),
            ("content-type", "application/json", true),
            ("content-type", "Application/JSON; charset=UTF-8", true),
            ("content-type", "application/vnd.x+json", true),
            ("content-type", "application/json; charset=utf-7", false),
            ("content-type", "application/x-www-form-urlencoded", false),
            ("content-type", "multipart/form-data; boundary=x", false),
            ("content-encoding", "identity", true),
            ("content-encoding", "gzip", false),
        ] {
            let pairs = [(name.to_owned(), value.as_bytes().to_vec())];
            assert_eq!(is_plain_json(&pairs), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_path_can_name_a_model() {
        for (path, expected) in [
            ("/v1beta/models/gemini-pro:generateContent", Some("gemini-pro")),
            ("/v1/models/llama3", Some("llama3")),
            ("/v1/models/small:70b", Some("small:70b")),
            ("/openai/deployments/gpt-4/chat/completions", Some("gpt-4")),
            ("/v1beta/tunedModels/x:predict", Some("x")),
            ("/v1/models", None),
            ("/v1/models/", None),
            ("/v1/chat/completions", None),
        ] {
            assert_eq!(of_path(path), expected, "{path}");
        }
    }
}
