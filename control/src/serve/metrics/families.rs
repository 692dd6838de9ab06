//! The gateway's metrics by name: what they mean, which units they are told in, and control's own.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::memory;
use crate::outbox::Health;

/// What every name of the gateway's begins with.
pub(super) const PREFIX: &str = "attach_";

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It is set.
    Gauge,
    /// It is a distribution: `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    pub(super) fn read(word: &str) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Histogram].into_iter().find(|kind| kind.word() == word)
    }
}

/// What the filter's metrics mean, by the names that they have on the page.
const HELP: &[(&str, &str)] = &[
    (
        "attach_callout_failures_total",
        "Calls of the filter's own that got no good answer, by whom they were for.",
    ),
    ("attach_control_outbox_depth", "Events that control had still to send when the filter last asked it."),
    ("attach_denials_total", "Requests that were refused, by reason."),
    (
        "attach_memory_dropped_total",
        "Prompts and answers that nobody remembers, by reason: the filter had no room for more (full), control refused \
         them for good (rejected), or memory was turned off meanwhile (off).",
    ),
    ("attach_memory_events_total", "Prompts and answers that the filter took in to tell memory."),
    (
        "attach_memory_pool_bytes",
        "Memory of texts that the filter assembles or has still to tell memory, in bytes.",
    ),
    ("attach_outbox_depth", "Usage records in the filter's memory that have not been delivered."),
    ("attach_quota_held_tokens", "Tokens that are reserved for requests under way."),
    ("attach_requests_total", "Requests that were let through or refused, by outcome."),
    ("attach_streams_cut_total", "Streams that were ended where their budget was."),
    (
        "attach_time_to_first_token_seconds",
        "Time from a request for a stream to the first text of its answer, in seconds.",
    ),
    (
        "attach_token_count_drift_ratio",
        "How far the gateway's count of tokens is from the provider's, as a share of the latter.",
    ),
    ("attach_unlimited_calls_total", "Calls that went on although nobody could be asked about their limits."),
    (
        "attach_usage_records_dropped_total",
        "Usage records that went to nobody, by reason: the outbox was full, or control refused them for good.",
    ),
    (
        "attach_usage_records_total",
        "Model calls that were recorded, by who counted their tokens: the provider (reported), the gateway (counted) \
         or each in part (mixed).",
    ),
    (
        "attach_usage_tokens_total",
        "Tokens of model calls, by user, model and direction; user or model read other where there are too many.",
    ),
    ("attach_vm_memory_bytes", "Memory of the filter's VMs together, in bytes."),
    (
        "attach_vm_starts_total",
        "Filter VMs that began to serve; more than there are workers: some broke down and were loaded again.",
    ),
    (
        "attach_would_deny_total",
        "Requests that shadow mode let through and that would be refused otherwise, by reason.",
    ),
];

/// What stands there for a metric that is not known here: the filter is of another version.
pub(super) const OTHER_HELP: &str = "A metric of the gateway's filter.";

/// What a metric means.
pub(super) fn help(name: &str) -> &'static str {
    HELP.iter().find(|(known, _)| *known == name).map_or(OTHER_HELP, |(_, help)| *help)
}

/// How a metric is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Its name on the page.
    pub(super) name: String,
    /// Whether its values are thousandths of what the name says.
    pub(super) is_thousandths: bool,
}

/// How a metric of Envoy's page is told. The filter can only count whole numbers, so what is measured is told to
/// Envoy in thousandths; Prometheus wants seconds and shares.
pub(super) fn told(name: &str, kind: Kind) -> Told {
    const UNITS: [(&str, &str); 3] =
        [("_milliseconds", "_seconds"), ("_millis", "_seconds"), ("_permille", "_ratio")];
    let base = if kind == Kind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let unit = UNITS.iter().find_map(|(unit, told)| Some((base.strip_suffix(unit)?, *told)));
    let (base, unit) = unit.unwrap_or((base, ""));
    let total = if kind == Kind::Counter { "_total" } else { "" };
    Told { name: format!("{base}{unit}{total}"), is_thousandths: !unit.is_empty() }
}

/// What control says of itself.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Its version.
    pub(super) version: &'static str,
    /// How its outbox is.
    pub(super) outbox: Health,
    /// How memory is; none where nothing is remembered.
    pub(super) memory: Option<memory::Health>,
}

impl Own {
    /// Name, help, label and value of each; all are gauges.
    fn gauges(&self) -> impl Iterator<Item = (&'static str, &'static str, Cow<'static, str>, u64)> {
        let build = (
            "attach_build_info",
            "The version of the gateway's control service; the value is always 1.",
            Cow::Owned(format!("{{version=\"{}\"}}", self.version)),
            1,
        );
        let health = &self.outbox;
        let outbox = [
            ("attach_control_outbox_events", "Events that control has still to send.", health.outbox),
            (
                "attach_control_outbox_set_aside",
                "Events and usage records that nobody takes, kept with the reason.",
                health.set_aside,
            ),
            (
                "attach_control_outbox_oldest_seconds",
                "For how long the oldest of control's events has waited, in seconds.",
                health.oldest_seconds,
            ),
        ];
        let memory = self.memory.into_iter().flat_map(|memory::Health { direct, waiting, set_aside }| {
            [
                (
                    "attach_control_memory_direct",
                    "Whether Weaviate takes events from the filter itself (1) or they go through control (0).",
                    u64::from(direct),
                ),
                ("attach_control_memory_events", "Events that control has still to bring to memory.", waiting),
                (
                    "attach_control_memory_set_aside",
                    "Events that memory does not take, kept with the reason.",
                    set_aside,
                ),
            ]
        });
        let told = outbox.into_iter().chain(memory);
        let told = told.map(|(name, help, value)| (name, help, Cow::Borrowed(""), value));
        std::iter::once(build).chain(told)
    }

    /// Writes them; the names.
    pub(super) fn write(&self, page: &mut String) -> Vec<&'static str> {
        self.gauges()
            .map(|(name, help, label, value)| {
                head(page, name, help, Kind::Gauge);
                // Writing to a string cannot fail.
                let _ = writeln!(page, "{name}{label} {value}");
                name
            })
            .collect()
    }
}

/// What stands before a metric's samples. `help` has neither a line end nor a backslash.
pub(super) fn head(page: &mut String, name: &str, help: &str, kind: Kind) {
    let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_in_base_units_and_counters_end_as_they_should() {
        for (name, kind, expected, is_thousandths) in [
            ("attach_requests_total", Kind::Counter, "attach_requests_total", false),
            ("attach_requests", Kind::Counter, "attach_requests_total", false),
            ("attach_x_millis", Kind::Histogram, "attach_x_seconds", true),
            ("attach_x_milliseconds", Kind::Histogram, "attach_x_seconds", true),
            ("attach_x_milliseconds_total", Kind::Counter, "attach_x_seconds_total", true),
            ("attach_x_permille", Kind::Gauge, "attach_x_ratio", true),
            ("attach_permille_x", Kind::Gauge, "attach_permille_x", false),
            ("attach_vm_memory_bytes", Kind::Gauge, "attach_vm_memory_bytes", false),
        ] {
            assert_eq!(told(name, kind), Told { name: expected.to_owned(), is_thousandths }, "{name}");
        }
    }

    #[test]
    fn every_help_text_fits_on_its_line() {
        let (mut page, own) = (
            String::new(),
            Own { version: "1", outbox: Health::default(), memory: Some(memory::Health::default()) },
        );
        assert_eq!(own.write(&mut page).len(), 7);
        let own: Vec<_> = own.gauges().map(|(name, help, ..)| (name, help)).collect();
        for (name, help) in HELP.iter().chain(&own) {
            assert!(name.starts_with(PREFIX) && help.ends_with('.'), "{name}");
            assert!(!help.contains(['\n', '\\']) && !help.contains("  "), "{name}");
        }
        assert!(HELP.is_sorted(), "and is there once");
    }
}
