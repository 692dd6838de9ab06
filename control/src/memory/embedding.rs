//! Where a text lies among others, by the engine's word: Ollama's `POST /api/embed`.
//!
//! Meaning is an addition: an event that the engine will not embed is kept without, and a query that is not embedded
//! in time is answered by its words alone. An engine that is down is waited for.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::discover::engine::below;
use crate::fetch;
use crate::settings::Secret;

/// How long the engine may take for a batch.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How long it may take for a query: somebody waits.
const QUERY: Duration = Duration::from_secs(2);
/// How much of a text is embedded, in bytes: models look at no more than that.
const MAX_TEXT: usize = 8 * 1024;
/// How many texts go at once.
const TEXTS: usize = 32;
/// The longest vector.
const MAX_LENGTH: usize = 16_384;
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// How often an engine that says no is asked before events are kept without.
const ATTEMPTS: u32 = 5;

/// Whoever embeds.
pub struct Embedder {
    url: Url,
    key: Option<Secret>,
    model: String,
    http: reqwest::Client,
    /// How often it said no, in a row.
    refusals: AtomicU32,
    /// Somebody was told that it says no.
    told: AtomicBool,
}

/// Why texts were not embedded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// They may be later.
    Later(String),
}

/// What one request came to.
enum Answer {
    Vectors(Vec<Vec<f32>>),
    /// Something in it will not be embedded.
    Unfit(String),
    /// Nothing will be, until a setting is put right.
    Refused(String),
    /// It may be later.
    Later(String),
}

#[derive(Deserialize)]
struct Embedded {
    embeddings: Vec<Vec<f32>>,
}

impl Embedder {
    /// An engine's model, asked through a client of [`crate::fetch`]'s rules.
    #[must_use]
    pub fn new(engine: &Url, key: Option<Secret>, model: String, http: reqwest::Client) -> Self {
        let url = below(engine, "/api/embed");
        Self { url, key, model, http, refusals: AtomicU32::new(0), told: AtomicBool::new(false) }
    }

    /// A query's vector, if the engine has it soon.
    pub(super) async fn query(&self, text: &str) -> Option<Vec<f32>> {
        let text = cut(text);
        if text.trim().is_empty() {
            return None;
        }
        match self.ask(&[text], QUERY).await {
            Answer::Vectors(mut vectors) => vectors.pop(),
            Answer::Unfit(why) | Answer::Refused(why) | Answer::Later(why) => {
                tracing::debug!(why, "a query is answered by its words alone");
                None
            }
        }
    }

    /// The vectors of texts, in their order; none for one that has nothing to it or that the engine will not embed.
    pub(super) async fn embed(&self, texts: Vec<&str>) -> Result<Vec<Option<Vec<f32>>>, Failure> {
        let mut vectors = vec![None; texts.len()];
        let worth: Vec<(usize, &str)> =
            texts.into_iter().map(cut).enumerate().filter(|(_, text)| !text.trim().is_empty()).collect();
        // What is refused as a whole is halved until the unfit one is alone.
        let mut left: Vec<&[(usize, &str)]> = worth.chunks(TEXTS).rev().collect();
        while let Some(batch) = left.pop() {
            let texts: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
            match self.ask(&texts, DEADLINE).await {
                Answer::Vectors(found) => {
                    self.refusals.store(0, Ordering::Relaxed);
                    for ((at, _), vector) in batch.iter().zip(found) {
                        if let Some(place) = vectors.get_mut(*at) {
                            *place = Some(vector);
                        }
                    }
                }
                Answer::Unfit(_) if batch.len() > 1 => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    left.push(second);
                    left.push(first);
                }
                Answer::Unfit(why) => self.tell(&why),
                Answer::Refused(why) => {
                    let refusals = self.refusals.load(Ordering::Relaxed).saturating_add(1);
                    self.refusals.store(refusals, Ordering::Relaxed);
                    if refusals < ATTEMPTS {
                        return Err(Failure::Later(why));
                    }
                    self.tell(&why);
                    return Ok(vectors);
                }
                Answer::Later(why) => return Err(Failure::Later(why)),
            }
        }
        Ok(vectors)
    }

    fn tell(&self, why: &str) {
        if self.told.swap(true, Ordering::Relaxed) {
            tracing::debug!(why, "an event is kept without an embedding");
        } else {
            tracing::warn!(why, "events are kept without embeddings: they are found by their words");
        }
    }

    async fn ask(&self, texts: &[&str], deadline: Duration) -> Answer {
        let mut request = self.http.post(self.url.clone()).timeout(deadline);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let body = json!({ "model": self.model, "input": texts, "truncate": true });
        let later = |error: &reqwest::Error| {
            let why =
                if error.is_timeout() { "no answer in time".to_owned() } else { fetch::root_cause(error) };
            Answer::Later(format!("the engine does not embed (MEM_EMBED_MODEL): {why}; check ENGINE_URL"))
        };
        let mut response = match request.json(&body).send().await {
            Ok(response) => response,
            Err(error) => return later(&error),
        };
        let status = response.status().as_u16();
        let answered = format!("the engine answers {status} to /api/embed");
        match status {
            200 => {}
            401 | 403 => return Answer::Refused(format!("{answered}: correct ENGINE_API_KEY")),
            404 => {
                return Answer::Refused(format!(
                    "{answered}: correct MEM_EMBED_MODEL, or fetch the model ({}) with `ollama pull`",
                    self.model
                ));
            }
            408 | 425 | 429 => return Answer::Later(answered),
            300..=399 | 405 => return Answer::Refused(format!("{answered}: correct ENGINE_URL")),
            400..=499 => return Answer::Unfit(answered),
            _ => return Answer::Later(answered),
        }
        let mut read = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if read.len().saturating_add(chunk.len()) <= MAX_ANSWER => {
                    read.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return Answer::Refused("the engine's answer to /api/embed is too long".to_owned());
                }
                Ok(None) => break,
                Err(error) => return later(&error),
            }
        }
        let is_fit = |vector: &Vec<f32>| {
            (1..=MAX_LENGTH).contains(&vector.len()) && vector.iter().all(|number| number.is_finite())
        };
        match serde_json::from_slice(&read) {
            Ok(Embedded { embeddings })
                if embeddings.len() == texts.len() && embeddings.iter().all(is_fit) =>
            {
                Answer::Vectors(embeddings)
            }
            _ => Answer::Unfit("the engine's answer to /api/embed is none of Ollama's".to_owned()),
        }
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("model", &self.model).finish_non_exhaustive()
    }
}

/// As much of a text as is embedded.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or(text)
}

#[cfg(test)]
mod tests;
