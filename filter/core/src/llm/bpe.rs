//! How many tokens a text is: byte-pair encoding as tiktoken does it, exactly, while the text arrives.
//!
//! A text is cut into pieces by a pattern (`split`), and each piece is merged on its own (`merge`) by
//! the ranks of a `vocabulary` that lies ready in the module: nothing is built before the first use.

mod class;
mod hash;
mod merge;
mod model;
mod split;
mod vocabulary;

use split::Splitter;
use vocabulary::Vocabulary;

/// Text is taken up this many bytes at a time, so that what is waiting stays small.
const BLOCK: usize = 4_096;

/// A waiting room that grew beyond this is given back at the end of its text.
const KEPT: usize = 4 * BLOCK;

/// What stands for bytes that are not UTF-8.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// An encoding that texts are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `cl100k_base`: GPT-4, GPT-3.5, the embedding models. What unknown models are counted in.
    #[default]
    Cl100k,
    /// `o200k_base`: GPT-4o and later.
    O200k,
}

impl Encoding {
    /// The encoding of a name as tiktoken has it, such as `cl100k_base`; `None` for any other.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Cl100k, Self::O200k].into_iter().find(|encoding| encoding.name() == name)
    }

    /// The encoding of a model, as tiktoken's `encoding_for_model` finds it: by the whole name, then by its
    /// start. `None` if it knows none or an older one; such a model is best counted in the default.
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        model::encoding(model)
    }

    /// The name that tiktoken has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cl100k => "cl100k_base",
            Self::O200k => "o200k_base",
        }
    }

    const fn vocabulary(self) -> &'static Vocabulary {
        match self {
            Self::Cl100k => &vocabulary::CL100K,
            Self::O200k => &vocabulary::O200K,
        }
    }

    const fn splitter(self) -> Pattern {
        match self {
            Self::Cl100k => Pattern::Cl100k(Splitter::new()),
            Self::O200k => Pattern::O200k(Splitter::new()),
        }
    }
}

/// An encoding's splitter.
#[derive(Clone)]
enum Pattern {
    Cl100k(Splitter<false>),
    O200k(Splitter<true>),
}

impl Pattern {
    /// Counts the pieces that are whole; gives the tokens and how many bytes they are. Nothing is left of
    /// a text that has ended.
    fn count(&mut self, vocabulary: &Vocabulary, text: &[u8], ended: bool) -> (u64, usize) {
        match self {
            Self::Cl100k(splitter) => count_pieces(splitter, vocabulary, text, ended),
            Self::O200k(splitter) => count_pieces(splitter, vocabulary, text, ended),
        }
    }
}

fn count_pieces<const O200K: bool>(
    splitter: &mut Splitter<O200K>,
    vocabulary: &Vocabulary,
    text: &[u8],
    ended: bool,
) -> (u64, usize) {
    let mut tokens = 0_u64;
    let mut rest = text;
    while let Some(length) = splitter.piece(rest, ended) {
        let Some((piece, after)) = rest.split_at_checked(length) else { break };
        tokens = tokens.saturating_add(merge::tokens(vocabulary, piece));
        rest = after;
    }
    // A piece without an end, such as a line of a million spaces, is counted while it arrives.
    while splitter.certain() > merge::WINDOW
        && let Some(window) = rest.get(..merge::WINDOW)
    {
        let (counted, length) = merge::head(vocabulary, window);
        tokens = tokens.saturating_add(counted);
        rest = rest.get(length..).unwrap_or_default();
        splitter.forget(length);
    }
    (tokens, text.len() - rest.len())
}

/// Counts the tokens of one text at a time, which arrives in pieces cut anywhere.
///
/// The text of special tokens, such as `<|endoftext|>`, is ordinary text. Bytes that are not UTF-8 are
/// counted as the U+FFFD that [`String::from_utf8_lossy`] would put in their place.
///
/// A clone counts on its own: a text can be counted as if it ended here, and go on.
#[derive(Clone)]
pub struct TextCounter {
    encoding: Encoding,
    pattern: Pattern,
    counted: u64,
    /// The start of the open piece, as UTF-8.
    waiting: Vec<u8>,
    /// The start of a character.
    partial: Partial,
}

/// The bytes of a character whose last are still to come.
#[derive(Clone, Default)]
struct Partial {
    bytes: [u8; 4],
    length: usize,
}

/// Never what it holds: that is of a prompt or an answer.
impl std::fmt::Debug for TextCounter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TextCounter")
            .field("encoding", &self.encoding)
            .field("counted", &self.counted)
            .field("pending_bytes", &self.pending_bytes())
            .finish_non_exhaustive()
    }
}

impl TextCounter {
    /// A counter at the start of a text.
    #[must_use]
    pub const fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            pattern: encoding.splitter(),
            counted: 0,
            waiting: Vec::new(),
            partial: Partial { bytes: [0; 4], length: 0 },
        }
    }

    /// The text goes on with these bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK) {
            self.take(block);
            self.count(false);
        }
    }

    /// The text is over: gives its tokens. The counter is then at the start of the next text.
    pub fn finish(&mut self) -> u64 {
        if self.partial.length > 0 {
            self.partial.length = 0;
            self.waiting.extend_from_slice(REPLACEMENT);
        }
        self.count(true);
        self.waiting.clear();
        if self.waiting.capacity() > KEPT {
            self.waiting = Vec::new();
        }
        self.pattern = self.encoding.splitter();
        std::mem::take(&mut self.counted)
    }

    /// The tokens of the text so far that no later byte can change.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.counted
    }

    /// How many bytes are not counted yet. They are at most as many tokens.
    #[must_use]
    pub const fn pending_bytes(&self) -> usize {
        // A part of a character may become a replacement character, which is three bytes.
        let partial = if self.partial.length > 0 { REPLACEMENT.len() } else { 0 };
        self.waiting.len() + partial
    }

    /// What the text is counted in.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn count(&mut self, ended: bool) {
        let (tokens, bytes) = self.pattern.count(self.encoding.vocabulary(), &self.waiting, ended);
        self.counted = self.counted.saturating_add(tokens);
        self.waiting.drain(..bytes.min(self.waiting.len()));
    }

    /// Takes bytes into the waiting room as UTF-8, a character's start at their end apart.
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(started) = self.partial.bytes.get_mut(..self.partial.length + 1)
            && let (Some((last, _)), Some((next, rest))) = (started.split_last_mut(), bytes.split_first())
            && self.partial.length > 0
        {
            *last = *next;
            match std::str::from_utf8(started) {
                Ok(character) => {
                    self.waiting.extend_from_slice(character.as_bytes());
                    self.partial.length = 0;
                    bytes = rest;
                }
                Err(error) if error.error_len().is_none() => {
                    self.partial.length += 1;
                    bytes = rest;
                }
                // The byte belongs to what comes next.
                Err(_) => {
                    self.waiting.extend_from_slice(REPLACEMENT);
                    self.partial.length = 0;
                }
            }
        }
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(_) => return self.waiting.extend_from_slice(bytes),
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            self.waiting.extend_from_slice(valid);
            match error.error_len() {
                Some(length) => {
                    self.waiting.extend_from_slice(REPLACEMENT);
                    bytes = rest.get(length..).unwrap_or_default();
                }
                None => {
                    for (place, byte) in self.partial.bytes.iter_mut().zip(rest) {
                        *place = *byte;
                    }
                    self.partial.length = rest.len();
                    return;
                }
            }
        }
    }
}

/// The tokens of a whole text.
#[must_use]
pub fn count(encoding: Encoding, text: &str) -> u64 {
    encoding.splitter().count(encoding.vocabulary(), text.as_bytes(), true).0
}

#[cfg(test)]
mod tests;
