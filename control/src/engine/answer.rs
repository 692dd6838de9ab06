//! What the engine answers, and how it counts.

/// The most tokens of an answer, whatever the request allows: an engine's context is finite too.
pub const MAX_ANSWER: usize = 4096;

/// How many tokens a text has.
pub(super) fn tokens(text: &str) -> usize {
    text.split_whitespace().count()
}

/// What ends an answer early.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// The most tokens.
    pub(super) tokens: Option<u64>,
    /// Texts before the first of which the answer ends.
    pub(super) stop: Vec<String>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// It was said.
    Stop,
    /// It reached the most tokens.
    Length,
}

impl Finish {
    /// As both APIs write it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
        }
    }
}

/// An answer, one piece for each token.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) pieces: Vec<String>,
    pub(super) prompt_tokens: usize,
    pub(super) finish: Finish,
}

impl Answer {
    /// The answer to `said`, at the end of a prompt of `prompt_tokens`.
    pub(super) fn new(prompt_tokens: usize, said: &str, limits: &Limits) -> Answer {
        let whole = format!("You said: {said}");
        let text = limits.stop.iter().filter(|stop| !stop.is_empty()).fold(whole.as_str(), |text, stop| {
            text.split_once(stop.as_str()).map_or(text, |(before, _)| before)
        });
        let most =
            limits.tokens.and_then(|most| usize::try_from(most).ok()).unwrap_or(MAX_ANSWER).min(MAX_ANSWER);
        let (pieces, finish) = pieces(text, most);
        Answer { pieces, prompt_tokens, finish }
    }

    /// How many tokens it has.
    pub(super) fn tokens(&self) -> usize {
        self.pieces.len()
    }

    /// The whole of it.
    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// Cuts a text before its words; each piece is a word with the white space before it, and what follows the last
/// word belongs to it. Together the pieces are the text, or as much of it as has `most` words.
fn pieces(text: &str, most: usize) -> (Vec<String>, Finish) {
    let (mut pieces, mut piece, mut in_word) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        if character.is_whitespace() && in_word {
            pieces.push(std::mem::take(&mut piece));
        }
        in_word = !character.is_whitespace();
        if in_word && pieces.len() == most {
            return (pieces, Finish::Length);
        }
        piece.push(character);
    }
    match (in_word, pieces.last_mut()) {
        (true, _) => pieces.push(piece),
        (false, Some(last)) => last.push_str(&piece),
        (false, None) => {}
    }
    (pieces, Finish::Stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, most: usize) -> (Vec<String>, Finish) {
        pieces(text, most)
    }

    #[test]
    fn the_pieces_are_the_text_and_as_many_as_its_words() {
        for text in ["", " ", "a", " a ", "a  b\n\nc\t", "\u{3000}ä\u{a0}ö", "one"] {
            let (pieces, finish) = cut(text, 10);
            assert_eq!((pieces.len(), finish), (tokens(text), Finish::Stop), "{text:?}");
            if tokens(text) > 0 {
                assert_eq!(pieces.concat(), text);
            }
        }
    }

    #[test]
    fn a_text_of_as_many_words_as_allowed_is_whole() {
        assert_eq!(cut("a b ", 2), (vec!["a".into(), " b ".into()], Finish::Stop));
    }

    #[test]
    fn a_longer_text_ends_after_the_last_word_allowed() {
        assert_eq!(cut("a b c", 2), (vec!["a".into(), " b".into()], Finish::Length));
        assert_eq!(cut("a", 0), (vec![], Finish::Length));
    }

    #[test]
    fn an_answer_is_never_longer_than_the_context() {
        let answer = Answer::new(0, &"a ".repeat(2 * MAX_ANSWER), &Limits::default());
        assert_eq!((answer.tokens(), answer.finish), (MAX_ANSWER, Finish::Length));
    }

    #[test]
    fn an_answer_ends_before_the_first_stop_text() {
        let limits = Limits { tokens: None, stop: vec!["two".into(), "one".into(), String::new()] };
        let answer = Answer::new(0, "zero one two", &limits);
        assert_eq!((answer.text().as_str(), answer.finish), ("You said: zero ", Finish::Stop));
    }
}
