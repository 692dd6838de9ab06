//! Descope, as the original had it: as the provider (`AUTH_BACKEND=descope`), and as the one that swaps other
//! providers' tokens for its own (`ENABLE_DESCOPE_EXCHANGE`).

use attach_core::config::Grant;
use url::Url;

use super::Checker;
use super::issuers::is_same;
use crate::discover::engine::below;
use crate::settings::problem::shown;
use crate::settings::values::PLACEHOLDER;
use crate::settings::{Exchange, Issuer, url_rules};

/// The setting that says where Descope's keys are.
pub(super) const JWKS_SETTING: &str = "DESCOPE_JWKS_URL";
const DEFAULT_BASE: &str = "https://api.descope.com";

/// What the settings say of Descope.
#[derive(Debug, Default)]
pub(super) struct Descope {
    /// Whether issuers are in use at all.
    pub(super) oidc: bool,
    /// `AUTH_BACKEND=descope`: the first issuer is Descope's, or has Descope's keys.
    pub(super) is_provider: bool,
    /// `{base}/v1/apps/{project}`.
    pub(super) issuer: Option<String>,
    /// `DESCOPE_JWKS_URL`, else `{base}/{project}/.well-known/jwks.json`.
    pub(super) jwks_url: Option<Url>,
    /// What an exchanged token must name, where it is not `OIDC_AUD`.
    audience: Option<String>,
    /// `ENABLE_DESCOPE_EXCHANGE`, when everything for it is there.
    pub(super) exchange: Option<Exchange>,
}

impl Checker {
    pub(super) fn descope(&mut self, oidc: bool) -> Descope {
        let is_provider =
            self.text("AUTH_BACKEND").is_some_and(|backend| backend.eq_ignore_ascii_case("descope"));
        let exchanges =
            self.parse("ENABLE_DESCOPE_EXCHANGE", |text| match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(format!("{} must be true or false", shown(text))),
            });
        let exchanges = exchanges.unwrap_or_default();
        if !oidc && exchanges {
            self.problem(
                "ENABLE_DESCOPE_EXCHANGE",
                "needs oidc in AUTH_METHODS: what comes back is an issuer's token",
            );
        }
        if oidc && exchanges && !is_provider && !self.values.is_set("OIDC_ISSUER") {
            self.problem(
                "ENABLE_DESCOPE_EXCHANGE",
                "needs OIDC_ISSUER (whose own tokens count as they are) or AUTH_BACKEND=descope",
            );
        }
        if !oidc || (!is_provider && !exchanges) {
            self.unused_descope();
            return Descope { oidc, is_provider: oidc && is_provider, ..Descope::default() };
        }
        self.descope_in_use(is_provider, exchanges)
    }

    /// The original's example sets them whoever the provider is; only one that means something is mentioned.
    fn unused_descope(&mut self) {
        let names = [
            "DESCOPE_PROJECT_ID",
            "DESCOPE_CLIENT_ID",
            "DESCOPE_CLIENT_SECRET",
            "DESCOPE_JWKS_URL",
            "DESCOPE_AUD",
        ];
        if let Some(name) = names.into_iter().find(|name| self.values.get(name).is_some()) {
            self.findings.notice(format!(
                "{name} has no effect: Descope is used with AUTH_BACKEND=descope or ENABLE_DESCOPE_EXCHANGE=true"
            ));
        }
    }

    fn descope_in_use(&mut self, is_provider: bool, exchanges: bool) -> Descope {
        let base = self.parse("DESCOPE_BASE_URL", |text| {
            let url = url_rules::trusted(text)?;
            if url.query().is_some() {
                return Err(format!("{} must not have a query", shown(text)));
            }
            Ok(url)
        });
        self.placeholder("DESCOPE_BASE_URL");
        let base = base.or_else(|| Url::parse(DEFAULT_BASE).ok());
        let jwks_url = self.parse("DESCOPE_JWKS_URL", url_rules::trusted);
        self.placeholder("DESCOPE_JWKS_URL");
        self.placeholder("DESCOPE_AUD");
        // With an issuer and its keys set, the original needs no project.
        let named = is_provider && !exchanges && self.values.is_set("OIDC_ISSUER") && jwks_url.is_some();
        if !named {
            self.required("DESCOPE_PROJECT_ID", "the project's id, from Descope's console");
        }
        let project = self.parse("DESCOPE_PROJECT_ID", |text| {
            if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                Ok(text.to_owned())
            } else {
                Err(format!("{} must be letters and digits, such as P2abc…", shown(text)))
            }
        });
        let under = |path: String| base.as_ref().map(|base| below(base, &path));
        let issuer = project.as_ref().and_then(|project| under(format!("/v1/apps/{project}")));
        let issuer = issuer.map(String::from);
        let jwks_url = jwks_url.or_else(|| under(format!("/{}/.well-known/jwks.json", project.as_ref()?)));
        if is_provider
            && let (Some(set), Some(own)) = (self.text("OIDC_ISSUER"), &issuer)
            && !is_same(&set, own)
        {
            self.findings.notice(format!(
                "AUTH_BACKEND=descope: tokens of OIDC_ISSUER are checked with Descope's keys; leave OIDC_ISSUER out where {own} issues them"
            ));
        }
        let audience = self.text("DESCOPE_AUD");
        let exchange = exchanges
            .then(|| self.descope_exchange(under("/oauth2/v1/apps/token".to_owned()), issuer.as_ref()));
        Descope { oidc: true, is_provider, issuer, jwks_url, audience, exchange: exchange.flatten() }
    }

    fn descope_exchange(&mut self, endpoint: Option<Url>, issuer: Option<&String>) -> Option<Exchange> {
        self.required("DESCOPE_CLIENT_ID", "the inbound app's client id");
        if !self.secrets_withheld {
            self.required("DESCOPE_CLIENT_SECRET", "the inbound app's client secret");
        }
        let client_secret = self.secret("DESCOPE_CLIENT_SECRET");
        Some(Exchange {
            setting: "ENABLE_DESCOPE_EXCHANGE".to_owned(),
            from: "*".to_owned(),
            to: issuer?.clone(),
            grant: Grant::JwtBearer,
            endpoint: endpoint?,
            client_id: self.text("DESCOPE_CLIENT_ID")?,
            client_secret,
            audience: None,
            scope: None,
        })
    }

    /// Sees to it that an exchanged token finds its issuer: the first one, or one of its own.
    pub(super) fn add_descope(&mut self, descope: &Descope, prefix: &str, issuers: &mut Vec<Issuer>) {
        let (Some(exchange), Some(first)) = (&descope.exchange, issuers.first_mut()) else { return };
        if is_same(&first.issuer, &exchange.to) {
            if let Some(audience) = descope.audience.as_ref().filter(|name| !first.audiences.contains(name)) {
                first.audiences.push(audience.clone());
            }
            return;
        }
        let audiences = match &descope.audience {
            Some(audience) => vec![audience.clone()],
            None => first.audiences.iter().take(1).cloned().collect(),
        };
        issuers.push(Issuer {
            setting: "DESCOPE_PROJECT_ID".to_owned(),
            issuer: exchange.to.clone(),
            audiences,
            jwks_url: descope.jwks_url.clone(),
            jwks_setting: JWKS_SETTING.to_owned(),
            user_prefix: prefix.to_owned(),
            required_scopes: Vec::new(),
            claim_headers: Vec::new(),
        });
    }

    /// Asks for a setting that Descope cannot do without.
    fn required(&mut self, name: &'static str, what: &str) {
        self.placeholder(name);
        if !self.values.is_set(name) {
            self.problem(name, format!("must be set for Descope: {what}"));
        }
    }

    /// Where Descope is in use, the example's placeholder is a mistake.
    fn placeholder(&mut self, name: &'static str) {
        if self.values.is_set(name) && self.values.get(name).is_none() && !self.has_problem(name) {
            self.problem(name, PLACEHOLDER);
        }
    }
}
