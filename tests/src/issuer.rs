//! An OIDC issuer whose faults are scripted.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::upstream::{Exchange, Seen, Upstream};

/// Where the keys are.
pub const KEYS: &str = "/keys";
/// Where the discovery document is.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What it answers when it is asked for its keys.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These, as a set.
    Keys(Vec<Value>),
    /// This text, as JSON.
    Text(String),
    /// A page for people.
    Html,
    /// Status 500.
    Error,
    /// Nothing for as long as it is this answer.
    Silence,
}

/// A running issuer.
#[derive(Clone)]
pub struct Issuer {
    upstream: Upstream,
    answer: Arc<Mutex<Answer>>,
    keys: Arc<Mutex<String>>,
}

impl Issuer {
    /// Starts one with the keys it serves.
    #[must_use]
    pub fn start(keys: Vec<Value>) -> Self {
        let issuer = Self {
            upstream: Upstream::start(),
            answer: Arc::new(Mutex::new(Answer::Keys(keys))),
            keys: Arc::new(Mutex::new(KEYS.to_owned())),
        };
        let server = issuer.clone();
        issuer.upstream.on("/", move |exchange| server.serve(exchange));
        issuer
    }

    /// Its `iss`.
    #[must_use]
    pub fn url(&self) -> String {
        self.upstream.url()
    }

    /// Where its keys are.
    #[must_use]
    pub fn keys_url(&self) -> String {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.starts_with('/') { format!("{}{keys}", self.url()) } else { keys.clone() }
    }

    /// Answers so from now on.
    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Has its keys elsewhere from now on, and says so in its discovery document: a path, or an address of
    /// another server.
    pub fn move_keys(&self, path: &str) {
        path.clone_into(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The requests for its keys, wherever they are.
    #[must_use]
    pub fn keys_seen(&self) -> Vec<Seen> {
        self.upstream.seen(KEYS)
    }

    /// How often its keys were asked for.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.keys_seen().len()
    }

    fn serve(&self, exchange: &mut Exchange) -> std::io::Result<()> {
        let target = exchange.target.clone();
        if target == DISCOVERY {
            self.serve_discovery(exchange)
        } else if target == *self.keys.lock().unwrap_or_else(PoisonError::into_inner) {
            self.serve_keys(exchange)
        } else {
            exchange.reply("404 Not Found", &[], b"")
        }
    }

    fn serve_discovery(&self, exchange: &mut Exchange) -> std::io::Result<()> {
        let document = json!({
            "issuer": self.url(),
            "jwks_uri": self.keys_url(),
            "authorization_endpoint": format!("{}/authorize", self.url()),
            "token_endpoint": format!("{}/token", self.url()),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        json_reply(exchange, &document.to_string())
    }

    fn serve_keys(&self, exchange: &mut Exchange) -> std::io::Result<()> {
        match self.current() {
            Answer::Keys(keys) => json_reply(exchange, &json!({ "keys": keys }).to_string()),
            Answer::Text(text) => json_reply(exchange, &text),
            Answer::Html => exchange.reply("200 OK", &[("content-type", "text/html")], b"<html>Down</html>"),
            Answer::Error => exchange.reply("500 Internal Server Error", &[], b""),
            Answer::Silence => {
                // The gateway gives up; so does the connection, once the answer is another one.
                while matches!(self.current(), Answer::Silence) {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                self.serve_keys(exchange)
            }
        }
    }

    fn current(&self) -> Answer {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn json_reply(exchange: &mut Exchange, text: &str) -> std::io::Result<()> {
    exchange.reply("200 OK", &[("content-type", "application/json")], text.as_bytes())
}
