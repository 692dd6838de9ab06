//! Cutting a text into the pieces that are merged each on its own: the two encodings' patterns, by hand.
//!
//! cl100k, of which the first alternative that matches counts:
//! `'(?i:[sdmt]|ll|ve|re)`, `[^\r\n\p{L}\p{N}]?\p{L}+`, `\p{N}{1,3}`, ` ?[^\s\p{L}\p{N}]+[\r\n]*`,
//! `\s*[\r\n]`, `\s+(?!\S)`, `\s+`.
//!
//! o200k, where U is `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, L is `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` and C
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`: `[^\r\n\p{L}\p{N}]?U*L+C`, `[^\r\n\p{L}\p{N}]?U+L*C`, `\p{N}{1,3}`,
//! ` ?[^\s\p{L}\p{N}]+[\r\n/]*`, `\s*[\r\n]+`, `\s+(?!\S)`, `\s+`.
//!
//! (tiktoken now tries `\s+$` before `\s*[\r\n]`. That joins two pieces at the end of a text, but no token
//! holds a line break and ends in other white space, so the number of tokens is the same.)

use super::class::{Class, class_at};

/// Which alternative the open piece is in. Places are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a piece, or so near that it is read again.
    Fresh,
    /// Letters, cl100k.
    Word,
    /// U*, o200k: the last that is L as well ends at `mixed`; 0 if none is.
    Upper { mixed: usize },
    /// L+, o200k.
    Lower,
    /// What comes after the letters of o200k.
    Suffix,
    /// Neither white space nor letters nor numbers.
    Marks,
    /// The line breaks after those.
    MarksEnd,
    /// White space: its last line break ends at `line`, 0 if there is none; its last character starts at
    /// `last`.
    Blank { line: usize, last: usize },
}

/// Finds the pieces of one text that may still be arriving.
#[derive(Clone, Debug)]
pub(super) struct Splitter<const O200K: bool> {
    state: State,
    /// How much of the open piece is read.
    at: usize,
}

/// What a text says about a contraction.
enum Contraction {
    Ends(usize),
    Not,
    /// More must arrive first.
    Open,
}

impl<const O200K: bool> Splitter<O200K> {
    /// At the start of a text.
    pub(super) const fn new() -> Self {
        Self { state: State::Fresh, at: 0 }
    }

    /// The length of the piece at the start of a text, which must be UTF-8; `None` where it is not known
    /// before more of the text arrives, and when the text is empty. After `Some` the next call gets the
    /// rest of the text, after `None` the same text with more after it. `ended`: nothing more will come.
    pub(super) fn piece(&mut self, text: &[u8], ended: bool) -> Option<usize> {
        let end = self.end(text, ended)?;
        self.state = State::Fresh;
        self.at = 0;
        Some(end)
    }

    /// How many bytes at the start of the text are of the open piece, whatever comes.
    pub(super) const fn certain(&self) -> usize {
        match self.state {
            State::Fresh => 0,
            State::Upper { mixed } if mixed > 0 => mixed,
            State::Blank { line, .. } if line > 0 => line,
            State::Blank { last, .. } => last,
            _ => self.at,
        }
    }

    /// Takes note that so many of the certain bytes, but not all of them, were taken away.
    pub(super) const fn forget(&mut self, bytes: usize) {
        self.at = self.at.saturating_sub(bytes);
        self.state = match self.state {
            State::Upper { mixed } => State::Upper { mixed: mixed.saturating_sub(bytes) },
            State::Blank { line, last } => {
                State::Blank { line: line.saturating_sub(bytes), last: last.saturating_sub(bytes) }
            }
            other => other,
        };
    }

    fn end(&mut self, text: &[u8], ended: bool) -> Option<usize> {
        loop {
            let known = match self.state {
                State::Fresh => self.first(text, ended)?,
                State::Word => self.word(text, ended)?,
                State::Upper { mixed } => self.upper(text, ended, mixed)?,
                State::Lower => self.lower(text, ended)?,
                State::Suffix => Some(self.suffix(text, ended)?),
                State::Marks => self.marks(text, ended)?,
                State::MarksEnd => Some(self.marks_end(text, ended)?),
                State::Blank { line, last } => self.blank(text, ended, line, last)?,
            };
            if known.is_some() {
                return known;
            }
        }
    }

    /// Goes on in a state: nothing is known yet.
    #[allow(clippy::unnecessary_wraps)] // What the states' functions give back.
    const fn go(&mut self, state: State, at: usize) -> Option<Option<usize>> {
        self.state = state;
        self.at = at;
        Some(None)
    }

    /// Into the letters of a word, the first of which ends at `at`; `None` if this is not one.
    const fn letter(class: Class, at: usize) -> Option<State> {
        match class {
            Class::Upper | Class::Lower | Class::Letter if !O200K => Some(State::Word),
            Class::Upper => Some(State::Upper { mixed: 0 }),
            Class::Lower => Some(State::Lower),
            Class::Letter => Some(State::Upper { mixed: at }),
            Class::Mark if O200K => Some(State::Upper { mixed: at }),
            _ => None,
        }
    }

    fn first(&mut self, text: &[u8], ended: bool) -> Option<Option<usize>> {
        let (class, at) = class_at(text, 0)?;
        if let Some(state) = Self::letter(class, at) {
            return self.go(state, at);
        }
        match class {
            Class::Number => Self::numbers(text, ended, at).map(Some),
            Class::Blank | Class::Space => self.go(State::Blank { line: 0, last: 0 }, at),
            Class::Line => self.go(State::Blank { line: at, last: 0 }, at),
            _ => {
                if !O200K && text.first() == Some(&b'\'') {
                    match contraction(text, 0, ended) {
                        Contraction::Ends(end) => return Some(Some(end)),
                        Contraction::Open => return None,
                        Contraction::Not => {}
                    }
                }
                match class_at(text, at) {
                    Some((class, end)) => {
                        let state = Self::letter(class, end);
                        let at = if state.is_some() { end } else { at };
                        self.go(state.unwrap_or(State::Marks), at)
                    }
                    None => ended.then_some(Some(at)),
                }
            }
        }
    }

    fn numbers(text: &[u8], ended: bool, mut at: usize) -> Option<usize> {
        for _ in 1..3 {
            match class_at(text, at) {
                Some((Class::Number, end)) => at = end,
                Some(_) => return Some(at),
                None if ended => return Some(at),
                None => return None,
            }
        }
        Some(at)
    }

    fn word(&mut self, text: &[u8], ended: bool) -> Option<Option<usize>> {
        loop {
            match class_at(text, self.at) {
                Some((Class::Upper | Class::Lower | Class::Letter, end)) => self.at = end,
                Some(_) => return Some(Some(self.at)),
                None => return ended.then_some(Some(self.at)),
            }
        }
    }

    fn upper(&mut self, text: &[u8], ended: bool, mut mixed: usize) -> Option<Option<usize>> {
        loop {
            match class_at(text, self.at) {
                Some((Class::Upper, end)) => self.at = end,
                Some((Class::Letter | Class::Mark, end)) => {
                    self.at = end;
                    mixed = end;
                }
                Some((Class::Lower, end)) => return self.go(State::Lower, end),
                None if !ended => {
                    self.state = State::Upper { mixed };
                    return None;
                }
                // Of letters without a lower one the last that can stand for one ends the piece.
                _ if 0 < mixed && mixed < self.at => return Some(Some(mixed)),
                _ => return self.go(State::Suffix, self.at),
            }
        }
    }

    fn lower(&mut self, text: &[u8], ended: bool) -> Option<Option<usize>> {
        loop {
            match class_at(text, self.at) {
                Some((Class::Lower | Class::Letter | Class::Mark, end)) => self.at = end,
                None if !ended => return None,
                _ => return self.go(State::Suffix, self.at),
            }
        }
    }

    fn suffix(&self, text: &[u8], ended: bool) -> Option<usize> {
        match contraction(text, self.at, ended) {
            Contraction::Ends(end) => Some(end),
            Contraction::Not => Some(self.at),
            Contraction::Open => None,
        }
    }

    fn marks(&mut self, text: &[u8], ended: bool) -> Option<Option<usize>> {
        loop {
            match class_at(text, self.at) {
                Some((Class::Other | Class::Mark, end)) => self.at = end,
                Some((Class::Line, end)) => return self.go(State::MarksEnd, end),
                Some(_) => return Some(Some(self.at)),
                None => return ended.then_some(Some(self.at)),
            }
        }
    }

    fn marks_end(&mut self, text: &[u8], ended: bool) -> Option<usize> {
        loop {
            match text.get(self.at) {
                Some(b'\r' | b'\n') => self.at += 1,
                Some(b'/') if O200K => self.at += 1,
                Some(_) => return Some(self.at),
                None => return ended.then_some(self.at),
            }
        }
    }

    fn blank(&mut self, text: &[u8], ended: bool, mut line: usize, mut last: usize) -> Option<Option<usize>> {
        loop {
            match class_at(text, self.at) {
                Some((Class::Blank | Class::Space, end)) => {
                    last = self.at;
                    self.at = end;
                }
                Some((Class::Line, end)) => {
                    last = self.at;
                    self.at = end;
                    line = end;
                }
                None if !ended => {
                    self.state = State::Blank { line, last };
                    return None;
                }
                // Up to the last line break it is one piece, and the rest is looked at anew.
                _ if line > 0 => return Some(Some(line)),
                None => return Some(Some(self.at)),
                // All but the last, which may be of the piece that follows.
                Some(_) if last > 0 => return Some(Some(last)),
                Some((class, end)) => {
                    if let Some(state) = Self::letter(class, end) {
                        return self.go(state, end);
                    }
                    let marks = matches!(class, Class::Other | Class::Mark) && text.first() == Some(&b' ');
                    return if marks { self.go(State::Marks, end) } else { Some(Some(self.at)) };
                }
            }
        }
    }
}

/// Looks for `'(?i:[sdmt]|ll|ve|re)` at a place. A long s (ſ) is an s to `(?i)`.
fn contraction(text: &[u8], at: usize, ended: bool) -> Contraction {
    let open = if ended { Contraction::Not } else { Contraction::Open };
    match text.get(at) {
        Some(b'\'') => {}
        Some(_) => return Contraction::Not,
        None => return open,
    }
    let Some(first) = text.get(at + 1) else { return open };
    let second = match first {
        b's' | b'S' | b'd' | b'D' | b'm' | b'M' | b't' | b'T' => return Contraction::Ends(at + 2),
        b'l' | b'L' => b'l',
        b'v' | b'V' | b'r' | b'R' => b'e',
        0xC5 if text.get(at + 2) == Some(&0xBF) => return Contraction::Ends(at + 3),
        _ => return Contraction::Not,
    };
    match text.get(at + 2) {
        Some(byte) if byte.eq_ignore_ascii_case(&second) => Contraction::Ends(at + 3),
        Some(_) => Contraction::Not,
        None => open,
    }
}
