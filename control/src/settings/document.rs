//! The YAML file (`ATTACH_CONFIG`): what flat names cannot say.
//!
//! ```yaml
//! issuers:                      # beyond OIDC_ISSUER
//!   - issuer: https://idp.partner.example/
//!     audiences: [attach]
//!     user_prefix: "partner:"   # required, see settings/prefix.rs
//!     jwks_url: https://…       # only where discovery does not work
//! routes:                       # of the engine; the built-in ones come first
//!   - path: /v1/models
//!     access: public            # public | verified (default)
//!     forward_credential: false # leave the caller's Authorization header on
//! jwks:
//!   refresh_seconds: 600
//!   max_stale_seconds: 86400
//! ```
//!
//! Walked by hand instead of through serde, so that every mistake is found in one pass and named by its path.

use attach_core::config::{RouteConfig, default_max_stale_seconds, default_refresh_seconds};
use attach_core::policy::route::{Access, DEFAULT, Destination, Pattern};
use serde_yaml_ng::Value;

use super::problem::{Findings, shown};
use super::{Issuer, JwksTimes, names, url_rules};

/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 256 * 1024;
const MAX_ISSUERS: usize = 32;
const MAX_ROUTES: usize = 256;

/// What the file says.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) routes: Vec<RouteConfig>,
    pub(crate) jwks: JwksTimes,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            routes: Vec::new(),
            jwks: JwksTimes {
                refresh_seconds: default_refresh_seconds(),
                max_stale_seconds: default_max_stale_seconds(),
            },
        }
    }
}

/// Reads the file's text; `file` is how messages name it.
pub(crate) fn parse(file: &str, text: &str, findings: &mut Findings) -> Document {
    let mut document = Document::default();
    let root: Value = match serde_yaml_ng::from_str(text) {
        Ok(root) => root,
        Err(error) => {
            findings.problem(file, format!("is not YAML that can be read: {error}"));
            return document;
        }
    };
    if root.is_null() {
        return document;
    }
    let mut walk = Walk { file, findings };
    for (key, value) in walk.map("", &root, &["issuers", "routes", "jwks"]) {
        match key {
            "issuers" => document.issuers = walk.issuers(value),
            "routes" => document.routes = walk.routes(value),
            _ => document.jwks = walk.jwks(value),
        }
    }
    document
}

struct Walk<'a> {
    file: &'a str,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        let setting = if path.is_empty() { self.file.to_owned() } else { path.to_owned() };
        self.findings.problem(setting, message);
    }

    /// The known members of a mapping; the unknown ones are problems.
    fn map<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
        known: &[&'static str],
    ) -> Vec<(&'static str, &'v Value)> {
        let Some(map) = value.as_mapping() else {
            self.problem(path, format!("must be a mapping of {}", known.join(", ")));
            return Vec::new();
        };
        let mut members = Vec::new();
        for (key, value) in map {
            let Some(name) = key.as_str() else {
                self.problem(path, format!("has a key that is not text; it may have {}", known.join(", ")));
                continue;
            };
            match known.iter().find(|known| **known == name) {
                Some(known) => members.push((*known, value)),
                None if names::KNOWN.contains(&name) => {
                    let at = join(path, name);
                    self.problem(&at, "belongs into the environment or the env file, not into this one");
                }
                None => {
                    let at = join(path, name);
                    self.problem(&at, format!("is unknown here; write one of {}", known.join(", ")));
                }
            }
        }
        members
    }

    fn list<'v>(&mut self, path: &str, value: &'v Value, most: usize) -> Vec<(String, &'v Value)> {
        match value.as_sequence() {
            _ if value.is_null() => Vec::new(),
            Some(list) if list.len() <= most => {
                list.iter().enumerate().map(|(i, value)| (format!("{path}[{i}]"), value)).collect()
            }
            Some(list) => {
                self.problem(path, format!("has {} entries; {most} are the most", list.len()));
                Vec::new()
            }
            None => {
                self.problem(path, "must be a list");
                Vec::new()
            }
        }
    }

    /// A text that is not empty.
    fn text<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v str> {
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() {
            self.problem(path, "must be a text that is not empty (in quotes where YAML would read a number)");
        }
        text
    }

    fn issuers(&mut self, value: &Value) -> Vec<Issuer> {
        let mut issuers = Vec::new();
        for (path, value) in self.list("issuers", value, MAX_ISSUERS) {
            let mut issuer = Issuer {
                setting: format!("{path}.issuer"),
                issuer: String::new(),
                audiences: Vec::new(),
                jwks_url: None,
                user_prefix: String::new(),
            };
            let (mut named, mut audiences) = (false, false);
            for (key, value) in self.map(&path, value, &["issuer", "audiences", "jwks_url", "user_prefix"]) {
                let at = join(&path, key);
                match key {
                    "issuer" => {
                        named = true;
                        if let Some(text) = self.text(&at, value) {
                            match issuer_url(text) {
                                Ok(()) => text.clone_into(&mut issuer.issuer),
                                Err(message) => self.problem(&at, message),
                            }
                        }
                    }
                    "audiences" => {
                        audiences = true;
                        issuer.audiences = self.audiences(&at, value);
                    }
                    "jwks_url" => {
                        if let Some(text) = self.text(&at, value) {
                            match url_rules::trusted(text) {
                                Ok(url) => issuer.jwks_url = Some(url),
                                Err(message) => self.problem(&at, message),
                            }
                        }
                    }
                    // An empty one is the prefix rules' to refuse.
                    _ => match value.as_str() {
                        Some(text) => text.clone_into(&mut issuer.user_prefix),
                        None => self.problem(&at, "must be a text, for example \"partner:\""),
                    },
                }
            }
            if !named {
                self.problem(&join(&path, "issuer"), "must be set to the issuer's https address");
            }
            if !audiences {
                self.problem(
                    &join(&path, "audiences"),
                    "must be set: a list of the audiences its tokens may name",
                );
            }
            issuers.push(issuer);
        }
        issuers
    }

    fn audiences(&mut self, path: &str, value: &Value) -> Vec<String> {
        if let Some(one) = value.as_str().map(str::trim).filter(|one| !one.is_empty()) {
            return vec![one.to_owned()];
        }
        let listed = self.list(path, value, MAX_ISSUERS);
        if value.is_null() || value.as_sequence().is_some_and(Vec::is_empty) {
            self.problem(path, "must name at least one audience");
        }
        listed.into_iter().filter_map(|(at, value)| self.text(&at, value).map(str::to_owned)).collect()
    }

    fn routes(&mut self, value: &Value) -> Vec<RouteConfig> {
        let mut routes: Vec<RouteConfig> = Vec::new();
        for (path, value) in self.list("routes", value, MAX_ROUTES) {
            let mut route = RouteConfig {
                path: String::new(),
                access: Access::Verified,
                to: Destination::Engine,
                forward_credential: false,
                scopes: Vec::new(),
                components: None,
            };
            let mut named = false;
            for (key, value) in self.map(&path, value, &["path", "access", "forward_credential"]) {
                let at = join(&path, key);
                match (key, value) {
                    ("path", value) => {
                        named = true;
                        if let Some(text) = self.text(&at, value) {
                            if routes.iter().any(|earlier| earlier.path == text) {
                                self.problem(&at, format!("{} stands here twice", shown(text)));
                            }
                            match route_path(text) {
                                Ok(()) => text.clone_into(&mut route.path),
                                Err(message) => self.problem(&at, message),
                            }
                        }
                    }
                    ("access", Value::String(text)) if text == "public" => route.access = Access::Public,
                    ("access", Value::String(text)) if text == "verified" => route.access = Access::Verified,
                    ("access", _) => self.problem(&at, "must be public or verified"),
                    (_, Value::Bool(forward)) => route.forward_credential = *forward,
                    _ => self.problem(&at, "must be true or false"),
                }
            }
            if !named {
                self.problem(&join(&path, "path"), "must be set, for example /v1/models");
            }
            if route.access == Access::Public && route.forward_credential {
                self.problem(
                    &join(&path, "forward_credential"),
                    "must be false on a public route, whose credentials nobody verifies",
                );
            }
            routes.push(route);
        }
        routes
    }

    fn jwks(&mut self, value: &Value) -> JwksTimes {
        let mut times = Document::default().jwks;
        for (key, value) in self.map("jwks", value, &["refresh_seconds", "max_stale_seconds"]) {
            let at = join("jwks", key);
            let (field, least, most) = match key {
                "refresh_seconds" => (&mut times.refresh_seconds, 10, 86_400),
                _ => (&mut times.max_stale_seconds, 60, 2_592_000),
            };
            match value.as_u64().filter(|n| (least..=most).contains(n)) {
                Some(n) => *field = n,
                None => {
                    self.problem(&at, format!("must be a whole number of seconds from {least} to {most}"))
                }
            }
        }
        if times.max_stale_seconds < times.refresh_seconds {
            self.problem(
                "jwks.max_stale_seconds",
                format!(
                    "{} must not be less than refresh_seconds ({}), or keys would be gone before they are refreshed",
                    times.max_stale_seconds, times.refresh_seconds
                ),
            );
        }
        times
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// An issuer's address: no query, since paths are put behind it.
pub(crate) fn issuer_url(text: &str) -> Result<(), String> {
    let url = url_rules::trusted(text)?;
    if url.query().is_some() {
        return Err(format!("{} must not have a query; remove everything from '?' on", shown(text)));
    }
    Ok(())
}

/// A route's path: a pattern of which at least some paths are not a built-in route's, since those come first.
fn route_path(text: &str) -> Result<(), String> {
    Pattern::parse(text).map_err(|error| format!("{} {error}", shown(text)))?;
    // A path of the pattern's that no built-in pattern names by accident.
    let sample = text.replace("**", "*").replace('*', "\u{b7}");
    let covered = |built_in: &str| Pattern::parse(built_in).is_ok_and(|built_in| built_in.matches(&sample));
    match DEFAULT.iter().find(|(built_in, _, _)| covered(built_in)) {
        Some((built_in, _, _)) => Err(format!(
            "{} belongs to the built-in route {built_in}, which stays as it is; remove it",
            shown(text)
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_a_built_in_one_covers_whole_is_refused() {
        for (path, good) in [
            ("/v1/**", true),
            ("/**", true),
            ("/*/config", true),
            ("/v1/models", true),
            ("/demos", true),
            ("/demo", false),
            ("/demo/**", false),
            ("/demo/*/x", false),
            ("/v1/logs", false),
            ("/healthz", false),
            ("v1", false),
        ] {
            assert_eq!(route_path(path).is_ok(), good, "{path}");
        }
    }

    #[test]
    fn a_whole_document_is_read() {
        let mut findings = Findings::default();
        let document = parse(
            "attach.yaml",
            "issuers:\n  - {issuer: 'https://p.example/', audiences: [a, b], user_prefix: 'p:', jwks_url: 'https://k.example/k'}\n\
             routes:\n  - {path: /v1/models, access: public}\n  - {path: /v1/chat/**, forward_credential: true}\n\
             jwks: {refresh_seconds: 60}\n",
            &mut findings,
        );
        assert_eq!(findings.problems, []);
        assert_eq!(document.issuers[0].audiences, ["a", "b"]);
        assert_eq!(document.issuers[0].jwks_url.as_ref().unwrap().as_str(), "https://k.example/k");
        assert_eq!(document.routes[0].access, Access::Public);
        assert!(document.routes[1].forward_credential);
        assert_eq!(document.jwks, JwksTimes { refresh_seconds: 60, max_stale_seconds: 86_400 });
    }

    #[test]
    fn an_empty_document_says_nothing() {
        for text in ["", "# only a comment\n", "issuers:\nroutes:\n"] {
            let mut findings = Findings::default();
            let document = parse("attach.yaml", text, &mut findings);
            assert_eq!((findings.problems, document.issuers.len()), (vec![], 0), "{text:?}");
        }
    }

    #[test]
    fn every_mistake_is_named_by_its_path() {
        let mut findings = Findings::default();
        parse(
            "attach.yaml",
            "OIDC_ISSUER: https://x.example\n\
             colour: red\n\
             issuers:\n  - {audiences: [], user_prefix: 7}\n  - {issuer: 'http://far.example', audiences: a, jwks_url: nope, scope: x}\n\
             routes:\n  - {path: '/v1/logs'}\n  - {path: a, access: everyone, forward_credential: 1}\n  - {to: control}\n\
             jwks: {refresh_seconds: 1, max_stale_seconds: 100}\n",
            &mut findings,
        );
        let mut found: Vec<_> = findings.problems.iter().map(|p| p.setting.as_str()).collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                "OIDC_ISSUER",
                "colour",
                "issuers[0].audiences",
                "issuers[0].issuer",
                "issuers[0].user_prefix",
                "issuers[1].issuer",
                "issuers[1].jwks_url",
                "issuers[1].scope",
                "jwks.max_stale_seconds",
                "jwks.refresh_seconds",
                "routes[0].path",
                "routes[1].access",
                "routes[1].forward_credential",
                "routes[1].path",
                "routes[2].path",
                "routes[2].to",
            ]
        );
    }

    #[test]
    fn what_is_not_a_mapping_or_not_yaml_is_one_problem() {
        for text in ["- a\n", "just text", "a: [", "issuers: []\nissuers: []\n"] {
            let mut findings = Findings::default();
            parse("attach.yaml", text, &mut findings);
            assert_eq!(findings.problems.len(), 1, "{text}: {:?}", findings.problems);
            assert_eq!(findings.problems[0].setting, "attach.yaml", "{text}");
        }
    }
}
