//! Counters, gauges and histograms of one worker's, and the host that they are told to.

/// How many values of a histogram are kept until the host is told; of more than that the first ones stand
/// for all.
const MAX_OBSERVED: usize = 2_048;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is set.
    Gauge,
    /// It is a distribution.
    Histogram,
}

/// The host, as metrics need it.
pub trait MetricHost {
    /// A metric by its name, which all workers share; `None` if the host has none to give.
    fn define(&self, kind: Kind, name: &str) -> Option<u32>;
    /// Adds to a counter.
    fn add(&self, metric: u32, amount: u64);
    /// Sets a gauge, or adds a value to a histogram.
    fn record(&self, metric: u32, value: u64);
    /// A value that all workers share, and its version.
    fn shared(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>);
    /// Writes such a value if it still is of that version; `false`: somebody else was first.
    fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool;
}

/// A counter, and what the host has not been told of it.
#[derive(Debug, Default)]
pub(super) struct Counter {
    name: Box<str>,
    metric: Option<u32>,
    pending: u64,
}

impl Counter {
    pub(super) fn new(name: String) -> Self {
        Self { name: name.into(), metric: None, pending: 0 }
    }

    pub(super) fn add(&mut self, amount: u64) {
        self.pending = self.pending.saturating_add(amount);
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending > 0
    }

    /// Tells the host; `false` if it has no such counter to give.
    pub(super) fn flush(&mut self, host: &dyn MetricHost) -> bool {
        if self.pending == 0 {
            return true;
        }
        self.metric = self.metric.or_else(|| host.define(Kind::Counter, &self.name));
        let Some(metric) = self.metric else { return false };
        host.add(metric, core::mem::take(&mut self.pending));
        true
    }

    /// Tells the host; the name is made when it is first needed.
    pub(super) fn flush_as(&mut self, host: &dyn MetricHost, name: impl FnOnce() -> String) {
        if self.name.is_empty() {
            self.name = name().into();
        }
        self.flush(host);
    }
}

/// A gauge.
#[derive(Debug)]
pub(super) struct Gauge {
    name: &'static str,
    metric: Option<u32>,
}

impl Gauge {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, metric: None }
    }

    pub(super) fn set(&mut self, host: &dyn MetricHost, value: u64) {
        self.metric = self.metric.or_else(|| host.define(Kind::Gauge, self.name));
        if let Some(metric) = self.metric {
            host.record(metric, value);
        }
    }
}

/// A histogram, and what the host has not been told of it.
#[derive(Debug)]
pub(super) struct Histogram {
    name: &'static str,
    metric: Option<u32>,
    observed: Vec<u64>,
}

impl Histogram {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, metric: None, observed: Vec::new() }
    }

    pub(super) fn observe(&mut self, value: u64) {
        if self.observed.len() < MAX_OBSERVED {
            self.observed.push(value);
        }
    }

    pub(super) fn flush(&mut self, host: &dyn MetricHost) {
        if self.observed.is_empty() {
            return;
        }
        self.metric = self.metric.or_else(|| host.define(Kind::Histogram, self.name));
        for value in self.observed.drain(..) {
            if let Some(metric) = self.metric {
                host.record(metric, value);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod fake {
    //! A host in memory, which several workers of a test share.

    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::{Kind, MetricHost};

    #[derive(Default)]
    pub(in super::super) struct FakeHost {
        pub(in super::super) names: RefCell<Vec<(Kind, String)>>,
        /// Counters' sums, gauges' last values, histograms' counts.
        pub(in super::super) values: RefCell<BTreeMap<String, u64>>,
        shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
        pub(in super::super) calls: Cell<u32>,
        pub(in super::super) has_metrics: Cell<bool>,
        /// How many writes fail, as they do when other workers are first.
        pub(in super::super) losing: Cell<u32>,
    }

    impl FakeHost {
        pub(in super::super) fn new() -> Self {
            Self { has_metrics: Cell::new(true), ..Self::default() }
        }

        pub(in super::super) fn value(&self, name: &str) -> Option<u64> {
            self.values.borrow().get(name).copied()
        }

        fn called(&self) {
            self.calls.set(self.calls.get() + 1);
        }
    }

    impl MetricHost for FakeHost {
        fn define(&self, kind: Kind, name: &str) -> Option<u32> {
            self.called();
            if !self.has_metrics.get() {
                return None;
            }
            let mut names = self.names.borrow_mut();
            let place = names.iter().position(|(_, have)| have == name).unwrap_or_else(|| {
                names.push((kind, name.to_owned()));
                names.len() - 1
            });
            assert_eq!(names[place].0, kind);
            u32::try_from(place).ok()
        }

        fn add(&self, metric: u32, amount: u64) {
            self.called();
            let name = self.names.borrow()[metric as usize].1.clone();
            *self.values.borrow_mut().entry(name).or_default() += amount;
        }

        fn record(&self, metric: u32, value: u64) {
            self.called();
            let (kind, name) = self.names.borrow()[metric as usize].clone();
            let mut values = self.values.borrow_mut();
            let have = values.entry(name).or_default();
            *have = if kind == Kind::Histogram { *have + 1 } else { value };
        }

        fn shared(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
            self.called();
            let value = self.shared.borrow().get(key).cloned();
            value.map_or((None, None), |(bytes, version)| (Some(bytes), Some(version)))
        }

        fn set_shared(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
            self.called();
            if self.losing.get() > 0 {
                self.losing.set(self.losing.get() - 1);
                return false;
            }
            let mut shared = self.shared.borrow_mut();
            let have = shared.get(key).map(|(_, version)| *version);
            if have.is_some() && version.is_some() && have != version {
                return false;
            }
            shared.insert(key.to_owned(), (value.to_vec(), have.unwrap_or(0) + 1));
            true
        }
    }
}
