//! Whether an engine has refused to be asked for a stream's usage, by what it says about a request.
//!
//! Engines show in their answers what was sent to them, and clients send what they like: neither may teach the
//! gateway never to ask again.

/// How much of an upstream's refusal is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// The word by which an engine refuses.
const WORD: &[u8] = b"stream_options";
/// What follows it where an engine shows the request that it got.
const SHOWN: &[u8] = b"include_usage";
/// How many quotes, colons and braces may stand in between.
const MAX_BETWEEN: usize = 16;

/// The beginning of an upstream's refusal.
#[derive(Default)]
pub(super) struct Refusal {
    text: Vec<u8>,
}

impl Refusal {
    /// Takes more of it.
    pub(super) fn read(&mut self, chunk: &[u8]) {
        let room = MAX_BYTES.saturating_sub(self.text.len());
        self.text.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
    }

    /// Whether it names the word other than by showing what was sent.
    pub(super) fn names_the_word(&self) -> bool {
        let places = self.text.windows(WORD.len()).enumerate().filter(|(_, word)| *word == WORD);
        places.map(|(at, _)| at.saturating_add(WORD.len())).any(|behind| !self.is_shown(behind))
    }

    fn is_shown(&self, behind: usize) -> bool {
        let rest = self.text.get(behind..).unwrap_or_default();
        let between = rest.iter().take(MAX_BETWEEN).take_while(|byte| !byte.is_ascii_alphanumeric()).count();
        let (between, rest) = rest.split_at_checked(between).unwrap_or_default();
        between.contains(&b'{') && rest.starts_with(SHOWN)
    }
}

/// Whether a client's body could make an engine say the word: it has it, or letters in disguise.
pub(super) fn can_be_said_by(body: &[u8]) -> bool {
    let has = |word: &[u8]| body.windows(word.len()).any(|piece| piece == word);
    has(WORD) || has(br"\u00")
}
