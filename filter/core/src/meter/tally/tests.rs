use super::*;
use crate::meter::instrument::Kind;
use crate::meter::instrument::fake::FakeHost;

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn at(millis: u64) -> UnixMillis {
    UnixMillis(START.0 + millis)
}

fn ready() -> FakeHost {
    let host = FakeHost::new();
    Tally::prepare(&host, 7);
    host
}

fn levels(vm: u64) -> Option<Levels> {
    Some(Levels { vm, depth: 2, memory: 65_536, pool: 512, ..Levels::default() })
}

fn everything(tally: &Tally) {
    tally.usage("anna", "gpt-4o", 10, 5);
    tally.allowed();
    tally.allowed();
    tally.denied("expired");
    tally.drift(99, 100);
    tally.drift(5, 0);
    tally.first_token(120);
    tally.held(300);
    tally.held(-100);
    tally.callout_failed(Callout::Control);
    tally.callout_failed(Callout::OpenMeter);
    tally.callout_failed(Callout::Weaviate);
    tally.remembered(4);
    tally.forgotten(Forgotten::Full, 3);
    tally.forgotten(Forgotten::Rejected, 1);
    tally.forgotten(Forgotten::Off, 2);
    tally.lost(Lost::Full, 2);
    tally.vm_started();
}

#[test]
fn requests_touch_memory_alone_and_a_flush_tells_everything() {
    let (host, tally) = (ready(), Tally::default());
    tally.set_max_series(100);
    let before = host.calls.get();
    everything(&tally);
    assert_eq!(host.calls.get(), before);
    tally.flush(&host, 1, levels(1), START);
    for (name, expected) in [
        ("attach_usage_tokens_total;user=anna;model=gpt-4o;direction=in", 10),
        ("attach_usage_tokens_total;user=anna;model=gpt-4o;direction=out", 5),
        ("attach_requests_total;outcome=allowed", 2),
        ("attach_requests_total;outcome=denied", 1),
        ("attach_denials_total;reason=expired", 1),
        ("attach_token_count_drift_permille", 1),
        ("attach_time_to_first_token_millis", 1),
        ("attach_quota_held_tokens", 200),
        ("attach_callout_failures_total;name=control", 1),
        ("attach_callout_failures_total;name=openmeter", 1),
        ("attach_callout_failures_total;name=weaviate", 1),
        ("attach_memory_events_total", 4),
        ("attach_memory_dropped_total;reason=full", 3),
        ("attach_memory_dropped_total;reason=rejected", 1),
        ("attach_memory_dropped_total;reason=off", 2),
        ("attach_memory_pool_bytes", 512),
        ("attach_usage_records_dropped_total;reason=full", 2),
        ("attach_vm_starts_total", 1),
        ("attach_outbox_depth", 2),
        ("attach_vm_memory_bytes", 65_536),
    ] {
        assert_eq!(host.value(name), Some(expected), "{name}");
    }
    assert_eq!(host.values.borrow().len(), 20);
}

#[test]
fn the_host_is_told_five_times_a_second_and_nothing_twice() {
    let (host, tally) = (ready(), Tally::default());
    tally.allowed();
    tally.flush(&host, 1, None, START);
    tally.allowed();
    let before = host.calls.get();
    tally.flush(&host, 1, None, at(199));
    assert_eq!(host.calls.get(), before);
    tally.flush(&host, 1, None, at(200));
    tally.flush(&host, 1, None, at(400));
    assert_eq!(host.calls.get(), before + 1, "a counter is made once, and told when there is news");
    assert_eq!(host.value("attach_requests_total;outcome=allowed"), Some(2));
}

#[test]
fn without_a_metric_to_be_had_counts_wait() {
    let (host, tally) = (ready(), Tally::default());
    tally.set_max_series(100);
    host.has_metrics.set(false);
    everything(&tally);
    tally.flush(&host, 1, None, START);
    host.has_metrics.set(true);
    everything(&tally);
    tally.flush(&host, 1, None, at(200));
    assert_eq!(host.value("attach_requests_total;outcome=allowed"), Some(4));
    assert_eq!(host.value("attach_usage_tokens_total;user=anna;model=gpt-4o;direction=in"), Some(20));
}

#[test]
fn gauges_add_up_over_workers_and_forget_one_that_went() {
    let host = ready();
    let (one, two) = (Tally::default(), Tally::default());
    one.held(100);
    two.held(50);
    assert!(one.flush(&host, 1, levels(1), START).asks_control);
    assert!(!two.flush(&host, 2, levels(2), START).asks_control, "one of them is enough");
    assert_eq!(host.value("attach_quota_held_tokens"), Some(150));
    two.held(-20);
    two.flush(&host, 2, levels(2), at(1_000));
    assert_eq!(host.value("attach_quota_held_tokens"), Some(130));
    one.close(&host, 1, at(1_100));
    two.flush(&host, 2, levels(2), at(2_000));
    assert_eq!(host.value("attach_quota_held_tokens"), Some(30));
    assert_eq!(host.value("attach_vm_memory_bytes"), Some(65_536));
    two.held(-500);
    two.flush(&host, 2, levels(2), at(3_000));
    assert_eq!(host.value("attach_quota_held_tokens"), Some(0));
}

#[test]
fn a_worker_that_was_not_first_says_so_at_the_next_flush() {
    let (host, tally) = (ready(), Tally::default());
    tally.held(1);
    host.losing.set(1);
    assert!(!tally.flush(&host, 1, levels(1), START).asks_control);
    assert_eq!(host.value("attach_quota_held_tokens"), None);
    assert!(tally.flush(&host, 1, levels(1), at(200)).asks_control);
    assert_eq!(host.value("attach_quota_held_tokens"), Some(1));
}

#[test]
fn drift_is_the_difference_in_thousandths_of_what_was_reported() {
    for (counted, reported, expected) in [
        (100, 100, Some(0)),
        (99, 100, Some(10)),
        (150, 100, Some(500)),
        (0, 100, Some(1000)),
        (5, 0, None),
        (u64::MAX, 1, Some(u64::MAX)),
    ] {
        assert_eq!(apart(counted, reported), expected, "{counted} of {reported}");
    }
}

#[test]
fn a_histogram_keeps_so_many_values_and_no_more() {
    let (host, tally) = (ready(), Tally::default());
    for millis in 0..10_000 {
        tally.first_token(millis);
    }
    tally.flush(&host, 1, None, START);
    assert_eq!(host.value("attach_time_to_first_token_millis"), Some(2_048));
}

/// What Prometheus's own linter asks of names, and that Envoy's rules find every label.
#[test]
fn names_are_as_prometheus_wants_them_and_labels_are_known() {
    let (host, tally) = (ready(), Tally::default());
    tally.set_max_series(100);
    everything(&tally);
    tally.control_depth(&host, 3);
    tally.flush(&host, 1, levels(1), START);
    for (kind, name) in host.names.borrow().iter() {
        let mut parts = name.split(';');
        let base = parts.next().unwrap();
        assert!(base.starts_with("attach_") && base.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert_eq!(*kind == Kind::Counter, base.ends_with("_total"), "{base}");
        for unit in ["milliseconds", "ms", "kilobytes", "minutes", "count", "bucket", "sum"] {
            assert!(!base.ends_with(&format!("_{unit}")), "{base}");
        }
        for part in parts {
            let (label, value) = part.split_once('=').unwrap();
            assert!(crate::meter::label::NAMES.contains(&label), "{label}");
            assert!(!value.is_empty());
        }
    }
}
