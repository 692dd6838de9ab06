//! Says once that something cannot be had, and once that it can be again.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something cannot be had.
#[derive(Debug)]
pub(super) struct Outage {
    text: &'static str,
    lasts: AtomicBool,
}

impl Outage {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, lasts: AtomicBool::new(false) }
    }

    /// It failed. Whether that was news.
    pub(super) fn begins(&self, error: &dyn Display) -> bool {
        let news = !self.lasts.swap(true, Ordering::Relaxed);
        if news {
            tracing::warn!(%error, "{}", self.text);
        }
        news
    }

    /// It worked.
    pub(super) fn over(&self) {
        // A look first: this is on the way of every operation.
        if self.lasts.load(Ordering::Relaxed) && self.lasts.swap(false, Ordering::Relaxed) {
            tracing::info!("over: {}", self.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_news_once() {
        let outage = Outage::new("it cannot be had");
        assert_eq!([(); 3].map(|()| outage.begins(&"why")), [true, false, false]);
        outage.over();
        assert!(outage.begins(&"why"));
    }
}
