//! Getting a token by client credentials (RFC 6749 section 4.4), to try the gateway with.
//!
//! From the dev identity provider anyone gets one, in any name. From a foreign issuer it takes a client of
//! its own: `AUTH0_CLIENT` and `AUTH0_SECRET`, named as in the original's `dev_login.py`, whoever the issuer
//! is. The token endpoint is the discovery document's, else Auth0's on `AUTH0_DOMAIN`.

use serde_json::Value;
use url::Url;

use crate::discover::{self, DiscoverError, Keys};
use crate::fetch::{Answer, ClientError, FetchError};
use crate::settings::{Secret, Settings};

/// In whose name the dev identity provider grants a token when nobody says.
pub const DEV_USER: &str = "dev-user";
/// The client that the dev identity provider sees.
const DEV_CLIENT: &str = "attach-token";

/// What the token is to say; what is `None` is left to the issuer or the settings.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The user.
    pub subject: Option<String>,
    /// The audience; the settings' where there is none.
    pub audience: Option<String>,
    /// Scopes, blanks between them.
    pub scope: Option<String>,
    /// Seconds it is to live.
    pub expires_in: Option<u64>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No HTTPS.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The issuer could not be found out about.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// Nobody issues tokens.
    #[error(
        "there is no issuer to fetch a token from, since AUTH_METHODS leaves oidc out: `attach sign` makes rotagent's tokens, and wallets and services make their own"
    )]
    NoIssuer,
    /// The issuer wants a client, and none is set.
    #[error(
        "{issuer} grants tokens to clients it knows: set AUTH0_CLIENT and AUTH0_SECRET to a client of yours \
         (client credentials), or sign in with your application and use its access token for the audience {audience}"
    )]
    NoClient {
        /// Who.
        issuer: String,
        /// For what.
        audience: String,
    },
    /// Only the dev identity provider lets its caller say that.
    #[error("{flag} is for the dev identity provider alone: {issuer} decides that itself")]
    NotOurs {
        /// The flag.
        flag: &'static str,
        /// Who.
        issuer: String,
    },
    /// Nobody said where tokens are granted.
    #[error(
        "{0} names no token endpoint in a discovery document: set AUTH0_DOMAIN to the host that grants its tokens"
    )]
    NoEndpoint(String),
    /// Nobody answers there.
    #[error("no token: {endpoint} does not answer: {why}; {advice}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What happened.
        why: FetchError,
        /// What to do.
        advice: &'static str,
    },
    /// It was refused.
    #[error("no token: {endpoint} answers {status}: {reason}")]
    Refused {
        /// Where.
        endpoint: String,
        /// The status.
        status: u16,
        /// Its own words.
        reason: String,
    },
}

/// Gets a token that the gateway of these settings takes.
///
/// # Errors
/// See [`TokenError`].
pub async fn fetch(settings: &Settings, wish: &Wish) -> Result<Secret, TokenError> {
    let fetcher = discover::fetcher(settings)?;
    let first = settings.first_issuer().ok_or(TokenError::NoIssuer)?;
    let (issuer, set_audience) = (first.issuer.clone(), first.audiences.first().cloned().unwrap_or_default());
    let audience = wish.audience.clone().unwrap_or(set_audience);
    let (client, secret) = if settings.dev_idp {
        (DEV_CLIENT, None)
    } else {
        let flags = [("--sub", wish.subject.is_some()), ("--expires-in", wish.expires_in.is_some())];
        if let Some((flag, _)) = flags.into_iter().find(|(_, given)| *given) {
            return Err(TokenError::NotOurs { flag, issuer });
        }
        match (&settings.auth0.client, &settings.auth0.secret) {
            (Some(client), Some(secret)) => (client.as_str(), Some(secret)),
            _ => return Err(TokenError::NoClient { issuer, audience }),
        }
    };
    let endpoint = endpoint(settings, &fetcher).await?.ok_or(TokenError::NoEndpoint(issuer))?;

    let expires_in = wish.expires_in.map(|seconds| seconds.to_string());
    let subject = settings.dev_idp.then(|| wish.subject.as_deref().unwrap_or(DEV_USER));
    // A token to try with must get through: the dev identity provider grants what is asked for.
    let required = settings.required_scopes.iter().chain(&first.required_scopes);
    let required = required.chain(&settings.accounting.metrics_scope);
    let required = required.map(String::as_str).collect::<Vec<_>>().join(" ");
    let required = Some(required).filter(|scopes| settings.dev_idp && !scopes.is_empty());
    let optional = [
        ("client_secret", secret.map(Secret::expose)),
        ("sub", subject),
        ("audience", Some(audience.as_str()).filter(|audience| !audience.is_empty())),
        ("scope", wish.scope.as_deref().or(required.as_deref())),
        ("expires_in", expires_in.as_deref()),
    ];
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", client)];
    form.extend(optional.iter().filter_map(|(name, value)| value.map(|value| (*name, value))));
    match fetcher.post_form(&endpoint, &form).await {
        Ok(answer) => granted(&answer).ok_or_else(|| TokenError::Refused {
            status: answer.status,
            reason: reason(&answer),
            endpoint: endpoint.to_string(),
        }),
        Err(why) => Err(TokenError::Unreachable {
            endpoint: endpoint.to_string(),
            why,
            advice: if settings.dev_idp {
                "start it with `attach up`, or correct IDP_PORT"
            } else {
                "check OIDC_ISSUER and AUTH0_DOMAIN, and that this machine can reach it"
            },
        }),
    }
}

async fn endpoint(
    settings: &Settings,
    fetcher: &crate::fetch::Fetcher,
) -> Result<Option<Url>, DiscoverError> {
    let Some(first) = settings.first_issuer() else { return Ok(None) };
    let resolved = discover::issuer::resolve(first.clone(), settings.dev_idp, Keys::MayBeDown, fetcher).await;
    let (resolved, _) = resolved.map_err(|problem| DiscoverError::Unreachable(vec![problem]))?;
    let auth0 = || {
        let domain = settings.auth0.domain.as_deref()?;
        Url::parse(&format!("https://{domain}/oauth/token")).ok()
    };
    Ok(resolved.token_endpoint.or_else(auth0))
}

fn granted(answer: &Answer) -> Option<Secret> {
    let answer = answer.json()?;
    let token = answer.get("access_token")?.as_str().filter(|token| !token.is_empty())?;
    Some(Secret::new(token.to_owned()))
}

/// The refusal in the issuer's own words, as far as they can be shown.
fn reason(answer: &Answer) -> String {
    const LONGEST: usize = 200;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = ["error_description", "error"].iter().find_map(|name| said.get(name)?.as_str());
    let words = words.unwrap_or("there is no access_token in its answer");
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
