//! Putting events into Weaviate.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use attach_core::mirror::{BATCH_PATH, MemoryEvent};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::Weaviate;
use super::http::{WRITE, harmless};
use crate::memory::terms::{Error, Reach, Record, Rejected};

/// The most objects of one request.
const OBJECTS: usize = 500;

/// A batch as Weaviate takes it.
#[derive(Serialize)]
struct Batch<'a> {
    objects: Vec<Put<'a>>,
}

#[derive(Serialize)]
struct Put<'a> {
    class: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
    properties: &'a MemoryEvent,
}

/// What became of an object.
#[derive(Deserialize)]
struct Taken {
    id: String,
    result: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    status: String,
    #[serde(default)]
    errors: Option<Errors>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    error: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    message: String,
}

/// What an object's error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Weaviate's: it may go later.
    Passing,
    /// The class is not the one that was prepared.
    Class,
    /// The vector's: without it the object may be taken.
    Vector,
    /// The object's.
    Object,
}

impl Weaviate {
    pub(in super::super) async fn put(&self, records: Vec<Record>) -> Result<Vec<Rejected>, Error> {
        self.ready().await?;
        let (records, unfit): (Vec<Record>, Vec<Record>) = records
            .into_iter()
            .partition(|record| Self::check(&Reach::Owner(record.object.properties.owner.clone())).is_ok());
        let mut rejected: Vec<Rejected> = unfit
            .into_iter()
            .map(|record| Rejected { id: record.object.id, error: "its owner has no such name".to_owned() })
            .collect();
        // What is left to do; a batch that is refused as a whole is halved until the bad one is alone.
        let mut left: Vec<&[Record]> = records.chunks(OBJECTS).rev().collect();
        while let Some(batch) = left.pop() {
            match self.put_batch(batch).await? {
                Ok(bad) => rejected.extend(bad),
                Err(error) => match batch {
                    [] => {}
                    [alone] => rejected.push(Rejected { id: alone.object.id.clone(), error }),
                    _ => {
                        let (first, second) = batch.split_at(batch.len() / 2);
                        left.push(second);
                        left.push(first);
                    }
                },
            }
        }
        Ok(rejected)
    }

    /// Those that are never taken; or why Weaviate took none of them.
    async fn put_batch(&self, records: &[Record]) -> Result<Result<Vec<Rejected>, String>, Error> {
        let mut rejected = match self.request(records, true).await? {
            Ok(rejected) => rejected,
            Err(error) => return Ok(Err(error)),
        };
        let misfit: Vec<Record> = records
            .iter()
            .filter(|record| {
                let is_it =
                    |(fault, bad): &(Fault, Rejected)| *fault == Fault::Vector && bad.id == record.object.id;
                record.vector.is_some() && rejected.iter().any(is_it)
            })
            .cloned()
            .collect();
        if !misfit.is_empty() {
            if !self.inner.told_of_vectors.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "the class MemoryEvent has vectors of another length than MEM_EMBED_MODEL's: events are kept \
                     without; they are found by their words"
                );
            }
            rejected.retain(|(_, bad)| !misfit.iter().any(|record| record.object.id == bad.id));
            match self.request(&misfit, false).await? {
                Ok(more) => rejected.extend(more),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(rejected.into_iter().map(|(_, bad)| bad).collect()))
    }

    async fn request(
        &self,
        records: &[Record],
        vectors: bool,
    ) -> Result<Result<Vec<(Fault, Rejected)>, String>, Error> {
        let objects = records.iter().map(|record| Put {
            class: &record.object.class,
            id: &record.object.id,
            // By the owner as it stands there, whatever whoever queued it was set to.
            tenant: self.tenant(&record.object.properties.owner),
            vector: record.vector.as_deref().filter(|_| vectors),
            properties: &record.object.properties,
        });
        let batch = Batch { objects: objects.collect() };
        let answer = self.inner.http.ask(Method::POST, BATCH_PATH, None, Some(&batch), WRITE).await?;
        match answer.status {
            200 => {}
            400 | 413 | 422 => {
                return match fault(&answer.said()) {
                    Fault::Passing => Err(Error::Unavailable(answer.reason())),
                    Fault::Class => Err(self.lost_class(&answer.reason())),
                    Fault::Vector | Fault::Object => {
                        Ok(Err(format!("Weaviate answers {}: {}", answer.status, answer.reason())))
                    }
                };
            }
            _ => return Err(answer.refusal("a batch")),
        }
        let taken: Vec<Taken> = answer.json("a batch")?;
        let mut by_id: BTreeMap<&str, &Outcome> = BTreeMap::new();
        for one in &taken {
            by_id.insert(&one.id, &one.result);
        }
        let some_taken = taken.iter().any(|one| one.result.status == "SUCCESS");
        let mut rejected = Vec::new();
        for record in records {
            let id = record.object.id.as_str();
            let Some(outcome) = by_id.get(id.to_lowercase().as_str()).or_else(|| by_id.get(id)) else {
                return Err(Error::Unavailable(
                    "Weaviate said nothing about some events of a batch".to_owned(),
                ));
            };
            if outcome.status == "SUCCESS" {
                continue;
            }
            let messages = outcome.errors.iter().flat_map(|errors| &errors.error);
            let said = messages.map(|message| message.message.as_str()).next().unwrap_or("no reason");
            let error = harmless(said);
            match fault(said) {
                // Whoever makes vectors is there, and will not take this one: it must not hold up the others.
                Fault::Passing if some_taken && is_unfit(said) => {
                    rejected.push((Fault::Object, Rejected { id: id.to_owned(), error }));
                }
                // All of it goes again: what was taken is overwritten with the same.
                Fault::Passing => return Err(Error::Unavailable(format!("Weaviate: {error}"))),
                Fault::Class => return Err(self.lost_class(&error)),
                fault => rejected.push((fault, Rejected { id: id.to_owned(), error })),
            }
        }
        Ok(Ok(rejected))
    }
}

/// What an object's error means. Weaviate gives no codes, so its words are all there is.
fn fault(said: &str) -> Fault {
    const CLASS: &[&str] =
        &["class not found", "not present in schema", "could not find class", "multi-tenancy"];
    const PASSING: &[&str] = &[
        "read-only",
        "read only",
        "readonly",
        "deadline",
        "timeout",
        "timed out",
        "connect",
        "leader",
        "not ready",
        "shutting down",
        "shut down",
        "shutdown",
        "unavailable",
        "not enough memory",
        "memory pressure",
        "no space",
        "disk",
        "context canceled",
        "eof",
        "too many requests",
        "rate limit",
        "not active",
        "add tenants",
        "raft",
        "replica",
        "vectorize",
    ];
    // Only Weaviate's own words, not what it quotes.
    let said = harmless(said).to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if said.starts_with("invalid ") || said.contains("in body") {
        Fault::Object
    } else if has(CLASS) {
        Fault::Class
    } else if said.contains("vector") && (said.contains("length") || said.contains("dimension")) {
        Fault::Vector
    } else if has(PASSING) {
        Fault::Passing
    } else {
        Fault::Object
    }
}

/// Whether whoever makes vectors for Weaviate says that it is the text's fault. A wrong setting may be told in the same
/// way: it is the text's only where others of the same batch were taken.
fn is_unfit(said: &str) -> bool {
    let said = harmless(said).to_lowercase();
    ["400", "413", "422"].iter().any(|status| {
        said.contains(&format!("with status: {status}")) || said.contains(&format!("with status {status}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_weaviates_or_the_vectors_or_the_objects() {
        for (said, expected) in [
            ("invalid date property 'timestamp' on class 'MemoryEvent': requires…", Fault::Object),
            ("body.objects.1.id in body must be of type uuid: \"timeout\"", Fault::Object),
            ("something nobody has heard of", Fault::Object),
            ("store is read-only due to: disk usage too high", Fault::Passing),
            ("shard: context deadline exceeded", Fault::Passing),
            ("put object: connect: connection refused", Fault::Passing),
            ("auto create tenants: add tenants to class \"MemoryEvent\": leader not found", Fault::Passing),
            ("class MemoryEvent has multi-tenancy disabled, but request was with tenant", Fault::Class),
            (
                "insert to vector index: new node has a vector with length 3. Existing nodes have vectors with length 4",
                Fault::Vector,
            ),
            ("vector lengths don't match: 3 vs 4", Fault::Vector),
        ] {
            assert_eq!(fault(said), expected, "{said}");
        }
    }
}
