//! `routes`: parts of the engine with rules of their own.

use attach_core::config::RouteConfig;
use attach_core::policy::route::{Access, DEFAULT, Destination, Pattern};
use serde_yaml_ng::Value;

use super::{MAX_MANY, Walk, join};
use crate::settings::problem::shown;

impl Walk<'_> {
    pub(super) fn routes(&mut self, value: &Value) -> Vec<RouteConfig> {
        let mut routes: Vec<RouteConfig> = Vec::new();
        for (path, value) in self.list("routes", value, MAX_MANY) {
            let mut route = RouteConfig {
                path: String::new(),
                access: Access::Verified,
                to: Destination::Engine,
                forward_credential: false,
                scopes: Vec::new(),
                components: None,
                tokens: None,
            };
            let mut named = false;
            for (key, value) in self.map(
                &path,
                value,
                &["path", "access", "forward_credential", "scopes", "httpsig", "tokens"],
            ) {
                let at = join(&path, key);
                match (key, value) {
                    ("path", value) => {
                        named = true;
                        if let Some(text) = self.text(&at, value) {
                            if routes.iter().any(|earlier| earlier.path == text) {
                                self.problem(&at, format!("{} stands here twice", shown(text)));
                            }
                            if self.take(&at, route_path(text)).is_some() {
                                text.clone_into(&mut route.path);
                            }
                        }
                    }
                    ("access", Value::String(text)) if text == "public" => route.access = Access::Public,
                    ("access", Value::String(text)) if text == "verified" => route.access = Access::Verified,
                    ("access", _) => self.problem(&at, "must be public or verified"),
                    ("scopes", value) => route.scopes = self.scopes(&at, value),
                    ("httpsig", value) => {
                        for (_, value) in self.map(&at, value, &["components"]) {
                            route.components = Some(self.components(&join(&at, "components"), value));
                        }
                    }
                    ("tokens", value) => route.tokens = Some(self.route_tokens(&at, value)),
                    (_, Value::Bool(forward)) => route.forward_credential = *forward,
                    _ => self.problem(&at, "must be true or false"),
                }
            }
            self.missing(&path, "path", named, "must be set, for example /v1/models");
            if route.access == Access::Public && route.forward_credential {
                self.problem(
                    &join(&path, "forward_credential"),
                    "must be false on a public route, whose credentials nobody verifies",
                );
            }
            if route.access == Access::Public && !route.scopes.is_empty() {
                let message = "must be empty on a public route, whose callers nobody knows";
                self.problem(&join(&path, "scopes"), message);
            }
            routes.push(route);
        }
        routes
    }
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
}
