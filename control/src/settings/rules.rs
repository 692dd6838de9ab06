//! What the small words of the settings must look like: scopes, names, components, claim headers.
//!
//! Each rule answers with a clause that fits behind the setting's name. Where the filter has the rule, it is
//! the filter's that is asked.

use attach_core::authn::claims::is_scope;
use attach_core::authn::gateway::is_mapped_header;
use attach_core::authn::httpsig::Component;
use attach_core::llm::request::cap::CapField;

use super::problem::shown;

/// The longest name, in bytes.
const MAX_NAME: usize = 128;

/// The most tokens that a number can mean; JSON and Redis hold it exactly.
pub(crate) const MAX_TOKENS: u64 = 1_000_000_000_000_000;

/// A scope (RFC 6749 section 3.3).
pub(crate) fn scope(text: &str) -> Result<(), String> {
    if text.len() <= MAX_NAME && is_scope(text) && !text.contains(',') {
        Ok(())
    } else {
        Err(format!("{} is no scope: visible signs without quotes and commas", shown(text)))
    }
}

/// Scopes that stand in one text, with blanks or commas between them.
pub(crate) fn scopes(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ',']).filter(|scope| !scope.is_empty())
}

/// A name that stands in a header behind a prefix, and in a list of names.
pub(crate) fn name(text: &str) -> Result<(), String> {
    let good = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':' | b'/' | b'~' | b'[' | b']')
    };
    if !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(good) {
        Ok(())
    } else {
        Err(format!("{} is no name: letters, digits and . _ - : / ~, {MAX_NAME} at most", shown(text)))
    }
}

/// A name that is one segment of a path.
pub(crate) fn segment(text: &str) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(good) {
        Ok(())
    } else {
        Err(format!("{} is no name: letters, digits, '_' and '-', 64 at most", shown(text)))
    }
}

/// The name of a limit, which answers and metrics show.
pub(crate) fn limit_name(text: &str) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(good) {
        Ok(())
    } else {
        Err(format!(
            "{} is no limit's name: lower-case letters, digits, '_' and '-', 64 at most",
            shown(text)
        ))
    }
}

/// A member of a request's body by which engines cap their answers.
pub(crate) fn cap_field(text: &str) -> Result<(), String> {
    match CapField::parse(text) {
        Some(_) => Ok(()),
        None => Err(format!(
            "{} caps no engine's answers; max_completion_tokens or options.num_predict do",
            shown(text)
        )),
    }
}

/// What an HTTP message signature must cover.
pub(crate) fn component(text: &str) -> Result<(), String> {
    if text.len() <= MAX_NAME && Component::parse(text).is_some() {
        Ok(())
    } else {
        Err(format!(
            "{} is no component: write @method, @authority, @target-uri, @request-target, @path, @query or a header's name in lower case",
            shown(text)
        ))
    }
}

/// Whether a set of components ties a signature to this gateway.
pub(crate) fn bound(components: &[String]) -> Result<(), String> {
    if components.iter().any(|name| name == "@authority" || name == "@target-uri") {
        Ok(())
    } else {
        Err("must have @authority or @target-uri, or a signature made for another site would count here"
            .to_owned())
    }
}

/// The header that a claim travels on in.
pub(crate) fn claim_header(text: &str) -> Result<(), String> {
    if is_mapped_header(text) {
        return Ok(());
    }
    Err(format!(
        "{} must begin with x-attach-, go on with lower-case letters, digits and '-', and be none of the gateway's own: x-attach-tenant would do",
        shown(text)
    ))
}

/// A text of which only the end may be `*`.
pub(crate) fn beginning(text: &str) -> Result<(), String> {
    let fixed = text.strip_suffix('*').unwrap_or(text);
    if text.is_empty() || fixed.contains('*') || text.chars().any(char::is_control) {
        return Err(format!("{} must be a whole name, or a beginning with one * at its end", shown(text)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_or_refused_for_what_they_are() {
        type Rule = fn(&str) -> Result<(), String>;
        for (rule, good, bad) in [
            (scope as Rule, &["chat:run", "a/b", "*"][..], &["", "a b", "a\"", "a\\", "a,b", "é"][..]),
            (name, &["billing", "bot.example:8443/a", "[::1]:1"], &["", "a b", "a,b", "a=b", "é"]),
            (segment, &["planner", "ab-c_d", "7"], &["", ".", "..", "a.b", "a/b", "a b", "a%", "a*"]),
            (
                component,
                &["@authority", "@path", "content-digest", "signature-agent"],
                &["", "@nothing", "Content-Digest", "a b", "a;b", "@query-param"],
            ),
            (
                claim_header,
                &["x-attach-tenant", "x-attach-a-1"],
                &[
                    "",
                    "tenant",
                    "x-attach-",
                    "x-attach-user",
                    "x-attach-scopes",
                    "x-attach-spaces",
                    "x-attach-control-secret",
                    "X-Attach-Tenant",
                    "x-attach-a_b",
                    "x-attach-a\r\n",
                ],
            ),
            (limit_name, &["minute", "trial-day_2"], &["", "Minute", "a b", "a;b", "a\"", "é"]),
            (
                cap_field,
                &["max_tokens", "options.num_predict"],
                &["", "max_tokens_please", "options.max", "a-b", "a b"],
            ),
            (beginning, &["alice", "key:*", "*"], &["", "*a", "a*b", "**", "a\n"]),
        ] {
            for text in good {
                assert_eq!(rule(text), Ok(()), "{text}");
            }
            for text in bad {
                assert!(rule(text).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_long_word_is_none() {
        let long = "a".repeat(129);
        assert!(scope(&long).is_err() && name(&long).is_err() && component(&long).is_err());
        assert!(segment(&"a".repeat(65)).is_err() && segment(&"a".repeat(64)).is_ok());
    }

    #[test]
    fn scopes_stand_apart_by_blanks_or_commas() {
        assert_eq!(scopes(" chat:run, a  b,").collect::<Vec<_>>(), ["chat:run", "a", "b"]);
    }

    #[test]
    fn a_signature_must_name_the_site_it_is_for() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(bound(&list(&["@authority", "signature-agent"])).is_ok());
        assert!(bound(&list(&["@target-uri"])).is_ok());
        assert!(bound(&list(&["@method", "@path"])).is_err() && bound(&[]).is_err());
    }
}
