//! Where prompts and answers are remembered, and whether that place is there.

use super::{Check, Outcome, check};
use crate::fetch::Fetcher;
use crate::settings::{Settings, Weaviate};

/// Says what is set, and looks whether Weaviate is there.
pub(super) async fn checks(settings: &Settings, fetcher: &Fetcher) -> Vec<Check> {
    let mut checks = vec![check("memory", Outcome::Ok, settings.memory.in_words())];
    if let Some(weaviate) = settings.memory.weaviate() {
        checks.push(ready(weaviate, fetcher).await);
    }
    checks
}

/// While it is down, events wait in control's outbox: nothing is lost, and nobody is refused.
async fn ready(weaviate: &Weaviate, fetcher: &Fetcher) -> Check {
    let name = "weaviate";
    let url = &weaviate.url;
    let at = crate::discover::engine::below(url, "/v1/.well-known/ready");
    match fetcher.get(&at, None).await {
        Ok(answer) if (200..300).contains(&answer.status) => {
            check(name, Outcome::Ok, format!("{url} is ready"))
        }
        Ok(answer) => {
            let detail = format!("{url} answers {} and is not ready; events wait until it is", answer.status);
            check(name, Outcome::Warn, detail)
        }
        Err(why) => check(
            name,
            Outcome::Warn,
            format!("{url}: {why}; events wait until it answers; check WEAVIATE_URL"),
        ),
    }
}
