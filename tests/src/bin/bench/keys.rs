//! Who publishes keys: the issuer with its discovery document, and what control and the bot would serve.

use attach_tests::upstream::{Exchange, Upstream};
use serde_json::{Value, json};

use crate::credentials::{Keys, set};

/// The issuer's.
const ISSUER: &str = "/keys";
/// rotagent's, as control serves them.
pub(crate) const AUTHORISED: &str = "/internal/authorized-keys";
/// Those of the gateway's own tokens, as control serves them.
pub(crate) const GATEWAY: &str = "/internal/gateway-keys";
/// The bot's directory.
pub(crate) const BOT: &str = "/.well-known/http-message-signatures-directory";

/// The running server.
pub(crate) struct Publisher {
    upstream: Upstream,
}

impl Publisher {
    /// Starts it.
    pub(crate) fn start(keys: &Keys) -> Self {
        let upstream = Upstream::start();
        let issuer = upstream.url();
        let discovery = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}{ISSUER}"),
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        for (path, document) in [
            ("/.well-known/openid-configuration", discovery),
            (ISSUER, set(&keys.issuer)),
            (AUTHORISED, set(std::slice::from_ref(&keys.orchestrator))),
            (GATEWAY, set(std::slice::from_ref(&keys.gateway))),
            (BOT, set(std::slice::from_ref(&keys.bot))),
        ] {
            upstream.on(path, answer(&document));
        }
        Self { upstream }
    }

    /// `iss` of the issuer's tokens.
    pub(crate) fn issuer(&self) -> String {
        self.upstream.url()
    }
}

fn answer(document: &Value) -> impl Fn(&mut Exchange) -> std::io::Result<()> + use<> {
    let text = document.to_string();
    move |exchange| exchange.reply("200 OK", &[("content-type", "application/json")], text.as_bytes())
}
