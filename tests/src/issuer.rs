//! An OIDC issuer whose faults are scripted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::upstream::{Exchange, Upstream};

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
    down: Arc<AtomicBool>,
}

impl Issuer {
    /// Starts one with the keys it serves.
    #[must_use]
    pub fn start(keys: Vec<Value>) -> Self {
        let issuer = Self {
            upstream: Upstream::start(),
            answer: Arc::new(Mutex::new(Answer::Keys(keys))),
            down: Arc::default(),
        };
        let (keys, discovery) = (issuer.clone(), issuer.clone());
        issuer.upstream.on("/", |exchange| exchange.reply("404 Not Found", &[], b""));
        issuer.upstream.on(KEYS, move |exchange| keys.serve_keys(exchange));
        issuer.upstream.on(DISCOVERY, move |exchange| discovery.serve_discovery(exchange));
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
        format!("{}{KEYS}", self.upstream.url())
    }

    /// Answers so from now on.
    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Whether discovery fails as well as the keys do ([`Answer::Error`]).
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How often its keys were asked for.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.upstream.seen(KEYS).len()
    }

    fn serve_discovery(&self, exchange: &mut Exchange) -> std::io::Result<()> {
        if self.down.load(Ordering::SeqCst) {
            return exchange.reply("503 Service Unavailable", &[], b"");
        }
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
