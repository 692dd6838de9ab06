//! `issuers` and `oidc`: whose tokens count, and what of them travels on.

use attach_core::config::ClaimHeaderConfig;
use serde_yaml_ng::Value;

use super::{MAX_FEW, More, Walk, join};
use crate::settings::problem::shown;
use crate::settings::{Issuer, rules, url_rules};

const MAX_ISSUERS: usize = 32;

impl Walk<'_> {
    pub(super) fn issuers(&mut self, value: &Value) -> Vec<Issuer> {
        const MEMBERS: &[&str] =
            &["issuer", "audiences", "jwks_url", "user_prefix", "required_scopes", "claim_headers"];
        let mut issuers = Vec::new();
        for (path, value) in self.list("issuers", value, MAX_ISSUERS) {
            let mut issuer = Issuer {
                setting: format!("{path}.issuer"),
                issuer: String::new(),
                audiences: Vec::new(),
                jwks_url: None,
                jwks_setting: format!("{path}.jwks_url"),
                user_prefix: String::new(),
                required_scopes: Vec::new(),
                claim_headers: Vec::new(),
            };
            let (mut named, mut audiences) = (false, false);
            for (key, value) in self.map(&path, value, MEMBERS) {
                let at = join(&path, key);
                match key {
                    "issuer" => {
                        named = true;
                        if let Some(text) = self.text(&at, value)
                            && self.take(&at, issuer_url(text)).is_some()
                        {
                            text.clone_into(&mut issuer.issuer);
                        }
                    }
                    "audiences" => {
                        audiences = true;
                        issuer.audiences = self.audiences(&at, value);
                    }
                    "jwks_url" => issuer.jwks_url = self.trusted(&at, value),
                    "required_scopes" => issuer.required_scopes = self.scopes(&at, value),
                    "claim_headers" => issuer.claim_headers = self.claim_headers(&at, value),
                    // An empty one is the prefix rules' to refuse.
                    _ => match value.as_str() {
                        Some(text) => text.clone_into(&mut issuer.user_prefix),
                        None => self.problem(&at, "must be a text, for example \"partner:\""),
                    },
                }
            }
            self.missing(&path, "issuer", named, "must be set to the issuer's https address");
            let wanted = "must be set: a list of the audiences its tokens may name";
            self.missing(&path, "audiences", audiences, wanted);
            issuers.push(issuer);
        }
        issuers
    }

    /// What the file adds to `OIDC_ISSUER`.
    pub(super) fn oidc(&mut self, value: &Value) -> More {
        let mut more = More::default();
        for (key, value) in self.map("oidc", value, &["audiences", "required_scopes", "claim_headers"]) {
            let at = join("oidc", key);
            match key {
                "audiences" => more.audiences = self.audiences(&at, value),
                "required_scopes" => more.required_scopes = self.scopes(&at, value),
                _ => more.claim_headers = self.claim_headers(&at, value),
            }
        }
        more
    }

    fn audiences(&mut self, path: &str, value: &Value) -> Vec<String> {
        match value.as_str().map(str::trim).filter(|one| !one.is_empty()) {
            Some(one) => vec![one.to_owned()],
            None => self.texts(path, value, MAX_FEW, |_| Ok(())),
        }
    }

    fn claim_headers(&mut self, path: &str, value: &Value) -> Vec<ClaimHeaderConfig> {
        let mut mappings: Vec<ClaimHeaderConfig> = Vec::new();
        for (path, value) in self.list(path, value, MAX_FEW) {
            let mut mapping = ClaimHeaderConfig { claim: String::new(), header: String::new() };
            let (mut claim, mut header) = (false, false);
            for (key, value) in self.map(&path, value, &["claim", "header"]) {
                let at = join(&path, key);
                *if key == "claim" { &mut claim } else { &mut header } = true;
                let Some(text) = self.text(&at, value) else { continue };
                if key == "claim" {
                    text.clone_into(&mut mapping.claim);
                } else if self.take(&at, rules::claim_header(text)).is_some() {
                    if mappings.iter().any(|earlier| earlier.header == text) {
                        self.problem(&at, format!("{} stands here twice", shown(text)));
                    }
                    text.clone_into(&mut mapping.header);
                }
            }
            self.missing(&path, "claim", claim, "must be set to the claim's name");
            self.missing(&path, "header", header, "must be set, for example to x-attach-tenant");
            mappings.push(mapping);
        }
        mappings
    }
}

/// An issuer's address: no query, since paths are put behind it.
pub(crate) fn issuer_url(text: &str) -> Result<(), String> {
    let url = url_rules::trusted(text)?;
    if url.query().is_some() {
        return Err(format!("{} must not have a query; remove everything from '?' on", shown(text)));
    }
    Ok(())
}
