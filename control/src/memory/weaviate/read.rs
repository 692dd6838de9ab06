//! Reading events from Weaviate.

use attach_core::clock::UnixMillis;
use attach_core::clock::date::{self, LAST_MILLISECOND};
use attach_core::mirror::{CLASS, MemoryEvent};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::super::is_uuid;
use super::Weaviate;
use super::graphql::{Get, MOST, Order, Where};
use super::http::{READ, harmless};
use crate::clock::unix_now_millis;
use crate::memory::terms::{Error, Page, Reach, Stored};

/// The most tenants that are asked for one answer.
const MAX_TENANTS: usize = 1000;
/// How many of them at once.
const AT_ONCE: usize = 4;
/// How far back a page is looked for before everything is: Weaviate reads all that it sorts.
const WINDOWS: [u64; 2] = [86_400_000, 30 * 86_400_000];
/// The longest query, in bytes.
const MAX_QUERY: usize = 4096;

impl Weaviate {
    pub(in super::super) async fn list(&self, reach: Reach, page: Page) -> Result<Vec<Stored>, Error> {
        let Page { limit, before, session } = page;
        let mut all = Vec::new();
        if let Some((at, id)) = &before {
            let in_that_moment = vec![Where::In(*at), Where::IdBelow(id.to_lowercase())];
            all.push(Where::Any(vec![Where::Before(*at), Where::All(in_that_moment)]));
        }
        let is_narrow = session.is_some();
        if let Some(session) = session {
            let Some(session) = Where::session(&session) else { return Ok(Vec::new()) };
            all.push(session);
        }
        let limit = limit.min(MOST);
        let windows = if is_narrow || reach == Reach::Everyone { &[][..] } else { &WINDOWS[..] };
        let newest = before.map_or_else(unix_now_millis, |(at, _)| at.0);
        let order = |mut found: Vec<Stored>| {
            found.sort_by(newer);
            found.truncate(limit);
            found
        };
        for window in windows {
            let mut all = all.clone();
            all.push(Where::Since(UnixMillis(newest.saturating_sub(*window))));
            let found = self.ask(&reach, all, Order::Newest, limit).await?;
            if found.len() >= limit {
                return Ok(order(found));
            }
        }
        Ok(order(self.ask(&reach, all, Order::Newest, limit).await?))
    }

    pub(in super::super) async fn search(
        &self,
        reach: Reach,
        query: String,
        vector: Option<Vec<f32>>,
        limit: usize,
    ) -> Result<Vec<Stored>, Error> {
        let mut query = query;
        query.truncate(query.floor_char_boundary(MAX_QUERY));
        if query.trim().is_empty() {
            return Ok(Vec::new());
        }
        let order = match vector.filter(|vector| !vector.is_empty()) {
            Some(vector) => Order::Hybrid(query.clone(), vector),
            None => Order::Words(query.clone()),
        };
        let is_hybrid = matches!(order, Order::Hybrid(..));
        let limit = limit.min(MOST);
        let found = self.ask(&reach, Vec::new(), order, limit).await;
        let mut found = match found {
            // The vectors that are there may be another model's: by its words an event is found all the same.
            Err(Error::Refused(why)) if is_hybrid && why.contains("vector") => {
                self.ask(&reach, Vec::new(), Order::Words(query), limit).await?
            }
            found => found?,
        };
        found.truncate(limit);
        Ok(found)
    }

    pub(in super::super) async fn get(&self, reach: Reach, id: String) -> Result<Option<Stored>, Error> {
        Self::check(&reach)?;
        let id = id.to_lowercase();
        if !is_uuid(&id) {
            return Ok(None);
        }
        self.ready().await?;
        let tenants = match &reach {
            Reach::Owner(owner) => vec![self.tenant(owner)],
            Reach::Everyone => self.everywhere().await?,
        };
        let path = &format!("/v1/objects/{CLASS}/{id}");
        for tenant in tenants {
            let answer =
                self.inner.http.ask(Method::GET, path, tenant.as_deref(), None::<&Value>, READ).await?;
            if answer.status == 404 || answer.status == 422 && answer.said().contains("tenant not found") {
                continue;
            }
            let value: Value = answer.json("the question for an event")?;
            let Some(stored) = value.get("properties").and_then(|properties| stored(&id, properties)) else {
                continue;
            };
            return Ok(Some(stored).filter(|stored| is_within(&reach, stored)));
        }
        Ok(None)
    }

    /// Asks where events within reach lie; of several tenants' the first that are asked for.
    async fn ask(
        &self,
        reach: &Reach,
        mut all: Vec<Where>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Stored>, Error> {
        Self::check(reach)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.ready().await?;
        let tenants = match reach {
            Reach::Owner(owner) => {
                all.insert(0, Where::Is("owner", owner.clone()));
                vec![self.tenant(owner)]
            }
            Reach::Everyone => self.everywhere().await?,
        };
        let filter = match all.len() {
            0 => None,
            1 => all.pop(),
            _ => Some(Where::All(all)),
        };
        let gets = tenants.into_iter().map(|tenant| Get {
            limit,
            tenant,
            filter: filter.clone(),
            order: order.clone(),
        });
        let mut answers = stream::iter(gets.map(|get| self.one(get))).buffered(AT_ONCE);
        // With its place in its own answer. Of a thousand tenants' pages no more than one is kept.
        let mut found: Vec<(usize, Stored)> = Vec::new();
        while let Some(answer) = answers.try_next().await? {
            found.extend(answer.into_iter().filter(|stored| is_within(reach, stored)).enumerate());
            match order {
                Order::Newest => found.sort_by(|(_, a), (_, b)| newer(a, b)),
                // In turns: the best of each, then the second of each.
                Order::Words(_) | Order::Hybrid(..) => found.sort_by_key(|(place, _)| *place),
            }
            found.truncate(limit);
        }
        let found = found.into_iter().map(|(_, stored)| stored).collect();
        Ok(found)
    }

    async fn everywhere(&self) -> Result<Vec<Option<String>>, Error> {
        if !self.inner.tenants {
            return Ok(vec![None]);
        }
        let tenants = self.tenants().await?;
        if tenants.len() > MAX_TENANTS {
            return Err(Error::Refused(format!(
                "there are {} tenants, and everybody's memory is read from {MAX_TENANTS} at most (WEAVIATE_TENANCY): \
                 ask for one user's",
                tenants.len()
            )));
        }
        Ok(tenants.into_iter().map(Some).collect())
    }

    /// Asks one question.
    async fn one(&self, get: Get) -> Result<Vec<Stored>, Error> {
        let body = json!({ "query": get.text() });
        let answer = self.inner.http.ask(Method::POST, "/v1/graphql", None, Some(&body), READ).await?;
        if answer.status == 422 && answer.said().contains("no graphql provider") {
            // There is no class at all.
            return Err(self.lost_class(&answer.reason()));
        }
        let mut value: Value = answer.json("a question")?;
        if let Some(message) = value.pointer("/errors/0/message").and_then(Value::as_str) {
            return self.failed(message);
        }
        let Some(Value::Array(rows)) = value.pointer_mut(&format!("/data/Get/{CLASS}")).map(Value::take)
        else {
            return Err(Error::Unavailable("Weaviate's answer to a question is none".to_owned()));
        };
        let row = |row: &Value| stored(row.pointer("/_additional/id").and_then(Value::as_str)?, row);
        Ok(rows.iter().filter_map(row).collect())
    }

    fn failed(&self, message: &str) -> Result<Vec<Stored>, Error> {
        if message.contains("tenant not found") {
            // Nobody has said anything there.
            return Ok(Vec::new());
        }
        let reason = harmless(message);
        if message.contains("only stopwords provided") {
            return Err(Error::Refused(
                "the class MemoryEvent takes the user's name for a stop word: set its \
                 invertedIndexConfig.stopwords.preset to none"
                    .to_owned(),
            ));
        }
        if message.contains("Cannot query field") || message.contains("multi-tenancy") {
            return Err(self.lost_class(&reason));
        }
        Err(Error::Refused(format!("Weaviate: {reason}")))
    }
}

/// The order of a page.
fn newer(a: &Stored, b: &Stored) -> core::cmp::Ordering {
    (b.event.timestamp, &b.id).cmp(&(a.event.timestamp, &a.id))
}

/// Weaviate compares what it has made of a name; here it is the name itself that counts.
fn is_within(reach: &Reach, stored: &Stored) -> bool {
    match reach {
        Reach::Owner(owner) => stored.event.owner == *owner,
        Reach::Everyone => true,
    }
}

/// An event of whoever wrote it: properties may be missing, null or of another type.
fn stored(id: &str, properties: &Value) -> Option<Stored> {
    let properties: &Map<String, Value> = properties.as_object()?;
    let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |name: &str| {
        let value = properties.get(name);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let rounded = || value.and_then(Value::as_f64).map(|number| number as u64);
        value.and_then(Value::as_u64).or_else(rounded).unwrap_or_default()
    };
    let time = properties.get("timestamp").and_then(Value::as_str).and_then(date::parse).unwrap_or_default();
    let event = MemoryEvent {
        timestamp: UnixMillis(time.min(LAST_MILLISECOND)),
        event: text("event"),
        session_id: text("session_id"),
        user: text("user"),
        owner: text("owner"),
        agent: text("agent"),
        task_id: text("task_id"),
        role: text("role"),
        content: text("content"),
        truncated: properties.get("truncated").and_then(Value::as_bool).unwrap_or_default(),
        model: text("model"),
        tokens: number("tokens"),
        request_id: text("request_id"),
        state: text("state"),
        run_id: text("run_id"),
        level: text("level"),
    };
    Some(Stored { id: id.to_owned(), event })
}
