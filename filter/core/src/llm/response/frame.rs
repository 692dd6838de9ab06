//! Where events begin and end: server-sent events (the WHATWG HTML standard, section 9.2), lines of JSON,
//! one JSON text.
//!
//! Byte by byte and without keeping any of them, so that chunks may be cut anywhere.

use core::ops::Range;

/// How a body is divided into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One JSON text; an array of answers is a stream of Gemini's.
    Json,
    /// Server-sent events.
    Sse,
    /// A JSON text on every line.
    Ndjson,
    /// Whatever its first byte says.
    Unknown,
}

impl Kind {
    /// What a response's `Content-Type` says; [`Kind::Unknown`] where it says nothing about events.
    #[must_use]
    pub fn of_content_type(value: &[u8]) -> Self {
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
        if is(b"text/event-stream") {
            Self::Sse
        } else if is(b"application/x-ndjson") || is(b"application/ndjson") || is(b"application/jsonl") {
            Self::Ndjson
        } else if is(b"application/json") {
            Self::Json
        } else {
            Self::Unknown
        }
    }
}

/// The line ending that a stream uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newline {
    Lf,
    CrLf,
    Cr,
}

impl Newline {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// A step through a chunk; places are within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An event begins.
    Begin(usize),
    /// Its data, or more of it.
    Data(Range<usize>),
    /// Its data goes on in another line.
    Join,
    /// A line of JSON has ended; the next byte is at that place.
    Line(usize),
    /// The event has ended; the next byte is at that place.
    End(usize),
    /// The second half of the line ending that ended the event before.
    Linefeed(usize),
    /// A line that belongs to no event has ended.
    Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Start,
    /// In a field's name, of which so many bytes are those of `data`.
    Field(u8),
    /// Behind `data:`.
    Space,
    Data,
    /// In a comment or another field.
    Other,
}

/// Where in the framing a stream is.
#[derive(Debug)]
pub(super) struct Frame {
    kind: Kind,
    line: Line,
    /// How many bytes of a byte order mark were there; `None` once anything else was.
    mark: Option<u8>,
    after_cr: bool,
    /// The line ending that is half there is an event's.
    ended_by_cr: bool,
    in_event: bool,
    has_data: bool,
    newline: Newline,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const DATA: [u8; 4] = *b"data";

impl Frame {
    pub(super) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            line: Line::Start,
            mark: Some(0),
            after_cr: false,
            ended_by_cr: false,
            in_event: false,
            has_data: false,
            newline: Newline::Lf,
        }
    }

    /// What the body is, once that is known.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) const fn newline(&self) -> Newline {
        self.newline
    }

    /// Between two server-sent events, where another one may be put in; `next` is the byte that follows, if
    /// it is there. Behind a CR that is only known with the next byte, which may be its LF.
    pub(super) fn is_between(&self, next: Option<u8>) -> bool {
        let is_half = self.after_cr && next.is_none_or(|byte| byte == b'\n');
        self.line == Line::Start && !self.in_event && !is_half
    }

    /// Goes on from `at`, and moves it.
    pub(super) fn next(&mut self, chunk: &[u8], at: &mut usize) -> Option<Step> {
        self.skip_mark(chunk, at);
        match self.kind {
            Kind::Unknown => {
                let byte = *chunk.get(*at)?;
                self.kind = if matches!(byte, b'{' | b'[') { Kind::Json } else { Kind::Sse };
                self.next(chunk, at)
            }
            Kind::Json | Kind::Ndjson => self.json(chunk, at),
            Kind::Sse => self.sse(chunk, at),
        }
    }

    fn skip_mark(&mut self, chunk: &[u8], at: &mut usize) {
        while let Some(seen) = self.mark {
            match chunk.get(*at) {
                None => return,
                Some(byte) if MARK.get(usize::from(seen)) == Some(byte) => {
                    self.mark = Some(seen.saturating_add(1));
                    *at = at.saturating_add(1);
                }
                // Only what comes first says what an unknown body is, and white space is not it.
                Some(b' ' | b'\t' | b'\r' | b'\n') if self.kind == Kind::Unknown => {
                    *at = at.saturating_add(1);
                }
                Some(_) => self.mark = None,
            }
        }
    }

    fn json(&mut self, chunk: &[u8], at: &mut usize) -> Option<Step> {
        let rest = chunk.get(*at..).filter(|rest| !rest.is_empty())?;
        let from = *at;
        if rest.first() == Some(&b'\n') {
            *at = from.saturating_add(1);
            return Some(Step::Line(*at));
        }
        let run = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        *at = from.saturating_add(run);
        self.newline = match rest.get(..run).and_then(<[u8]>::last) {
            Some(b'\r') => Newline::CrLf,
            _ => Newline::Lf,
        };
        Some(Step::Data(from..*at))
    }

    fn sse(&mut self, chunk: &[u8], at: &mut usize) -> Option<Step> {
        while let Some(byte) = chunk.get(*at).copied() {
            if self.after_cr {
                self.after_cr = false;
                let of_event = core::mem::take(&mut self.ended_by_cr);
                if byte == b'\n' {
                    self.newline = Newline::CrLf;
                    *at = at.saturating_add(1);
                    if of_event {
                        return Some(Step::Linefeed(at.saturating_sub(1)));
                    }
                    if !self.in_event {
                        return Some(Step::Rest);
                    }
                    continue;
                }
                self.newline = Newline::Cr;
            }
            let ends = matches!(byte, b'\n' | b'\r');
            match self.line {
                Line::Start if ends => {
                    self.end_line(byte, at);
                    if core::mem::take(&mut self.in_event) {
                        self.has_data = false;
                        self.ended_by_cr = byte == b'\r';
                        return Some(Step::End(*at));
                    }
                    return Some(Step::Rest);
                }
                Line::Start if byte == b':' => self.line = Line::Other,
                Line::Start => {
                    self.line = Line::Field(0);
                    if !self.in_event {
                        self.in_event = true;
                        return Some(Step::Begin(*at));
                    }
                }
                Line::Field(4) if byte == b':' => {
                    self.line = Line::Space;
                    *at = at.saturating_add(1);
                    if core::mem::replace(&mut self.has_data, true) {
                        return Some(Step::Join);
                    }
                }
                Line::Field(_) | Line::Other | Line::Data | Line::Space if ends => {
                    self.end_line(byte, at);
                    if !self.in_event {
                        return Some(Step::Rest);
                    }
                }
                Line::Field(seen) if DATA.get(usize::from(seen)) == Some(&byte) => {
                    self.line = Line::Field(seen.saturating_add(1));
                    *at = at.saturating_add(1);
                }
                Line::Field(_) => self.line = Line::Other,
                Line::Space => {
                    self.line = Line::Data;
                    if byte == b' ' {
                        *at = at.saturating_add(1);
                    }
                }
                Line::Other => *at = line_end(chunk, *at),
                Line::Data => {
                    let from = *at;
                    *at = line_end(chunk, from);
                    return Some(Step::Data(from..*at));
                }
            }
        }
        None
    }

    fn end_line(&mut self, byte: u8, at: &mut usize) {
        self.line = Line::Start;
        *at = at.saturating_add(1);
        if byte == b'\r' {
            self.after_cr = true;
        } else {
            self.newline = Newline::Lf;
        }
    }
}

fn line_end(chunk: &[u8], from: usize) -> usize {
    let rest = chunk.get(from..).unwrap_or_default();
    from.saturating_add(rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of every event that ended, and what the last one has so far.
    fn events(kind: Kind, chunks: &[&[u8]]) -> (Vec<String>, String) {
        let mut frame = Frame::new(kind);
        let (mut ended, mut open) = (Vec::new(), String::new());
        for chunk in chunks {
            let mut at = 0;
            while let Some(step) = frame.next(chunk, &mut at) {
                match step {
                    Step::Data(range) => open += std::str::from_utf8(&chunk[range]).unwrap(),
                    Step::Join => open.push('\n'),
                    Step::End(_) | Step::Line(_) => ended.push(std::mem::take(&mut open)),
                    Step::Begin(_) | Step::Linefeed(_) | Step::Rest => {}
                }
            }
            assert_eq!(at, chunk.len());
        }
        (ended, open)
    }

    #[test]
    fn the_standards_own_examples_read_as_it_says() {
        // Section 9.2.6, with every line ending.
        let table: &[(&str, &[&str])] = &[
            ("data: YHOO\ndata: +2\ndata: 10\n\n", &["YHOO\n+2\n10"]),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
                &["first event", "second event", " third event"],
            ),
            ("data:test\n\ndata: test\n\n", &["test", "test"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("event: x\ndata: a\nretry: 1\ndatum: b\ndat: c\ndataa: d\n\n", &["a"]),
        ];
        for (text, expected) in table {
            for newline in ["\n", "\r\n", "\r"] {
                let text = text.replace('\n', newline);
                for cut in 0..=text.len() {
                    let (first, second) = text.as_bytes().split_at(cut);
                    let (ended, open) = events(Kind::Unknown, &[first, second]);
                    assert_eq!(ended, *expected, "{text:?} cut at {cut}");
                    assert_eq!(open, "");
                }
            }
        }
    }

    #[test]
    fn a_body_of_unknown_type_is_what_its_first_byte_says() {
        for (body, kind) in
            [("{}", Kind::Json), (" \r\n[", Kind::Json), ("data: {}", Kind::Sse), (": hi", Kind::Sse)]
        {
            let mut frame = Frame::new(Kind::Unknown);
            let mut at = 0;
            while frame.next(body.as_bytes(), &mut at).is_some() {}
            assert_eq!(frame.kind(), kind, "{body:?}");
        }
        for (value, kind) in [
            ("text/event-stream; charset=utf-8", Kind::Sse),
            ("Application/X-NDJSON", Kind::Ndjson),
            ("application/json;charset=utf-8", Kind::Json),
            ("text/plain", Kind::Unknown),
            ("", Kind::Unknown),
        ] {
            assert_eq!(Kind::of_content_type(value.as_bytes()), kind, "{value}");
        }
    }
}
