//! What is compared with what.

use crate::failure::Failure;
use crate::plugin::Accounting;

/// What stands between CORS and router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing.
    Bare,
    /// Nothing, and no access log either.
    BareSilent,
    /// Envoy's own `jwt_authn`, which remembers verified tokens.
    NativeCached,
    /// The same, verifying every token.
    NativeVerifying,
    /// A module that does nothing.
    Noop,
    /// Our module with every scheme on, signing assertions: what `attach` renders when all of it is asked for.
    Attach,
    /// Our module with OIDC alone and without assertions.
    AttachPlain,
    /// The same, and tokens: reserve, settle, meter, and a row per call for control.
    Chat,
    /// The same with every scheme on and assertions.
    ChatAll,
    /// As [`Variant::Chat`], and every prompt is counted.
    ChatCounted,
    /// As [`Variant::Chat`], and prompts and answers are redacted and mirrored.
    ChatMemory,
    /// As [`Variant::ChatCounted`], likewise.
    ChatCountedMemory,
}

/// A way to say who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// The issuer's tokens by that algorithm, of a few users.
    Oidc(&'static str),
    /// The issuer's RS256 tokens, each of another user.
    OidcUsers,
    /// did:key, Ed25519.
    DidKey,
    /// did:pkh, ES256K-R.
    DidPkh,
    /// A shared key.
    Hmac,
    /// The gateway's own tokens for agents.
    Gateway,
    /// rotagent: an RS256 token over one body.
    Rotagent,
    /// RFC 9421, Ed25519, the body left out.
    Signature,
    /// RFC 9421, Ed25519, with `content-digest`.
    SignatureWithDigest,
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The same each time.
    Same(Scheme),
    /// One that this Envoy has not seen, or not for longer than any cache remembers.
    New(Scheme),
    /// One that is good for one request.
    Once(Scheme),
    /// None.
    None,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// `GET /v1/models`.
    Get,
    /// `POST /v1/chat/completions` with 600 bytes.
    Post,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its name in the table.
    pub(crate) title: &'static str,
    /// Which Envoy.
    pub(crate) variant: Variant,
    /// What it is asked with.
    pub(crate) credential: Credential,
    /// On which methods.
    pub(crate) methods: &'static [Method],
}

const BOTH: &[Method] = &[Method::Get, Method::Post];
const GET: &[Method] = &[Method::Get];
const POST: &[Method] = &[Method::Post];

const fn row(
    name: &'static str,
    title: &'static str,
    variant: Variant,
    credential: Credential,
    methods: &'static [Method],
) -> Row {
    Row { name, title, variant, credential, methods }
}

const RS256: Scheme = Scheme::Oidc("RS256");

/// All rows, in the order of the table.
pub(crate) const ROWS: &[Row] = {
    use Credential::{New, None, Once, Same};
    use Scheme::{DidKey, DidPkh, Gateway, Hmac, Oidc, OidcUsers, Rotagent, Signature, SignatureWithDigest};
    use Variant::{
        Attach, AttachPlain, Bare, BareSilent, Chat, ChatAll, ChatCounted, NativeCached, NativeVerifying,
        Noop,
    };
    &[
        row("bare", "bare Envoy", Bare, Same(RS256), BOTH),
        row("native", "jwt_authn, token cache", NativeCached, Same(RS256), BOTH),
        row("native-verify", "jwt_authn, no token cache", NativeVerifying, Same(RS256), BOTH),
        row("noop", "wasm that does nothing", Noop, Same(RS256), BOTH),
        row("attach", "attach.wasm", Attach, Same(RS256), BOTH),
        row("attach-plain", "attach.wasm, no assertions", AttachPlain, Same(RS256), BOTH),
        row("bare-silent", "bare Envoy, no access log", BareSilent, Same(RS256), POST),
        row("chat", "attach.wasm, tokens", Chat, Same(RS256), POST),
        row("chat-all", "attach.wasm, tokens, assertions", ChatAll, Same(RS256), POST),
        row("chat-counted", "attach.wasm, tokens, all counted", ChatCounted, Same(RS256), POST),
        row("did-key", "attach.wasm, did:key", Attach, Same(DidKey), GET),
        row("did-pkh", "attach.wasm, did:pkh", Attach, Same(DidPkh), GET),
        row("hmac", "attach.wasm, HS256", Attach, Same(Hmac), GET),
        row("gateway", "attach.wasm, gateway token", Attach, Same(Gateway), GET),
        row("native-new", "jwt_authn, every token new", NativeVerifying, New(RS256), BOTH),
        row("native-es256-new", "jwt_authn, new ES256", NativeVerifying, New(Oidc("ES256")), GET),
        row("native-es384-new", "jwt_authn, new ES384", NativeVerifying, New(Oidc("ES384")), GET),
        row("attach-new", "attach.wasm, every token new", Attach, New(RS256), BOTH),
        row("attach-plain-new", "attach.wasm, new, no assertions", AttachPlain, New(RS256), GET),
        row("attach-new-users", "attach.wasm, every user new", Attach, New(OidcUsers), GET),
        row("rs384-new", "attach.wasm, new RS384", Attach, New(Oidc("RS384")), GET),
        row("rs512-new", "attach.wasm, new RS512", Attach, New(Oidc("RS512")), GET),
        row("es256-new", "attach.wasm, new ES256", Attach, New(Oidc("ES256")), GET),
        row("es384-new", "attach.wasm, new ES384", Attach, New(Oidc("ES384")), GET),
        row("ps256-new", "attach.wasm, new PS256", Attach, New(Oidc("PS256")), GET),
        row("eddsa-new", "attach.wasm, new EdDSA", Attach, New(Oidc("EdDSA")), BOTH),
        row("did-pkh-new", "attach.wasm, new did:pkh ES256K-R", Attach, New(DidPkh), GET),
        row("hmac-new", "attach.wasm, new HS256", Attach, New(Hmac), GET),
        row("rotagent", "attach.wasm, rotagent RS256", Attach, Once(Rotagent), POST),
        row("httpsig", "attach.wasm, RFC 9421 Ed25519", Attach, Once(Signature), BOTH),
        row("httpsig-digest", "attach.wasm, … content-digest", Attach, Once(SignatureWithDigest), POST),
        row("native-401", "jwt_authn, no token: 401", NativeCached, None, BOTH),
        row("attach-401", "attach.wasm, no token: 401", Attach, None, BOTH),
    ]
};

impl Row {
    /// The status that every request must get, or the row means nothing.
    pub(crate) fn status(&self) -> u16 {
        match self.credential {
            Credential::Same(_) | Credential::New(_) | Credential::Once(_) => 200,
            Credential::None => 401,
        }
    }
}

impl Credential {
    /// Whose.
    pub(crate) fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Same(scheme) | Self::New(scheme) | Self::Once(scheme) => Some(scheme),
            Self::None => None,
        }
    }
}

impl Variant {
    /// What its files are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::BareSilent => "bare-silent",
            Self::NativeCached => "native-cached",
            Self::NativeVerifying => "native-verifying",
            Self::Noop => "noop",
            Self::Attach => "attach",
            Self::AttachPlain => "attach-plain",
            Self::Chat => "chat",
            Self::ChatAll => "chat-all",
            Self::ChatCounted => "chat-counted",
            Self::ChatMemory => "chat-memory",
            Self::ChatCountedMemory => "chat-counted-memory",
        }
    }

    /// Whether it tells a forged token from a good one.
    pub(crate) fn verifies(self) -> bool {
        !matches!(self, Self::Bare | Self::BareSilent | Self::Noop)
    }

    /// What it does about tokens.
    pub(crate) fn accounting(self) -> Accounting {
        match self {
            Self::Chat | Self::ChatAll | Self::ChatMemory => Accounting::On,
            Self::ChatCounted | Self::ChatCountedMemory => Accounting::CountAll,
            _ => Accounting::Off,
        }
    }

    /// Whether it remembers what is said.
    pub(crate) fn remembers(self) -> bool {
        matches!(self, Self::ChatMemory | Self::ChatCountedMemory)
    }
}

impl Method {
    /// As on the command line.
    ///
    /// # Errors
    /// For any other than these two.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "get" => Ok(Self::Get),
            "post" => Ok(Self::Post),
            other => Err(Failure(format!("{other} is no method of the bench: get or post"))),
        }
    }

    /// As on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// The path it is made on; the engine's, on every gateway.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Get => "/v1/models",
            Self::Post => "/v1/chat/completions",
        }
    }

    /// What it sends.
    pub(crate) fn body(self) -> Option<String> {
        const BYTES: usize = 600;
        const BEFORE: &str = r#"{"model":"llama3","messages":[{"role":"user","content":""#;
        const AFTER: &str = r#""}],"stream":false}"#;
        const PROMPT: &str = "Why is the sky blue, and why is it red in the evening? ";
        match self {
            Self::Get => None,
            Self::Post => {
                let prompt = PROMPT.chars().cycle().take(BYTES - BEFORE.len() - AFTER.len());
                Some(format!("{BEFORE}{}{AFTER}", prompt.collect::<String>()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chat_request_is_json_of_six_hundred_bytes() {
        let body = Method::Post.body().unwrap();
        assert_eq!(body.len(), 600);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["messages"][0]["role"], "user");
    }

    #[test]
    fn no_two_rows_have_one_name() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(!ROWS.iter().take(at).any(|other| other.name == row.name), "{}", row.name);
        }
    }
}
