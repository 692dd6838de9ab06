//! Issuers: the one that flat names give, and whether all of them can be told apart.

use attach_core::config::ModelRuleConfig;
use url::Url;

use super::Checker;
use super::descope::{Descope, JWKS_SETTING};
use crate::settings::document::{self, More};
use crate::settings::problem::shown;
use crate::settings::{DEV_AUDIENCE, Issuer, url_rules};

/// The first issuer, before the dev identity provider's port is known.
pub(super) struct FirstIssuer {
    issuer: Option<String>,
    audience: String,
    jwks_url: Option<Url>,
    jwks_setting: &'static str,
}

impl FirstIssuer {
    pub(super) fn resolve(self, idp_port: u16, more: More) -> Issuer {
        let mut audiences = vec![self.audience];
        for audience in more.audiences {
            if !audiences.contains(&audience) {
                audiences.push(audience);
            }
        }
        Issuer {
            setting: "OIDC_ISSUER".to_owned(),
            issuer: self.issuer.unwrap_or_else(|| format!("http://127.0.0.1:{idp_port}")),
            audiences,
            jwks_url: self.jwks_url,
            jwks_setting: self.jwks_setting.to_owned(),
            user_prefix: String::new(),
            required_scopes: more.required_scopes,
            claim_headers: more.claim_headers,
        }
    }
}

impl Checker {
    pub(super) fn first_issuer(&mut self, dev_idp: bool, descope: &Descope) -> FirstIssuer {
        let set = self.parse("OIDC_ISSUER", |text| document::issuer_url(text).map(|()| text.to_owned()));
        let from_descope = || descope.issuer.clone().filter(|_| descope.is_provider);
        let jwks_url = self.parse("OIDC_JWKS_URL", url_rules::trusted);
        if dev_idp && jwks_url.is_some() {
            self.problem(
                "OIDC_JWKS_URL",
                "has no meaning without OIDC_ISSUER; set both, or neither for the dev identity provider",
            );
        }
        if descope.is_provider && jwks_url.is_some() {
            self.problem(
                "OIDC_JWKS_URL",
                "and AUTH_BACKEND=descope both say where the keys are; use DESCOPE_JWKS_URL instead",
            );
        }
        let audience = self.text("OIDC_AUD");
        let foreign = descope.is_provider || self.values.is_set("OIDC_ISSUER");
        if foreign && descope.oidc && audience.is_none() && !self.has_problem("OIDC_AUD") {
            self.problem(
                "OIDC_AUD",
                "must be set where OIDC_ISSUER or AUTH_BACKEND=descope is: the audience that tokens must name (Auth0: the API's identifier)",
            );
        }
        FirstIssuer {
            issuer: set.or_else(from_descope),
            audience: audience.unwrap_or_else(|| DEV_AUDIENCE.to_owned()),
            jwks_setting: if descope.is_provider { JWKS_SETTING } else { "OIDC_JWKS_URL" },
            jwks_url: jwks_url.or_else(|| descope.jwks_url.clone().filter(|_| descope.is_provider)),
        }
    }

    /// What the tokens of those without an issuer may name: whatever names this gateway.
    pub(super) fn audiences(&self, dev_idp: bool, public_url: &str) -> Vec<String> {
        let dev = dev_idp.then(|| DEV_AUDIENCE.to_owned());
        let mut audiences: Vec<String> = self.text("OIDC_AUD").or(dev).into_iter().collect();
        if !audiences.iter().any(|audience| audience == public_url) {
            audiences.push(public_url.to_owned());
        }
        audiences
    }

    pub(super) fn issuers_differ(&mut self, issuers: &[Issuer], dev_idp: bool, public_url: &str) {
        for (at, issuer) in issuers.iter().enumerate() {
            // The dev identity provider's port is judged as a port.
            if (at > 0 || !dev_idp) && is_same(&issuer.issuer, public_url) {
                self.findings.problem(
                    issuer.setting.clone(),
                    format!(
                        "{} is the gateway itself (PUBLIC_URL); name who issues the tokens",
                        shown(&issuer.issuer)
                    ),
                );
            }
            let same = |other: &&Issuer| !issuer.issuer.is_empty() && is_same(&other.issuer, &issuer.issuer);
            if let Some(other) = issuers.iter().take(at).find(same) {
                self.findings.problem(
                    issuer.setting.clone(),
                    format!(
                        "{} is set by {} too; name each issuer once",
                        shown(&issuer.issuer),
                        other.setting
                    ),
                );
            }
        }
    }

    /// A rule about a header that no claim is put in would never apply.
    pub(super) fn models_fit(&mut self, models: &[ModelRuleConfig], issuers: &[Issuer]) {
        for (at, model) in models.iter().enumerate() {
            let header = model.claim.as_ref().map(|claim| claim.header.as_str());
            self.is_mapped(format!("models[{at}].claim.header"), header, issuers);
        }
    }

    /// Whether some claim is put in a header that a rule is about; an empty one was refused already.
    pub(super) fn is_mapped(&mut self, path: String, header: Option<&str>, issuers: &[Issuer]) {
        let Some(header) = header.filter(|header| !header.is_empty()) else { return };
        let mut mapped = issuers.iter().flat_map(|issuer| &issuer.claim_headers);
        if !mapped.any(|mapping| mapping.header == header) {
            let message =
                format!("{} is in no claim_headers entry; put the claim there first", shown(header));
            self.findings.problem(path, message);
        }
    }
}

/// One trailing slash more or less does not matter.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}
