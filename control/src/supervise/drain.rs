//! Letting Envoy come to an end before it is ended.
//!
//! Envoy drops what it has when it gets SIGTERM: open requests, and what its workers have not yet told of those
//! that are over. So first nothing new is let in, then open requests may end, then usage records may leave and what
//! memory has still to be told. All of it is bounded, and whatever goes wrong here is no reason not to stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use url::Url;

use super::process::Record;
use crate::fetch::Fetcher;

/// How long open requests may take to end.
const OPEN: Duration = Duration::from_secs(10);
/// How long records may take to leave, once no request is open.
const RECORDS: Duration = Duration::from_secs(10);
/// After how long without requests a worker has certainly told Envoy that it has ever recorded one: it does so
/// every 200 ms.
const TOLD: Duration = Duration::from_millis(500);
/// After how long without requests a worker has certainly told Envoy how many records it keeps, which it does
/// every second, and given back what it leased of limits, which it does after one.
const BEAT: Duration = Duration::from_millis(2_000);
/// Between two looks.
const POLL: Duration = Duration::from_millis(50);

/// The statistics that are looked at: open requests of the gateway's own listener, what its filter still keeps, and
/// what it ever recorded.
const STATS: &str = "filter=%5E(http.gateway.downstream_rq_active|.*attach_outbox_depth|.*attach_memory_pool_bytes|.*attach_usage_records_total.*)$&format=text";

/// What Envoy has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    /// Requests that are not over.
    open: u64,
    /// Usage records that have not been delivered.
    kept: u64,
    /// Usage records that there ever were.
    recorded: u64,
    /// Bytes of what memory has still to be told.
    texts: u64,
}

/// Lets nothing new in and waits for the rest, as long as Envoy lives.
pub(super) async fn envoy(record: &Record) {
    // An Envoy without administration is none that `attach up` has started.
    let Some(port) = record.more_ports.first() else { return };
    let Ok(fetcher) = Fetcher::new(None) else { return };
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    let address = |path: &str| Url::parse(&format!("http://{admin}/{path}")).ok();
    let (Some(drain), Some(stats)) = (address("drain_listeners"), address(&format!("stats?{STATS}"))) else {
        return;
    };
    if fetcher.post_form(&drain, &[]).await.is_err() {
        return;
    }
    let start = Instant::now();
    let mut quiet_since = None;
    let mut load = Load::default();
    while record.is_running() {
        let Ok(answer) = fetcher.get(&stats, None).await else { return };
        load = read(&String::from_utf8_lossy(&answer.body));
        if load.open > 0 {
            quiet_since = None;
            if start.elapsed() >= OPEN {
                break;
            }
        } else {
            let quiet = quiet_since.get_or_insert_with(Instant::now).elapsed();
            if is_done(load, quiet) || start.elapsed() >= OPEN.saturating_add(RECORDS) || quiet >= RECORDS {
                break;
            }
        }
        sleep(POLL).await;
    }
    if load.open > 0 {
        eprintln!("{} open requests are cut off", load.open);
    }
    if load.kept > 0 {
        eprintln!("{} usage records could not be delivered: see `attach logs envoy`", load.kept);
    }
    if load.texts > 0 {
        eprintln!(
            "{} bytes of prompts and answers could not be told to memory: see `attach logs envoy`",
            load.texts
        );
    }
}

/// Whether nothing is left, as far as can be known after so long without requests.
fn is_done(load: Load, quiet: Duration) -> bool {
    load.kept == 0 && load.texts == 0 && quiet >= if load.recorded > 0 { BEAT } else { TOLD }
}

/// Reads `name: value` lines.
fn read(text: &str) -> Load {
    let mut load = Load::default();
    for line in text.lines() {
        let Some((name, value)) = line.rsplit_once(": ") else { continue };
        let Ok(value) = value.trim().parse::<u64>() else { continue };
        let total = if name.ends_with("downstream_rq_active") {
            &mut load.open
        } else if name.ends_with("attach_outbox_depth") {
            &mut load.kept
        } else if name.ends_with("attach_memory_pool_bytes") {
            &mut load.texts
        } else {
            &mut load.recorded
        };
        *total = total.saturating_add(value);
    }
    load
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoys_statistics_are_read() {
        let text = "http.gateway.downstream_rq_active: 2\nwasmcustom.attach_outbox_depth: 3\n\
                    wasmcustom.attach_usage_records_total;source=reported: 4\n\
                    wasmcustom.attach_usage_records_total;source=mixed: 1\nno line\nx: y\n\
                    wasmcustom.attach_memory_pool_bytes: 9\n";
        assert_eq!(read(text), Load { open: 2, kept: 3, recorded: 5, texts: 9 });
        assert_eq!(read(""), Load::default());
    }

    #[test]
    fn it_is_over_when_all_workers_must_have_said_so() {
        let load = |kept, recorded| Load { kept, recorded, ..Load::default() };
        let texts = Load { texts: 1, ..load(0, 7) };
        for (load, millis, expected) in [
            (load(0, 0), 400, false),
            (load(0, 0), 500, true),
            (load(0, 7), 1_900, false),
            (load(0, 7), 2_000, true),
            (load(1, 7), 60_000, false),
            (texts, 60_000, false),
        ] {
            assert_eq!(is_done(load, Duration::from_millis(millis)), expected, "{load:?} {millis}");
        }
    }
}
