//! What the client does not see: the usage that the filter asked for in its place.
//!
//! Of an event only those bytes are held back that may yet go: all of it until its `choices` say that it
//! stays, then the member `usage` from the end of the member before it. Everything else passes at once.

/// The most bytes that are held back; an event that would hold more passes as it is.
const MAX_HELD: usize = 6 * 1024;

/// The most members `usage` that one event may have.
const MAX_DROPS: usize = 4;

/// What an event's `choices` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choices {
    Unseen,
    Empty,
    Some,
}

/// A stream's places that may go, in bytes from its beginning.
pub(super) struct Hide {
    is_on: bool,
    /// Up to here every byte has been passed on or dropped.
    decided: u64,
    /// The bytes from there to the end of the last chunk.
    held: Vec<u8>,
    /// Where the event began that is being read.
    event: Option<u64>,
    /// The event passes, whatever else it says.
    passes: bool,
    /// The event before was dropped.
    dropped: bool,
    choices: Choices,
    has_usage: bool,
    is_closed: bool,
    /// Where the last member that stays has ended.
    kept: Option<u64>,
    /// A member has ended and the next one's name has not been read.
    between: bool,
    /// The member that is being read is dropped from there.
    dropping: Option<u64>,
    /// The same, for one that had no member before it: up to the next one's name, here up to its own end.
    leading: Option<(u64, u64)>,
    drops: Vec<(u64, u64)>,
}

/// What becomes of one chunk.
pub(super) struct Out<'c> {
    chunk: &'c [u8],
    base: u64,
    /// What came before `base` and was held back.
    held: Vec<u8>,
    /// So far the client gets this many bytes of the chunk and nothing else.
    same: Option<usize>,
    bytes: Vec<u8>,
}

impl<'c> Out<'c> {
    /// What the client is to get, unless it is the chunk as it came.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        match self.same {
            Some(same) if same == self.chunk.len() => None,
            Some(same) => Some(self.chunk.get(..same).unwrap_or_default().to_vec()),
            None => Some(self.bytes),
        }
    }

    /// Puts in what did not come from the chunk.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.edit().extend_from_slice(bytes);
    }

    fn edit(&mut self) -> &mut Vec<u8> {
        if let Some(same) = self.same.take() {
            self.bytes = self.chunk.get(..same).unwrap_or_default().to_vec();
        }
        &mut self.bytes
    }

    fn copy(&mut self, from: u64, to: u64) {
        let first = self.base.saturating_sub(self.held.len() as u64);
        let place = |at: u64, start: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        if from < self.base && from < to {
            let range = place(from, first)..place(to.min(self.base), first);
            let old = core::mem::take(&mut self.held);
            self.edit().extend_from_slice(old.get(range).unwrap_or_default());
            self.held = old;
        }
        let (from, to) = (place(from.max(self.base), self.base), place(to, self.base));
        if from >= to {
            return;
        }
        if self.same == Some(from) {
            self.same = Some(to);
        } else {
            let piece = self.chunk.get(from..to).unwrap_or_default();
            self.edit().extend_from_slice(piece);
        }
    }
}

impl Hide {
    pub(super) const fn new(is_on: bool) -> Self {
        Self {
            is_on,
            decided: 0,
            held: Vec::new(),
            event: None,
            passes: false,
            dropped: false,
            choices: Choices::Unseen,
            has_usage: false,
            is_closed: false,
            kept: None,
            between: false,
            dropping: None,
            leading: None,
            drops: Vec::new(),
        }
    }

    /// Takes the next chunk, which begins at `base`.
    pub(super) fn chunk<'c>(&mut self, chunk: &'c [u8], base: u64) -> Out<'c> {
        let held = core::mem::take(&mut self.held);
        let same = held.is_empty().then_some(0);
        Out { chunk, base, held, same, bytes: Vec::new() }
    }

    /// Passes on what stays for certain, and holds the rest back; `end` is the end of the chunk.
    pub(super) fn settle(&mut self, out: &mut Out<'_>, end: u64) {
        let mut safe = self.safe(end);
        if end.saturating_sub(safe) > MAX_HELD as u64 {
            self.pass();
            safe = end;
        }
        self.keep(out, safe);
        if safe < end {
            let missing = usize::try_from(out.base.saturating_sub(safe)).unwrap_or(usize::MAX);
            self.held = core::mem::take(&mut out.held);
            self.held.drain(..self.held.len().saturating_sub(missing));
            let from = usize::try_from(safe.saturating_sub(out.base)).unwrap_or(usize::MAX);
            self.held.extend_from_slice(out.chunk.get(from..).unwrap_or_default());
        }
    }

    /// Up to where everything stays, or is known to go.
    fn safe(&self, end: u64) -> u64 {
        let Some(event) = self.event.filter(|_| self.is_on && !self.passes) else { return end };
        if self.choices != Choices::Some {
            return event;
        }
        let open = self.dropping.or(self.leading.map(|(from, _)| from));
        open.or(self.kept.filter(|_| self.between)).unwrap_or(end).min(end)
    }

    /// Passes on up to `to`, without what is to go.
    pub(super) fn keep(&mut self, out: &mut Out<'_>, to: u64) {
        let mut from = self.decided;
        for &(start, end) in &self.drops {
            if start >= from && end <= to {
                out.copy(from, start);
                out.edit();
                from = end;
            }
        }
        out.copy(from, to);
        self.drops.retain(|(_, end)| *end > to);
        self.decided = self.decided.max(to);
    }

    fn skip(&mut self, out: &mut Out<'_>, to: u64) {
        out.edit();
        self.decided = self.decided.max(to);
    }

    /// Nothing more of this event goes than is known to go by now.
    pub(super) fn pass(&mut self) {
        self.passes = true;
        self.dropping = None;
        self.leading = None;
    }

    /// An event begins.
    pub(super) fn begin(&mut self, out: &mut Out<'_>, at: u64) {
        if self.is_on {
            self.keep(out, at);
            self.event = Some(at);
            self.passes = false;
            self.dropped = false;
            self.choices = Choices::Unseen;
            self.has_usage = false;
            self.is_closed = false;
            self.kept = None;
            self.between = false;
        }
    }

    /// The event has ended at `at`.
    pub(super) fn end(&mut self, out: &mut Out<'_>, at: u64) {
        if !self.is_on || self.event.take().is_none() {
            return;
        }
        self.dropping = None;
        self.dropped = !self.passes && self.is_closed && self.choices == Choices::Empty && self.has_usage;
        if self.dropped {
            self.leading = None;
            self.drops.clear();
            self.skip(out, at);
            return;
        }
        if let Some((from, to)) = self.leading.take().filter(|_| self.is_closed) {
            self.drop_range(from, to);
        }
        self.keep(out, at);
    }

    /// A byte of the line ending of the event before.
    pub(super) fn linefeed(&mut self, out: &mut Out<'_>, at: u64) {
        if self.is_on && self.dropped {
            self.skip(out, at.saturating_add(1));
        }
    }

    /// The name of a member of the event's object begins at `at`.
    pub(super) fn name(&mut self, is_usage: bool, at: u64) {
        if self.event.is_none() || self.passes {
            return;
        }
        if let Some((from, _)) = self.leading.take() {
            self.drop_range(from, at);
        }
        self.between = false;
        if is_usage && self.drops.len() < MAX_DROPS {
            self.dropping = Some(self.kept.unwrap_or(at));
        }
    }

    /// A member of the event's object has ended just before `at`.
    pub(super) fn value_end(&mut self, at: u64) {
        if self.event.is_none() || self.passes {
            return;
        }
        match (self.dropping.take(), self.kept) {
            (Some(from), None) => self.leading = Some((from, at)),
            (Some(from), Some(_)) => {
                self.drop_range(from, at);
                // What follows belongs to the member that stays.
                self.kept = Some(at);
                self.between = true;
            }
            (None, _) => {
                self.kept = Some(at);
                self.between = true;
            }
        }
    }

    fn drop_range(&mut self, from: u64, to: u64) {
        self.drops.push((from, to));
    }

    /// `choices` is an array.
    pub(super) const fn choices(&mut self) {
        self.choices = Choices::Empty;
    }

    /// It has an element.
    pub(super) const fn choice(&mut self) {
        self.choices = Choices::Some;
    }

    /// `usage` is an object.
    pub(super) const fn usage(&mut self) {
        self.has_usage = true;
    }

    /// The event's object has ended.
    pub(super) const fn closed(&mut self) {
        self.is_closed = true;
    }

    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.held.capacity()
    }
}
