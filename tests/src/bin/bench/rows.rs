//! What is compared with what.

use crate::failure::Failure;

/// What stands between CORS and router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing.
    Bare,
    /// Envoy's own `jwt_authn`, which remembers verified tokens.
    NativeCached,
    /// The same, verifying every token.
    NativeVerifying,
    /// A module that does nothing.
    Noop,
    /// Our module.
    Attach,
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The same token each time.
    Same,
    /// A token that this Envoy has not seen, or not for longer than any cache remembers.
    New,
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
}

const fn row(name: &'static str, title: &'static str, variant: Variant, credential: Credential) -> Row {
    Row { name, title, variant, credential }
}

/// All rows, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    row("bare", "bare Envoy", Variant::Bare, Credential::Same),
    row("native", "jwt_authn, token cache", Variant::NativeCached, Credential::Same),
    row("native-verify", "jwt_authn, no token cache", Variant::NativeVerifying, Credential::Same),
    row("noop", "wasm that does nothing", Variant::Noop, Credential::Same),
    row("attach", "attach.wasm", Variant::Attach, Credential::Same),
    row("native-new", "jwt_authn, every token new", Variant::NativeVerifying, Credential::New),
    row("attach-new", "attach.wasm, every token new", Variant::Attach, Credential::New),
    row("native-401", "jwt_authn, no token: 401", Variant::NativeCached, Credential::None),
    row("attach-401", "attach.wasm, no token: 401", Variant::Attach, Credential::None),
];

impl Row {
    /// The status that every request must get, or the row means nothing.
    pub(crate) fn status(&self) -> u16 {
        match self.credential {
            Credential::Same | Credential::New => 200,
            Credential::None => 401,
        }
    }
}

impl Variant {
    /// What its files are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::NativeCached => "native-cached",
            Self::NativeVerifying => "native-verifying",
            Self::Noop => "noop",
            Self::Attach => "attach",
        }
    }

    /// Whether it tells a forged token from a good one.
    pub(crate) fn verifies(self) -> bool {
        !matches!(self, Self::Bare | Self::Noop)
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
}
