//! Events in a Weaviate: its REST API for what is written, its GraphQL for what is read.
//!
//! The class is looked at before the first thing that is done with it ([`Weaviate::prepare`]): without it Weaviate
//! would make one by itself, of types that it guesses from the first event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use attach_core::mirror::tenant_of;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::terms::{Error, Reach};
use crate::settings::Secret;

mod erase;
mod graphql;
mod http;
mod objects;
mod read;
mod schema;

use http::Http;

/// The longest that anything here takes, for the HTTP client.
pub const DEADLINE: Duration = http::WRITE;

/// Events in a Weaviate; cheap to clone.
#[derive(Clone, Debug)]
pub struct Weaviate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Http,
    /// `WEAVIATE_TENANCY=user`.
    tenants: bool,
    vectorizer: Option<String>,
    /// The class was there and fit.
    prepared: AtomicBool,
    /// Held by the one who looks.
    preparing: Mutex<()>,
    /// Somebody was told that vectors do not fit.
    told_of_vectors: AtomicBool,
}

impl Weaviate {
    /// The Weaviate at an address, asked with a key through a client of [`crate::fetch`]'s rules. `tenants`: every
    /// owner's events lie in a tenant of their own. `vectorizer`: the module that the class is made with, `none` among
    /// them; without one, Weaviate's own default.
    #[must_use]
    pub fn new(
        url: Url,
        key: Option<Secret>,
        tenants: bool,
        vectorizer: Option<String>,
        client: reqwest::Client,
    ) -> Self {
        let http = Http::new(url, key, client);
        let inner = Inner {
            http,
            tenants,
            vectorizer,
            prepared: AtomicBool::new(false),
            preparing: Mutex::new(()),
            told_of_vectors: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        self.inner.http.shown()
    }

    /// Whether the class has been seen to.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.inner.prepared.load(Ordering::Acquire)
    }

    /// Sees to it that Weaviate is ready and that the class is there and takes events: it is made where it is
    /// missing, and an existing one is given the properties that it lacks.
    ///
    /// # Errors
    /// [`Error::Refused`]: it is there and cannot be used, with what to do.
    pub async fn prepare(&self) -> Result<(), Error> {
        let _one = self.inner.preparing.lock().await;
        if self.is_prepared() { Ok(()) } else { self.see_to_it().await }
    }

    /// [`prepare`](Self::prepare), also where that has been done: Weaviate may have gone, or its class.
    ///
    /// # Errors
    /// As there.
    pub async fn look(&self) -> Result<(), Error> {
        let _one = self.inner.preparing.lock().await;
        let seen = self.see_to_it().await;
        if seen.is_err() {
            self.forget_class();
        }
        seen
    }

    async fn see_to_it(&self) -> Result<(), Error> {
        let http = &self.inner.http;
        let ready = http.ask(Method::GET, "/v1/.well-known/ready", None, None::<&Value>, http::READ).await?;
        if ready.status != 200 {
            let text = format!("Weaviate at {} answers {}: correct WEAVIATE_URL", self.shown(), ready.status);
            return Err(Error::Refused(text));
        }
        schema::prepare(http, self.inner.vectorizer.as_deref(), self.inner.tenants).await?;
        self.inner.prepared.store(true, Ordering::Release);
        Ok(())
    }

    /// The class is to be looked at again.
    fn forget_class(&self) {
        self.inner.prepared.store(false, Ordering::Release);
    }

    /// What Weaviate said shows that the class is not the one that was looked at.
    fn lost_class(&self, reason: &str) -> Error {
        self.forget_class();
        Error::Unavailable(format!("Weaviate's class MemoryEvent has changed: {reason}"))
    }

    /// [`prepare`](Self::prepare), where that has not been done.
    async fn ready(&self) -> Result<(), Error> {
        if self.is_prepared() { Ok(()) } else { self.prepare().await }
    }

    /// Where an owner's events lie.
    fn tenant(&self, owner: &str) -> Option<String> {
        self.inner.tenants.then(|| tenant_of(owner))
    }

    /// Names that Weaviate could not tell from others, since it drops spaces around a value.
    fn check(reach: &Reach) -> Result<(), Error> {
        match reach {
            Reach::Owner(owner) if owner.is_empty() || owner.trim() != owner => {
                Err(Error::Refused("no owner has an empty name, or one with spaces around it".to_owned()))
            }
            Reach::Owner(_) | Reach::Everyone => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
