//! OpenMeter's side: one request, and what its answer means for the events in it.

use std::time::Duration;

use attach_core::meter::cloud_event::{BATCH_CONTENT_TYPE, INGEST_PATH};
use url::Url;

use super::receive::{Batch, Event, Receive, Verdict};
use crate::fetch;
use crate::settings::Secret;

/// The most bytes of a refusal that are read.
const MAX_REASON: usize = 300;

/// Where events go.
#[derive(Clone)]
pub struct Receiver {
    url: Url,
    key: Secret,
    http: reqwest::Client,
}

impl Receiver {
    /// OpenMeter at `OPENMETER_URL`, asked with `OPENMETER_API_KEY` through a client of [`fetch`]'s rules.
    #[must_use]
    pub fn new(url: &Url, key: Secret, http: reqwest::Client) -> Self {
        let mut url = url.clone();
        let path = format!("{}{INGEST_PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Self { url, key, http }
    }
}

impl Receive for Receiver {
    const EVENTS: &'static str = "usage events";

    fn batch(&self) -> Batch {
        Batch { events: 500, bytes: 512 * 1024 }
    }

    async fn send(&self, events: &[Event]) -> Verdict {
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", BATCH_CONTENT_TYPE)
            .bearer_auth(self.key.expose())
            .body(array(events));
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return later("no answer in time", None),
            Err(error) => return later(&fetch::root_cause(&error), None),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok());
        match status {
            400 | 413 | 422 => judge(status, retry_after, &reason(response).await),
            _ => judge(status, retry_after, ""),
        }
    }

    fn shown(&self) -> String {
        format!("{}{}", self.url.origin().ascii_serialization(), self.url.path())
    }
}

/// Events, JSON each, as one array.
fn array(events: &[Event]) -> String {
    let mut json = String::from("[");
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        json.push_str(&event.payload);
    }
    json.push(']');
    json
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Receiver").field(&self.shown()).finish()
    }
}

fn later(why: &str, seconds: Option<u64>) -> Verdict {
    Verdict::Later(
        format!("{why}; check OPENMETER_URL and the network"),
        Duration::from_secs(seconds.unwrap_or_default()),
    )
}

/// A refusal that is about where or who and not about what leaves every event as good as it was; setting aside
/// what a wrong address refuses would empty the queue into a drawer.
fn judge(status: u16, retry_after: Option<u64>, reason: &str) -> Verdict {
    let answered = format!("OpenMeter answers {status}");
    let wrong = |setting: &str| Verdict::Misconfigured(format!("{answered}: correct {setting}"));
    match status {
        200..=299 => Verdict::Delivered,
        401 | 403 => wrong("OPENMETER_API_KEY"),
        300..=399 | 404 | 405 | 407 | 415 | 421 | 426 => wrong("OPENMETER_URL"),
        402 => wrong("the account behind OPENMETER_API_KEY"),
        408 | 409 | 425 | 429 => later(&answered, retry_after),
        400..=499 => {
            let reason = reason.trim();
            Verdict::Refused(if reason.is_empty() { answered } else { format!("{answered}: {reason}") })
        }
        _ => later(&answered, retry_after),
    }
}

/// The beginning of what it says, as text that can stand in a log.
async fn reason(mut response: reqwest::Response) -> String {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() >= MAX_REASON {
            break;
        }
    }
    let text = String::from_utf8_lossy(read.get(..MAX_REASON).unwrap_or(&read));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_becomes_of_the_events() {
        let setting = |verdict: &Verdict| match verdict {
            Verdict::Misconfigured(text) => text.split("correct ").nth(1).unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        for status in [200, 202, 204] {
            assert_eq!(judge(status, None, ""), Verdict::Delivered);
        }
        for (status, names) in [
            (401, "OPENMETER_API_KEY"),
            (403, "OPENMETER_API_KEY"),
            (404, "OPENMETER_URL"),
            (301, "OPENMETER_URL"),
            (405, "OPENMETER_URL"),
        ] {
            assert_eq!(setting(&judge(status, None, "")), names, "{status}");
        }
        for status in [100, 408, 409, 425, 429, 500, 502, 503, 599, 999] {
            let expected = Duration::from_secs(7);
            assert!(
                matches!(judge(status, Some(7), ""), Verdict::Later(_, after) if after == expected),
                "{status}"
            );
        }
        assert_eq!(judge(422, None, ""), Verdict::Refused("OpenMeter answers 422".to_owned()));
        for status in [400, 410, 413, 422, 431, 451] {
            assert_eq!(
                judge(status, None, " no "),
                Verdict::Refused(format!("OpenMeter answers {status}: no"))
            );
        }
    }

    #[test]
    fn events_go_below_the_address_that_is_set() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for (set, expected) in [
            ("https://openmeter.cloud", "https://openmeter.cloud/api/v1/events"),
            ("https://openmeter.cloud/", "https://openmeter.cloud/api/v1/events"),
            ("http://u:p@127.0.0.1:8888/om/", "http://127.0.0.1:8888/om/api/v1/events"),
        ] {
            let key = Secret::new("hunter2".to_owned());
            let client = fetch::client(None, Duration::from_secs(1)).unwrap();
            let receiver = Receiver::new(&Url::parse(set).unwrap(), key, client);
            assert_eq!(receiver.shown(), expected);
            let debug = format!("{receiver:?}");
            assert!(!debug.contains("hunter2") && !debug.contains("u:p"), "{debug}");
        }
    }
}
