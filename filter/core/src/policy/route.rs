//! Which path goes where and who may take it: one table, read by the filter and by Envoy's routes alike.
//!
//! The filter adds control's secret to what goes to control, and Envoy chooses the cluster. Both read
//! [`DEFAULT`], so that they cannot disagree about a path and hand the secret to an engine. Whatever no
//! line names goes to the engine and needs a verified caller.

use serde::{Deserialize, Serialize};

/// Who may use a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Anyone, and only to read: `GET` and `HEAD`. Other methods need a verified caller.
    Public,
    /// A verified caller.
    #[default]
    Verified,
}

/// Who answers on a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// The filter itself.
    Filter,
    /// The filter itself, with what the caller may still use.
    Quota,
    /// The control service (`attach serve`).
    Control,
    /// The target that the path names: `/agents/{name}/…`.
    Target,
    /// The engine at `ENGINE_URL`.
    #[default]
    Engine,
}

/// The health check that the filter answers itself.
pub const HEALTH: &str = "/healthz";

/// What the gateway has counted: control's, with a scope of its own.
pub const METRICS: &str = "/metrics";

/// The routes every gateway has, first match wins.
pub const DEFAULT: &[(&str, Access, Destination)] = &[
    (HEALTH, Access::Public, Destination::Filter),
    ("/auth/config", Access::Public, Destination::Control),
    ("/auth/token", Access::Verified, Destination::Control),
    ("/.well-known/agent-card.json", Access::Public, Destination::Control),
    ("/.well-known/oauth-protected-resource/**", Access::Public, Destination::Control),
    ("/.well-known/attach-jwks.json", Access::Public, Destination::Control),
    ("/openapi.json", Access::Public, Destination::Control),
    ("/demo/**", Access::Public, Destination::Control),
    ("/a2a/*/.well-known/agent-card.json", Access::Public, Destination::Control),
    ("/a2a/**", Access::Verified, Destination::Control),
    ("/tasks/send", Access::Verified, Destination::Control),
    ("/tasks/status/**", Access::Verified, Destination::Control),
    ("/v1/logs", Access::Verified, Destination::Control),
    ("/v1/usage", Access::Verified, Destination::Control),
    ("/v1/quota/me", Access::Verified, Destination::Quota),
    ("/mem/**", Access::Verified, Destination::Control),
    (METRICS, Access::Verified, Destination::Control),
    ("/agents/**", Access::Verified, Destination::Target),
];

/// A path that a route names: literal segments, `*` for exactly one, a last `**` for any rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What every path of it begins with: it sorts out almost all of them in one comparison.
    literal: Box<str>,
    /// What follows, from the first `*` on; `None` stands for it.
    rest: Vec<Option<Box<str>>>,
    /// Whether the pattern ended in `/**`.
    open: bool,
}

/// What is wrong with a route's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// `*` or `**` stands inside a segment, or `**` is not the last one.
    Wildcard,
    /// An empty segment, `.`, `..`, `%`, `?`, `#`, `\` or a byte that cannot stand in a path.
    Irregular,
}

impl core::fmt::Display for PatternError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "must begin with '/'",
            Self::Wildcard => "'*' must be a whole segment and '**' the last one",
            Self::Irregular => "must be a plain path: no empty segment, '.', '..', '%', '?', '#' or '\\'",
        })
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// See [`PatternError`]; the operator's fault.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NotAbsolute);
        }
        let (path, open) = match text.strip_suffix("/**") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let mut literal = String::new();
        let mut rest = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment {
                "*" => rest.push(None),
                segment if segment.contains('*') => return Err(PatternError::Wildcard),
                segment if irregular_segment(segment) && text != "/" => return Err(PatternError::Irregular),
                segment if rest.is_empty() => {
                    literal.push('/');
                    literal.push_str(segment);
                }
                segment => rest.push(Some(segment.into())),
            }
        }
        Ok(Self { literal: literal.into(), rest, open })
    }

    /// Whether a path (without query) is one of the pattern's.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let Some(tail) = path.strip_prefix(&*self.literal) else { return false };
        if self.rest.is_empty() {
            return tail.is_empty() || (self.open && tail.starts_with('/'));
        }
        let Some(tail) = tail.strip_prefix('/') else { return false };
        let mut given = tail.split('/');
        for want in &self.rest {
            match (want, given.next()) {
                (Some(want), Some(have)) if **want == *have => {}
                (None, Some(have)) if !have.is_empty() => {}
                _ => return false,
            }
        }
        self.open || given.next().is_none()
    }
}

fn irregular_segment(segment: &str) -> bool {
    segment.is_empty()
        || segment == "."
        || segment == ".."
        || segment.bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'%' | b'?' | b'#' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_segments_only() {
        for (pattern, path, expected) in [
            ("/auth/config", "/auth/config", true),
            ("/auth/config", "/auth/config/", false),
            ("/auth/config", "/auth/configs", false),
            ("/auth/config", "/AUTH/config", false),
            ("/demo/**", "/demo", true),
            ("/demo/**", "/demo/", true),
            ("/demo/**", "/demo/a/b", true),
            ("/demo/**", "/demos", false),
            ("/a2a/*/.well-known/agent-card.json", "/a2a/x/.well-known/agent-card.json", true),
            ("/a2a/*/.well-known/agent-card.json", "/a2a//.well-known/agent-card.json", false),
            ("/a2a/*/.well-known/agent-card.json", "/a2a/x/y/.well-known/agent-card.json", false),
            ("/**", "/", true),
            ("/**", "/anything", true),
            ("/", "/", true),
            ("/", "/x", false),
        ] {
            let pattern_ = Pattern::parse(pattern).unwrap();
            assert_eq!(pattern_.matches(path), expected, "{pattern} against {path}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_whole_segment() {
        let pattern = Pattern::parse("/x/*/y/**").unwrap();
        for (path, expected) in [
            ("/x/a/y", true),
            ("/x/a/y/z", true),
            ("/x/a/yz", false),
            ("/x//y", false),
            ("/x/a", false),
            ("/xa/y", false),
        ] {
            assert_eq!(pattern.matches(path), expected, "{path}");
        }
    }

    #[test]
    fn a_pattern_that_could_be_read_two_ways_is_refused() {
        for (text, error) in [
            ("auth", PatternError::NotAbsolute),
            ("", PatternError::NotAbsolute),
            ("/a*", PatternError::Wildcard),
            ("/a/**/b", PatternError::Wildcard),
            ("/a//b", PatternError::Irregular),
            ("/a/../b", PatternError::Irregular),
            ("/a/%2f", PatternError::Irregular),
            ("/a?b", PatternError::Irregular),
            ("/a/", PatternError::Irregular),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn every_default_route_is_a_valid_pattern() {
        for (path, _, _) in DEFAULT {
            assert!(Pattern::parse(path).is_ok(), "{path}");
        }
    }
}
