//! Envoy's routes, made from the table that the filter reads: [`DEFAULT`].
//!
//! Whatever the table does not send elsewhere or answer in the filter goes to the engine; the operator's own
//! routes change what the filter does and not where a request goes, so they are not here.

use attach_core::policy::route::{DEFAULT, Destination};
use serde::Serialize;
use url::Url;

use super::clusters::Clusters;
use crate::discover::Resolved;

/// How a path is matched; the template writes the field of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Match {
    /// `path`, `path_separated_prefix` or `safe_regex`.
    pub field: &'static str,
    /// The path, the prefix or the expression.
    pub value: String,
}

/// A route of the built-in table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuiltIn {
    /// What logs call it: the pattern in the table.
    pub name: &'static str,
    /// The paths.
    pub matches: Match,
    /// Who answers.
    pub by: By,
}

/// Who answers on a route that is not the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The filter has: what it let through is nobody's.
    Nobody,
    /// Control.
    Control,
}

/// The built-in routes, in their order.
#[must_use]
pub fn built_in() -> Vec<BuiltIn> {
    DEFAULT
        .iter()
        .filter_map(|(path, _, to)| {
            let by = match to {
                Destination::Engine => return None,
                Destination::Filter | Destination::Quota => By::Nobody,
                // A path that no target's route has taken names none: control says so.
                Destination::Control | Destination::Target => By::Control,
            };
            Some(BuiltIn { name: path, matches: matcher(path), by })
        })
        .collect()
}

/// A pattern in Envoy's words.
fn matcher(pattern: &str) -> Match {
    let (path, open) = match pattern.strip_suffix("/**") {
        Some(path) => (path, true),
        None => (pattern, false),
    };
    if !path.contains('*') {
        let field = if open { "path_separated_prefix" } else { "path" };
        return Match { field, value: path.to_owned() };
    }
    let segments = path.split('/').map(|segment| match segment {
        "*" => "[^/]+".to_owned(),
        literal => literal.chars().flat_map(escaped).collect(),
    });
    let mut expression = segments.collect::<Vec<String>>().join("/");
    if open {
        expression.push_str("(/.*)?");
    }
    Match { field: "safe_regex", value: expression }
}

/// A sign that means itself in RE2.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let plain = c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '~');
    (!plain).then_some('\\').into_iter().chain(std::iter::once(c))
}

/// Where the engine's paths begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToEngine {
    /// Put before every path; `None` where the engine has no path of its own.
    pub prefix: Option<String>,
    /// What `/api/chat` becomes, where it is rewritten.
    pub chat: Option<String>,
}

/// How paths change on their way to the engine.
#[must_use]
pub fn to_engine(resolved: &Resolved) -> ToEngine {
    let base = base_path(&resolved.engine.url);
    ToEngine {
        prefix: (!base.is_empty()).then(|| format!("{base}/")),
        chat: resolved.engine.rewrite_chat.then(|| format!("{base}/v1/chat/completions")),
    }
}

/// A target's routes: a request for `/agents/{name}` goes to its address, and one for what is below to what is
/// below that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToTarget {
    /// `/agents/{name}`.
    pub path: String,
    /// `/agents/{name}/`.
    pub below: String,
    /// The target's own path.
    pub base: String,
    /// The same with `/` at its end.
    pub base_below: String,
    /// Its cluster.
    pub cluster: String,
    /// `Host` as it knows it.
    pub authority: String,
}

/// The routes of the targets; whatever else is under `/agents` is control's to refuse.
#[must_use]
pub fn to_targets(resolved: &Resolved, clusters: &Clusters) -> Vec<ToTarget> {
    let targets = resolved.settings.targets.iter().zip(&clusters.targets);
    let routes = targets.map(|(target, cluster)| {
        let (path, base) = (format!("/agents/{}", target.name), base_path(&target.url));
        ToTarget {
            below: format!("{path}/"),
            path,
            base: if base.is_empty() { "/".to_owned() } else { base.to_owned() },
            base_below: format!("{base}/"),
            cluster: cluster.name.clone(),
            authority: cluster.authority.clone(),
        }
    });
    routes.collect()
}

fn base_path(url: &Url) -> &str {
    url.path().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_becomes_the_narrowest_matcher() {
        for (pattern, field, value) in [
            ("/auth/config", "path", "/auth/config"),
            ("/demo/**", "path_separated_prefix", "/demo"),
            ("/.well-known/x.json", "path", "/.well-known/x.json"),
            ("/a2a/*/.well-known/agent-card.json", "safe_regex", r"/a2a/[^/]+/\.well-known/agent-card\.json"),
            ("/a/*/b/**", "safe_regex", "/a/[^/]+/b(/.*)?"),
        ] {
            assert_eq!(matcher(pattern), Match { field, value: value.to_owned() }, "{pattern}");
        }
    }

    #[test]
    fn every_route_that_is_not_the_engines_is_in_the_table() {
        let others = DEFAULT.iter().filter(|(_, _, to)| *to != Destination::Engine).count();
        assert_eq!(built_in().len(), others);
    }

    #[test]
    fn each_route_of_the_table_is_answered_by_whom_it_names() {
        let by = |name: &str| built_in().into_iter().find(|route| route.name == name).map(|route| route.by);
        for (name, expected) in [
            ("/healthz", By::Nobody),
            ("/v1/quota/me", By::Nobody),
            ("/metrics", By::Control),
            ("/v1/usage", By::Control),
            ("/agents/**", By::Control),
        ] {
            assert_eq!(by(name), Some(expected), "{name}");
        }
    }
}
