//! Taking events out of Weaviate.

use attach_core::clock::UnixMillis;
use attach_core::mirror::CLASS;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Weaviate;
use super::graphql::Where;
use super::http::{READ, WRITE};
use crate::memory::terms::{Error, Reach, SessionFilter};

/// The most rounds of one erasure, of ten thousand events each unless Weaviate is set to fewer.
const ROUNDS: usize = 10_000;

#[derive(Deserialize)]
struct Erased {
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    matches: u64,
    #[serde(default)]
    successful: u64,
    #[serde(default)]
    failed: u64,
}

#[derive(Deserialize)]
struct Tenant {
    name: String,
}

impl Weaviate {
    pub(in super::super) async fn forget(
        &self,
        owner: String,
        session: Option<SessionFilter>,
    ) -> Result<u64, Error> {
        let tenant = self.tenant(&owner);
        let mut all = vec![Where::Is("owner", owner.clone())];
        Self::check(&Reach::Owner(owner))?;
        if let Some(session) = session {
            let Some(session) = Where::session(&session) else { return Ok(0) };
            all.push(session);
        }
        self.ready().await?;
        self.erase(tenant.as_deref(), &Where::All(all)).await
    }

    pub(in super::super) async fn expire(&self, before: UnixMillis) -> Result<u64, Error> {
        self.ready().await?;
        let filter = Where::Before(before);
        if !self.inner.tenants {
            return self.erase(None, &filter).await;
        }
        let mut gone = 0_u64;
        for tenant in self.tenants().await? {
            gone = gone.saturating_add(self.erase(Some(&tenant), &filter).await?);
        }
        Ok(gone)
    }

    /// Every tenant of the class. Weaviate gives them all at once, whatever it is asked for.
    pub(super) async fn tenants(&self) -> Result<Vec<String>, Error> {
        let path = format!("/v1/schema/{CLASS}/tenants");
        let answer = self.inner.http.ask(Method::GET, &path, None, None::<&Value>, READ).await?;
        let tenants: Vec<Tenant> = answer.json("the question for tenants")?;
        Ok(tenants.into_iter().map(|tenant| tenant.name).collect())
    }

    /// Erases what is so, in rounds: Weaviate takes out so many at once and no more.
    async fn erase(&self, tenant: Option<&str>, filter: &Where) -> Result<u64, Error> {
        let body = json!({
            "match": { "class": CLASS, "where": filter.json() }, "output": "minimal", "dryRun": false,
        });
        let path = "/v1/batch/objects";
        let mut gone = 0_u64;
        for _ in 0..ROUNDS {
            let answer = self.inner.http.ask(Method::DELETE, path, tenant, Some(&body), WRITE).await?;
            if answer.status == 422 && answer.said().contains("tenant not found") {
                return Ok(gone);
            }
            let Results { matches, successful, failed } = answer.json::<Erased>("an erasure")?.results;
            gone = gone.saturating_add(successful);
            if failed > 0 {
                return Err(Error::Unavailable(format!(
                    "Weaviate could not erase {failed} of {matches} events"
                )));
            }
            if matches == 0 {
                return Ok(gone);
            }
        }
        Err(Error::Unavailable(format!("there is more to erase than {gone} events: ask again")))
    }
}
