//! HTTP message signatures (RFC 9421) as their senders make them; nothing here looks at what the gateway does.

use sha2::Digest as _;

use super::encode_standard;
use crate::sent::Sent;

/// A signature that is to be put on a request.
#[derive(Clone, Debug)]
pub struct Signing {
    /// Its label.
    pub label: String,
    /// What it covers, as it stands in `Signature-Input`.
    pub covered: Vec<String>,
    /// What follows the list there, from the first semicolon on.
    pub parameters: String,
}

impl Signing {
    /// A signature labelled `sig1` over some components, given by their names or, with parameters, as they
    /// stand there.
    #[must_use]
    pub fn new(covered: &[&str], parameters: impl Into<String>) -> Self {
        let written =
            |name: &&str| if name.starts_with('"') { (*name).to_owned() } else { format!("\"{name}\"") };
        Self {
            label: "sig1".to_owned(),
            covered: covered.iter().map(written).collect(),
            parameters: parameters.into(),
        }
    }

    /// With another label.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// What stands in `Signature-Input` behind the label.
    #[must_use]
    pub fn input(&self) -> String {
        format!("({}){}", self.covered.join(" "), self.parameters)
    }

    /// The signature base of a request.
    #[must_use]
    pub fn base(&self, sent: &Sent) -> String {
        let mut base = String::new();
        for identifier in &self.covered {
            base.push_str(&format!("{identifier}: {}\n", value(sent, identifier)));
        }
        base.push_str(&format!("\"@signature-params\": {}", self.input()));
        base
    }

    /// The request with its signature.
    #[must_use]
    pub fn put(&self, sent: Sent, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Sent {
        let signature = sign(self.base(&sent).as_bytes());
        self.put_raw(sent, &signature)
    }

    /// The request with these bytes for a signature.
    #[must_use]
    pub fn put_raw(&self, sent: Sent, signature: &[u8]) -> Sent {
        let (label, input) = (&self.label, self.input());
        sent.header("signature-input", format!("{label}={input}"))
            .header("signature", format!("{label}=:{}:", encode_standard(signature)))
    }
}

/// `Content-Digest` of a body, by SHA-256.
#[must_use]
pub fn sha_256(body: &[u8]) -> String {
    format!("sha-256=:{}:", encode_standard(sha2::Sha256::digest(body)))
}

/// `Content-Digest` of a body, by SHA-512.
#[must_use]
pub fn sha_512(body: &[u8]) -> String {
    format!("sha-512=:{}:", encode_standard(sha2::Sha512::digest(body)))
}

/// The value of a component (RFC 9421 section 2).
fn value(sent: &Sent, identifier: &str) -> String {
    let name = identifier.trim_start_matches('"').split('"').next().unwrap_or_default();
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    match name {
        "@method" => sent.method.to_owned(),
        "@authority" => sent.authority.to_ascii_lowercase(),
        "@scheme" => "http".to_owned(),
        "@target-uri" => format!("http://{}{}", sent.authority.to_ascii_lowercase(), sent.target),
        "@request-target" => sent.target.clone(),
        "@path" => path.to_owned(),
        "@query" => format!("?{query}"),
        "@query-param" => {
            let wanted = identifier.split("name=\"").nth(1).and_then(|rest| rest.split('"').next());
            let found = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(name, _)| Some(*name) == wanted);
            found.map_or(String::new(), |(_, value)| value.to_owned())
        }
        field => sent.field(field).unwrap_or_default(),
    }
}
