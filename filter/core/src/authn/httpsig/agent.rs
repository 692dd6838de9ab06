//! `Signature-Agent`: the directory that a signer says its key is in.
//!
//! Four forms are in use, and each must be covered by the signature, else anybody could name another
//! directory:
//!
//! | sender | header | covered component |
//! |---|---|---|
//! | Web Bot Auth, first drafts | `"https://bot.example"` | `"signature-agent"` |
//! | Web Bot Auth, later drafts | `sig1="https://bot.example"` | `"signature-agent";key="sig1"` |
//! | OpenBotAuth, first | `https://bot.example/jwks/bot.json` | `"signature-agent"` |
//! | OpenBotAuth, later | `sig1="https://bot.example/jwks/bot.json"` | `"signature-agent";key="sig1"`, in a [line of its own](Style) |

use super::component::{Component, Part};
use super::message::{Message, Style, normal_authority, string};
use super::structured::{Item, Members};
use crate::authn::Refusal;

/// The field's name.
pub(super) const FIELD: &str = "signature-agent";
/// The longest field that is read, in bytes.
const MAX_BYTES: usize = 4 * 1024;

/// The agent that a signature names, [normalised](normal_agent); `None` if the request names none.
///
/// # Errors
/// The field is there, and not covered or not of one of the four forms.
pub(super) fn claimed(
    message: &Message<'_>,
    covered: &[Component],
    label: &str,
) -> Result<Option<String>, Refusal> {
    if !message.has(FIELD) {
        return Ok(None);
    }
    let part = covered
        .iter()
        .find(|component| *component.name == *FIELD)
        .map(|component| &component.part)
        .ok_or(Refusal::SignatureAgentUnsigned)?;
    let field = message.field(FIELD, MAX_BYTES).ok_or(Refusal::SignatureAgent)?;
    let agent = match part {
        Part::Member(key) => member(&field, key),
        _ => alone(&field).or_else(|| member(&field, label)),
    };
    agent.as_deref().and_then(normal_agent).map(Some).ok_or(Refusal::SignatureAgent)
}

/// The ways a signature's base may be written: two where it covers one agent of several.
pub(super) fn styles(covered: &[Component]) -> &'static [Style] {
    let is_member =
        |component: &Component| *component.name == *FIELD && matches!(component.part, Part::Member(_));
    if covered.iter().any(is_member) { &[Style::Rfc, Style::OpenBotAuth] } else { &[Style::Rfc] }
}

/// The field, where it is one agent, quoted or not.
fn alone(field: &[u8]) -> Option<String> {
    if let Some(item) = Item::parse(field)
        && let Some(text) = string(&item.value)
    {
        return Some(text.to_owned());
    }
    let text = core::str::from_utf8(field).ok()?;
    (text.starts_with("https://") || text.starts_with("http://")).then(|| text.to_owned())
}

/// The agent of that key, where the field is a dictionary.
fn member(field: &[u8], key: &str) -> Option<String> {
    string(Members::dictionary(field)?.get(key)?.item()?).map(ToOwned::to_owned)
}

/// An agent's address in the one form that is compared: scheme and host in lower case, no default port, no
/// slash at the end. `None` if it is no address of a directory: another scheme, a user's name, a query.
#[must_use]
pub fn normal_agent(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(&*scheme, "https" | "http") {
        return None;
    }
    if !rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'#' | b',' | b'@')) {
        return None;
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at_checked(slash)?,
        None => (rest, ""),
    };
    if authority.is_empty() || authority.contains('?') {
        return None;
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    Some([&*scheme, "://", &normal_authority(&scheme, authority), path].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_compared_in_one_form() {
        for (address, expected) in [
            ("https://bot.example", Some("https://bot.example")),
            ("https://bot.example/", Some("https://bot.example")),
            ("HTTPS://Bot.Example:443/", Some("https://bot.example")),
            ("http://bot.example:80", Some("http://bot.example")),
            ("https://bot.example:8443", Some("https://bot.example:8443")),
            ("https://bot.example/JWKS/a.json", Some("https://bot.example/JWKS/a.json")),
            ("https://bot.example/a?b=1", Some("https://bot.example/a?b=1")),
            ("https://bot.example?b", None),
            ("https://bot.example#b", None),
            ("https://user@bot.example", None),
            ("https://a.example, https://b.example", None),
            ("https://a.example,b", None),
            ("https:///a", None),
            ("https://", None),
            ("ftp://bot.example", None),
            ("data:application/json,{}", None),
            ("bot.example", None),
            ("https://böt.example", None),
            ("", None),
        ] {
            assert_eq!(normal_agent(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn the_agent_is_the_one_that_the_signature_covers() {
        for (header, covered, expected) in [
            ("\"https://bot.example\"", Some("signature-agent"), Ok(Some("https://bot.example"))),
            (
                "https://bot.example/jwks/a.json",
                Some("signature-agent"),
                Ok(Some("https://bot.example/jwks/a.json")),
            ),
            (
                "sig1=\"https://bot.example\"",
                Some("signature-agent;key=\"sig1\""),
                Ok(Some("https://bot.example")),
            ),
            (
                "a=\"https://a.example\", b=\"https://b.example\"",
                Some("signature-agent;key=\"b\""),
                Ok(Some("https://b.example")),
            ),
            ("sig1=\"https://bot.example\"", Some("signature-agent"), Ok(Some("https://bot.example"))),
            ("sig2=\"https://bot.example\"", Some("signature-agent"), Err(Refusal::SignatureAgent)),
            (
                "sig1=\"https://bot.example\"",
                Some("signature-agent;key=\"sig2\""),
                Err(Refusal::SignatureAgent),
            ),
            (
                "sig1=(\"https://bot.example\")",
                Some("signature-agent;key=\"sig1\""),
                Err(Refusal::SignatureAgent),
            ),
            ("\"https://bot.example\"", Some("signature-agent;key=\"sig1\""), Err(Refusal::SignatureAgent)),
            ("\"https://bot.example\"", Some("@authority"), Err(Refusal::SignatureAgentUnsigned)),
            ("\"https://bot.example\"", None, Err(Refusal::SignatureAgentUnsigned)),
            ("", Some("signature-agent"), Err(Refusal::SignatureAgent)),
            ("bot", Some("signature-agent"), Err(Refusal::SignatureAgent)),
        ] {
            let pairs = [("signature-agent".to_owned(), header.as_bytes().to_vec())];
            let covered: Vec<_> = covered.iter().map(|text| Component::parse(text).unwrap()).collect();
            let found = claimed(&Message::read(&pairs, false), &covered, "sig1");
            assert_eq!(found.as_ref().map(Option::as_deref).map_err(|e| *e), expected, "{header}");
        }
        assert_eq!(claimed(&Message::read(&[], false), &[], "sig1"), Ok(None));
    }
}
