//! What a worker counts: requests only touch its memory, the root tells the host a few times a second.

use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::UsageRecord;
use super::fleet::{self, Levels};
use super::instrument::{Counter, Gauge, Histogram, MetricHost};
use super::series::{self, Series};
use crate::clock::UnixMillis;
use crate::llm::usage::Source;

/// How often the host is told.
pub const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// Whom a call from the filter itself was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Callout {
    /// Control.
    Control,
    /// OpenMeter.
    OpenMeter,
    /// Weaviate.
    Weaviate,
    /// Whoever publishes keys.
    Keys,
    /// A token endpoint.
    Exchange,
}

impl Callout {
    const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::OpenMeter => "openmeter",
            Self::Weaviate => "weaviate",
            Self::Keys => "keys",
            Self::Exchange => "exchange",
        }
    }
}

/// Why a usage record goes to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// The outbox was full, and the route lets calls go on then.
    Full,
    /// Control said that it will never take it.
    Rejected,
}

/// Why an event of a call is not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forgotten {
    /// There was no room left for it: neither Weaviate nor control takes events, or not fast enough.
    Full,
    /// Control said that it will never take it.
    Rejected,
    /// It came from before a configuration without memory.
    Off,
}

/// What a flush found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Whether it is this worker's turn to ask control how it is doing.
    pub asks_control: bool,
}

/// The metrics of one worker.
#[derive(Debug, Default)]
pub struct Tally(RefCell<Counts>);

#[derive(Debug)]
struct Counts {
    series: Series,
    max_series: u32,
    counters: BTreeMap<(&'static str, &'static str), Counter>,
    first_token: Histogram,
    drift: Histogram,
    held: i64,
    gauges: [Gauge; 4],
    control_depth: Gauge,
    flushed_at: UnixMillis,
    beaten_at: UnixMillis,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            series: Series::default(),
            max_series: 0,
            counters: BTreeMap::new(),
            first_token: Histogram::new("attach_time_to_first_token_millis"),
            drift: Histogram::new("attach_token_count_drift_permille"),
            held: 0,
            gauges: [
                "attach_quota_held_tokens",
                "attach_outbox_depth",
                "attach_vm_memory_bytes",
                "attach_memory_pool_bytes",
            ]
            .map(Gauge::new),
            control_depth: Gauge::new("attach_control_outbox_depth"),
            flushed_at: UnixMillis(0),
            beaten_at: UnixMillis(0),
        }
    }
}

impl Tally {
    /// Makes what workers share, which must be there before they compete for it; what is there stays. `seed`
    /// is random.
    pub fn prepare(host: &dyn MetricHost, seed: u64) {
        for (key, value) in [(series::KEY, series::empty(seed)), (fleet::KEY, Vec::new())] {
            if host.shared(key).1.is_none() {
                host.set_shared(key, &value, None);
            }
        }
    }

    /// At most so many series of token counters may exist in this Envoy; 0: none are kept.
    pub fn set_max_series(&self, most: u32) {
        self.with(|counts| counts.max_series = most);
    }

    /// Tokens of a call, by user and model.
    pub fn usage(&self, user: &str, model: &str, input: u64, output: u64) {
        self.with(|counts| {
            if counts.max_series > 0 {
                counts.series.count(user, model, input, output);
            }
        });
    }

    /// A usage record: its tokens, and who counted them.
    pub fn recorded(&self, record: &UsageRecord) {
        self.usage(&record.user, &record.model, record.input, record.output);
        let source = match record.source {
            Source::Reported => ";source=reported",
            Source::Counted => ";source=counted",
            Source::Mixed => ";source=mixed",
        };
        self.count("attach_usage_records_total", source, 1);
    }

    /// A request was let through.
    pub fn allowed(&self) {
        self.count("attach_requests_total", ";outcome=allowed", 1);
    }

    /// A request was refused; `code` is the reason's in the log, one of a fixed set.
    pub fn denied(&self, code: &'static str) {
        self.count("attach_requests_total", ";outcome=denied", 1);
        self.count("attach_denials_total;reason=", code, 1);
    }

    /// A call went on although nobody could be asked about its limits.
    pub fn unlimited(&self) {
        self.count("attach_unlimited_calls_total", "", 1);
    }

    /// A stream was ended where its budget did.
    pub fn cut(&self) {
        self.count("attach_streams_cut_total", "", 1);
    }

    /// Both counts of the same text: by how much of the reported one they are apart. Envoy's buckets are
    /// close together near 0 and far apart near 1000, so it is this and not the one as a share of the other.
    pub fn drift(&self, counted: u64, reported: u64) {
        if let Some(permille) = apart(counted, reported) {
            self.with(|counts| counts.drift.observe(permille));
        }
    }

    /// The first text of an answer came so long after its request, in milliseconds.
    pub fn first_token(&self, millis: u64) {
        self.with(|counts| counts.first_token.observe(millis));
    }

    /// So many more tokens are reserved for requests under way, or fewer.
    pub fn held(&self, delta: i64) {
        self.with(|counts| counts.held = counts.held.saturating_add(delta));
    }

    /// A call of the filter's own got no good answer.
    pub fn callout_failed(&self, callout: Callout) {
        self.count("attach_callout_failures_total;name=", callout.name(), 1);
    }

    /// Usage records that go to nobody.
    pub fn lost(&self, why: Lost, records: u64) {
        let why = match why {
            Lost::Full => ";reason=full",
            Lost::Rejected => ";reason=rejected",
        };
        self.count("attach_usage_records_dropped_total", why, records);
    }

    /// So many events of calls are on their way to memory.
    pub fn remembered(&self, events: u64) {
        self.count("attach_memory_events_total", "", events);
    }

    /// Events of calls that nobody remembers.
    pub fn forgotten(&self, why: Forgotten, events: u64) {
        let why = match why {
            Forgotten::Full => ";reason=full",
            Forgotten::Rejected => ";reason=rejected",
            Forgotten::Off => ";reason=off",
        };
        self.count("attach_memory_dropped_total", why, events);
    }

    /// A VM has begun to serve requests.
    pub fn vm_started(&self) {
        self.count("attach_vm_starts_total", "", 1);
    }

    /// How many events control still has to send.
    pub fn control_depth(&self, host: &dyn MetricHost, depth: u64) {
        self.with(|counts| counts.control_depth.set(host, depth));
    }

    /// Tells the host, if it is time. `levels` is what this worker has, without what is held; `None`: it has
    /// served nothing yet. `worker` is its own.
    pub fn flush(
        &self,
        host: &dyn MetricHost,
        worker: u64,
        levels: Option<Levels>,
        now: UnixMillis,
    ) -> Flushed {
        let Ok(mut counts) = self.0.try_borrow_mut() else { return Flushed::default() };
        if is_early(counts.flushed_at, FLUSH_EVERY, now) {
            return Flushed::default();
        }
        counts.flushed_at = now;
        let most = counts.max_series;
        counts.series.flush(host, most);
        for ((name, label), counter) in &mut counts.counters {
            if counter.is_pending() {
                counter.flush_as(host, || format!("{name}{label}"));
            }
        }
        counts.first_token.flush(host);
        counts.drift.flush(host);
        if is_early(counts.beaten_at, Duration::from_millis(fleet::BEAT_MILLIS), now) {
            return Flushed::default();
        }
        counts.beat(host, worker, levels, now)
    }

    /// The worker goes: what it has counted is told, what it holds counts no more.
    pub fn close(&self, host: &dyn MetricHost, worker: u64, now: UnixMillis) {
        self.with(|counts| (counts.flushed_at, counts.beaten_at) = <_>::default());
        self.flush(host, worker, None, now);
    }

    fn count(&self, name: &'static str, label: &'static str, amount: u64) {
        self.with(|counts| counts.counters.entry((name, label)).or_default().add(amount));
    }

    /// Nothing that is called while it is borrowed calls back.
    fn with(&self, change: impl FnOnce(&mut Counts)) {
        if let Ok(mut counts) = self.0.try_borrow_mut() {
            change(&mut counts);
        }
    }
}

impl Counts {
    /// Says what this worker has, and sets the gauges to what all have. If another worker was first, this one
    /// says so at the next flush.
    fn beat(
        &mut self,
        host: &dyn MetricHost,
        worker: u64,
        levels: Option<Levels>,
        now: UnixMillis,
    ) -> Flushed {
        let (value, Some(version)) = host.shared(fleet::KEY) else { return Flushed::default() };
        // Settled before it was counted, it would be less than nothing.
        let held = u64::try_from(self.held).unwrap_or(0);
        let levels = levels.map(|levels| Levels { held, ..levels });
        let beat = fleet::beat(&value.unwrap_or_default(), worker, levels, now);
        if !host.set_shared(fleet::KEY, &beat.value, Some(version)) {
            return Flushed::default();
        }
        self.beaten_at = now;
        let totals = [beat.totals.held, beat.totals.depth, beat.totals.memory, beat.totals.pool];
        for (gauge, total) in self.gauges.iter_mut().zip(totals) {
            gauge.set(host, total);
        }
        Flushed { asks_control: beat.asks }
    }
}

/// The difference of two counts in thousandths of the second; `None` if that is 0.
fn apart(counted: u64, reported: u64) -> Option<u64> {
    counted.abs_diff(reported).saturating_mul(1000).checked_div(reported)
}

/// Whether less than that has passed; a clock that was set back ends the wait.
fn is_early(last: UnixMillis, every: Duration, now: UnixMillis) -> bool {
    last <= now && now < last.after(every)
}

#[cfg(test)]
mod tests;
