//! Where an issuer says that its keys are (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).

use crate::json;

/// Something that can be fetched, split the way an Envoy callout needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Envoy cluster to call.
    pub cluster: Box<str>,
    /// `:scheme`.
    pub scheme: Box<str>,
    /// `:authority`.
    pub authority: Box<str>,
    /// `:path`, with its query.
    pub path: Box<str>,
}

/// The largest discovery document that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// What is wrong with a discovery document; the issuer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryError {
    /// Larger than [`MAX_BYTES`], not a JSON object, or without `issuer` and `jwks_uri`.
    Malformed,
    /// It is another issuer's.
    Issuer,
    /// The keys are at a host that Envoy was given no cluster for.
    Host,
}

impl core::fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a discovery document",
            Self::Issuer => "the discovery document is another issuer's",
            Self::Host => "jwks_uri has moved to a host that was not rendered: run `attach up` again",
        })
    }
}

/// Where the keys are, by the document. `issuer` is without its trailing slash; `known` are the places that
/// the configuration was rendered for, and the keys must be at the host of one of them.
///
/// # Errors
/// [`DiscoveryError`].
pub fn keys_of(document: &[u8], issuer: &str, known: &[&Target]) -> Result<Target, DiscoveryError> {
    if document.len() > MAX_BYTES {
        return Err(DiscoveryError::Malformed);
    }
    let document = json::object(document).map_err(|_| DiscoveryError::Malformed)?;
    let stated = document.str("issuer").ok_or(DiscoveryError::Malformed)?;
    if stated.strip_suffix('/').unwrap_or(stated) != issuer {
        return Err(DiscoveryError::Issuer);
    }
    let address = document.str("jwks_uri").ok_or(DiscoveryError::Malformed)?;
    let (scheme, rest) = address.split_once("://").ok_or(DiscoveryError::Malformed)?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at_checked(slash).ok_or(DiscoveryError::Malformed)?,
        None => (rest, "/"),
    };
    if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(DiscoveryError::Malformed);
    }
    let host = known
        .iter()
        .find(|known| known.scheme.eq_ignore_ascii_case(scheme) && same_host(known, authority))
        .ok_or(DiscoveryError::Host)?;
    Ok(Target { path: path.into(), ..(*host).clone() })
}

/// Whether an authority is a target's; the scheme's own port may be written or not.
fn same_host(target: &Target, authority: &str) -> bool {
    let port = if target.scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let plain = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    plain(&target.authority) == plain(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(authority: &str) -> Target {
        Target {
            cluster: authority.into(),
            scheme: "https".into(),
            authority: authority.into(),
            path: "/old".into(),
        }
    }

    #[test]
    fn keys_may_move_but_not_to_a_host_that_was_not_rendered() {
        let (idp, keys) = (target("idp.example"), target("keys.example"));
        for (uri, expected) in [
            ("https://idp.example/new?v=2", Ok(("idp.example", "/new?v=2"))),
            ("https://IDP.example:443/new", Ok(("idp.example", "/new"))),
            ("https://keys.example/new", Ok(("keys.example", "/new"))),
            ("https://keys.example", Ok(("keys.example", "/"))),
            ("https://evil.example/new", Err(DiscoveryError::Host)),
            ("https://idp.example@evil.example/new", Err(DiscoveryError::Host)),
            ("https://idp.example:8443/new", Err(DiscoveryError::Host)),
            ("http://idp.example/new", Err(DiscoveryError::Host)),
            ("https://idp.example/a b", Err(DiscoveryError::Malformed)),
            ("https://idp.example/a\\r\\nx: y", Err(DiscoveryError::Malformed)),
            ("keys", Err(DiscoveryError::Malformed)),
        ] {
            let document = format!(r#"{{"issuer":"https://idp.example/","jwks_uri":"{uri}"}}"#);
            let found = keys_of(document.as_bytes(), "https://idp.example", &[&idp, &keys]);
            let found = found.as_ref().map(|found| (&*found.cluster, &*found.path)).map_err(|error| *error);
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[test]
    fn another_issuers_document_says_nothing() {
        let idp = target("idp.example");
        for (document, expected) in [
            (
                r#"{"issuer":"https://other.example","jwks_uri":"https://idp.example/k"}"#,
                DiscoveryError::Issuer,
            ),
            (r#"{"jwks_uri":"https://idp.example/k"}"#, DiscoveryError::Malformed),
            (r#"{"issuer":"https://idp.example"}"#, DiscoveryError::Malformed),
            ("<html>", DiscoveryError::Malformed),
        ] {
            assert_eq!(keys_of(document.as_bytes(), "https://idp.example", &[&idp]), Err(expected));
        }
    }
}
