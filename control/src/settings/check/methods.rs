//! Which ways to authenticate there are, and how strictly all of them are meant.

use attach_core::config::Mode;

use super::Checker;
use crate::settings::problem::shown;
use crate::settings::{Method, Secret, rules};

/// The most scopes that every caller must have.
const MAX_SCOPES: usize = 32;

impl Checker {
    /// `AUTH_METHODS`; without it `oidc` and whatever has a setting of its own.
    pub(super) fn methods(&mut self) -> Vec<Method> {
        let given = |check: &Self, method: Method| {
            method.setting().is_none_or(|setting| check.values.is_set(setting))
        };
        let Some(named) = self.named_methods() else {
            return Method::ALL.into_iter().filter(|method| given(self, *method)).collect();
        };
        for method in Method::ALL {
            let Some(setting) = method.setting() else { continue };
            match (named.contains(&method), given(self, method)) {
                (false, true) => {
                    self.findings
                        .notice(format!("{setting} has no effect: AUTH_METHODS leaves {method} out"));
                }
                // rotagent has a folder by default, and secrets may be another process's.
                (true, false)
                    if method != Method::Rotagent && !(method == Method::Hmac && self.secrets_withheld) =>
                {
                    self.problem(setting, format!("must be set where AUTH_METHODS names {method}"));
                }
                _ => {}
            }
        }
        named
    }

    fn named_methods(&mut self) -> Option<Vec<Method>> {
        self.text("AUTH_METHODS")?;
        let mut methods = Vec::new();
        for part in self.parts("AUTH_METHODS") {
            match Method::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(&part)) {
                Some(method) => methods.push(method),
                None => self.problem(
                    "AUTH_METHODS",
                    format!("{} is no method; write any of oidc, did, rotagent, hmac, httpsig", shown(&part)),
                ),
            }
        }
        if methods.is_empty() && !self.has_problem("AUTH_METHODS") {
            self.problem("AUTH_METHODS", "must name at least one method, or nobody could come in");
        }
        methods.sort_unstable();
        methods.dedup();
        Some(methods)
    }

    /// `APP_ENV`, which other programs have too: in the environment, anything but `development` is production.
    pub(super) fn development(&mut self, methods: &[Method]) -> bool {
        let Some(value) = self.values.get("APP_ENV").cloned() else { return false };
        let development = value.text == "development";
        if value.in_file && !development && value.text != "production" {
            self.problem("APP_ENV", format!("{} must be development or production", shown(&value.text)));
        }
        if development && methods.contains(&Method::Rotagent) {
            self.findings.notice(
                "APP_ENV=development IS NOT FOR PRODUCTION: rotagent's requests may live 6 hours, need no jti and \
                 no content_sha256, and are taken again and again with whatever body",
            );
        }
        development
    }

    /// Only `attach keys dev` reads it.
    pub(super) fn dev_private_key(&mut self, development: bool) {
        if self.values.get("DEV_PRIVATE_KEY").is_some() && !development {
            self.findings.notice(
                "DEV_PRIVATE_KEY is a key to try the gateway with; it is set without APP_ENV=development",
            );
        }
    }

    pub(super) fn mode(&mut self) -> Mode {
        let mode = self.parse("AUTH_MODE", |text| match text.to_ascii_lowercase().as_str() {
            "enforce" => Ok(Mode::Enforce),
            "shadow" => Ok(Mode::Shadow),
            _ => Err(format!("{} must be enforce or shadow", shown(text))),
        });
        let mode = mode.unwrap_or_default();
        if mode == Mode::Shadow {
            self.findings.notice(
                "AUTH_MODE=shadow: NOBODY IS REFUSED AT THE ENGINE; who would be is counted in attach_would_deny_total",
            );
        }
        mode
    }

    pub(super) fn required_scopes(&mut self) -> Vec<String> {
        let scopes = self.parse("REQUIRED_SCOPES", |text| {
            let scopes: Vec<&str> = rules::scopes(text).collect();
            if scopes.is_empty() || scopes.len() > MAX_SCOPES {
                return Err(format!(
                    "must name 1 to {MAX_SCOPES} scopes, with blanks or commas between them"
                ));
            }
            scopes.iter().try_for_each(|scope| rules::scope(scope))?;
            Ok(scopes.into_iter().map(str::to_owned).collect())
        });
        scopes.unwrap_or_default()
    }

    pub(super) fn redis_url(&mut self) -> Option<Secret> {
        self.parse("REDIS_URL", |text| {
            let known = text.starts_with("redis://") || text.starts_with("rediss://");
            let url = url::Url::parse(text)
                .ok()
                .filter(|url| known && url.host_str().is_some_and(|h| !h.is_empty()));
            // The value may hold a password.
            match url {
                Some(_) => Ok(Secret::new(text.to_owned())),
                None => {
                    Err("must be redis://HOST:PORT or rediss://HOST:PORT (the value is not shown)".to_owned())
                }
            }
        })
    }
}
