//! An authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3), parsed and found good.

use url::Url;

use super::error::{Code, Refusal};
use super::loopback::is_loopback;
use super::params::{Params, is_name};

/// Characters of an S256 challenge: 32 bytes in base64url.
const CHALLENGE: usize = 43;

/// The most characters of a redirect address, a state and a nonce.
const MAX_TEXT: usize = 2048;

/// What a form of the login page carries from one request to the next. `prompt` stays behind: a form that is
/// sent has answered it.
const CARRIED: [&str; 11] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "scope",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "audience",
    "resource",
];

/// Where the answer goes.
#[derive(Clone, Debug)]
pub(super) struct Return {
    uri: Url,
    state: Option<String>,
}

impl Return {
    /// The client's address with `answer`, the client's state and the issuer (RFC 9207) in its query.
    pub(super) fn with(&self, answer: &[(&str, &str)], issuer: &str) -> Url {
        let mut url = self.uri.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(answer);
            if let Some(state) = &self.state {
                query.append_pair("state", state);
            }
            query.append_pair("iss", issuer);
        }
        url
    }
}

/// Why a request is no good, and who is told.
#[derive(Debug)]
pub(super) enum Flaw {
    /// The client's address cannot be trusted: the person is told.
    Page(Refusal),
    /// The client is told.
    Client(Box<Return>, Refusal),
}

/// How the user is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// With a form.
    Form,
    /// Not at all (`prompt=none`).
    None,
}

/// A request that may be granted.
#[derive(Clone, Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    /// As the client wrote it.
    pub(super) redirect_uri: String,
    pub(super) to: Return,
    pub(super) challenge: String,
    pub(super) scope: String,
    pub(super) audiences: Vec<String>,
    pub(super) nonce: Option<String>,
    pub(super) login_hint: Option<String>,
    pub(super) prompt: Prompt,
    params: Params,
}

impl AuthorizationRequest {
    pub(super) fn parse(params: Params) -> Result<AuthorizationRequest, Flaw> {
        let (client_id, redirect_uri, to) = parse_return(&params).map_err(Flaw::Page)?;
        match parse_rest(params, client_id, redirect_uri, to.clone()) {
            Ok(request) => Ok(request),
            Err(refusal) => Err(Flaw::Client(Box::new(to), refusal)),
        }
    }

    /// The parameters that the login form repeats.
    pub(super) fn hidden_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().filter(|(name, _)| CARRIED.contains(name))
    }
}

/// What must be good before anything may be sent to the client (RFC 6749 section 4.1.2.1).
fn parse_return(params: &Params) -> Result<(String, String, Return), Refusal> {
    let client_id = params.required("client_id")?;
    if !is_name(client_id) {
        return Err(Refusal::request("client_id is 1 to 255 characters without control characters"));
    }
    let redirect_uri = params.required("redirect_uri")?;
    let uri = Url::parse(redirect_uri).ok().filter(|uri| {
        uri.scheme() == "http"
            && uri.host().is_some_and(|host| is_loopback(&host))
            && uri.username().is_empty()
            && uri.password().is_none()
            && uri.fragment().is_none()
            && redirect_uri.len() <= MAX_TEXT
    });
    let uri = uri.ok_or_else(|| {
        Refusal::request(
            "redirect_uri must be an http address on this machine, such as http://127.0.0.1:9000/callback",
        )
    })?;
    let state = text(params, "state")?;
    Ok((client_id.to_owned(), redirect_uri.to_owned(), Return { uri, state }))
}

fn parse_rest(
    params: Params,
    client_id: String,
    redirect_uri: String,
    to: Return,
) -> Result<AuthorizationRequest, Refusal> {
    for (name, code) in
        [("request", Code::RequestNotSupported), ("request_uri", Code::RequestUriNotSupported)]
    {
        if params.one(name)?.is_some() {
            return Err(Refusal::new(code, "send the parameters themselves"));
        }
    }
    if params.required("response_type")? != "code" {
        return Err(Refusal::new(Code::UnsupportedResponseType, "response_type must be code"));
    }
    if params.one("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(Refusal::request("response_mode must be query"));
    }
    let challenge = params
        .one("code_challenge")?
        .ok_or_else(|| Refusal::request("code_challenge is missing: PKCE with S256 is required"))?;
    if params.one("code_challenge_method")? != Some("S256") {
        return Err(Refusal::request("code_challenge_method must be S256"));
    }
    if challenge.len() != CHALLENGE || !challenge.bytes().all(is_base64url) {
        return Err(Refusal::request("code_challenge is not the base64url text of a SHA-256 digest"));
    }
    let prompts: Vec<&str> = params.one("prompt")?.unwrap_or_default().split_ascii_whitespace().collect();
    let prompt = match prompts.as_slice() {
        ["none"] => Prompt::None,
        many if many.contains(&"none") => return Err(Refusal::request("prompt=none stands alone")),
        _ => Prompt::Form,
    };
    let login_hint = text(&params, "login_hint")?;
    if login_hint.as_deref().is_some_and(|hint| !is_name(hint)) {
        return Err(Refusal::request("login_hint is 1 to 255 characters without control characters"));
    }
    Ok(AuthorizationRequest {
        client_id,
        redirect_uri,
        to,
        challenge: challenge.to_owned(),
        scope: params.scope()?,
        audiences: params.audiences()?,
        nonce: text(&params, "nonce")?,
        login_hint,
        prompt,
        params,
    })
}

fn text(params: &Params, name: &str) -> Result<Option<String>, Refusal> {
    match params.one(name)? {
        Some(value) if value.len() > MAX_TEXT => Err(Refusal::request(format!("{name} is too long"))),
        value => Ok(value.map(str::to_owned)),
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
