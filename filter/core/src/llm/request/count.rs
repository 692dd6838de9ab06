//! The exact tokens of a prompt, counted while its body is read.

use super::TextSink;
use crate::llm::bpe::{Encoding, TextCounter};

/// Counts every text of a prompt. With [`RequestFacts::overhead`](super::RequestFacts::overhead) it is the
/// prompt's exact count.
#[derive(Debug)]
pub struct PromptCounter {
    counter: TextCounter,
    /// The tokens of the texts that are over.
    done: u64,
}

impl PromptCounter {
    /// A counter before the first text.
    #[must_use]
    pub const fn new(encoding: Encoding) -> Self {
        Self { counter: TextCounter::new(encoding), done: 0 }
    }

    /// What it counts in.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.counter.encoding()
    }

    /// The tokens of all texts that are over.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.done
    }
}

impl TextSink for PromptCounter {
    fn text(&mut self, piece: &[u8]) {
        self.counter.push(piece);
    }

    fn end_text(&mut self) {
        self.done = self.done.saturating_add(self.counter.finish());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::llm::bpe;
    use crate::llm::request::tests::{bodies, shapes};
    use crate::llm::request::{BodyError, RequestReader};
    use crate::llm::shape::Shape;

    /// The exact count and the bound.
    fn count(shape: Shape, encoding: Encoding, chunks: &[&[u8]]) -> Result<(u64, u64), BodyError> {
        let mut reader = RequestReader::new(shape);
        let mut counter = PromptCounter::new(encoding);
        for chunk in chunks {
            reader.push(chunk, &mut counter)?;
        }
        let facts = reader.finish()?;
        Ok((facts.overhead + counter.tokens(), facts.prompt_bound()))
    }

    /// The original's formula, on messages whose members are all strings.
    fn original(messages: &Value, encoding: Encoding) -> u64 {
        let mut total = 3;
        for message in messages.as_array().unwrap() {
            total += 4;
            for (name, text) in message.as_object().unwrap() {
                total += bpe::count(encoding, text.as_str().unwrap());
                total -= u64::from(name == "name");
            }
        }
        total
    }

    #[test]
    fn a_chat_costs_what_the_original_counts() {
        let body = json!({"model": "gpt-4", "messages": [
            {"role": "system", "content": "You are a helpful, pattern-following assistant."},
            {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
            {"role": "user", "content": "Grüße, 世界 🦀\n\n\tindented"},
        ]});
        for encoding in [Encoding::parse("cl100k_base").unwrap(), Encoding::parse("o200k_base").unwrap()] {
            let expected = original(&body["messages"], encoding);
            // Whole, with escapes for what is not ASCII, and byte by byte.
            let text = body.to_string();
            let (exact, bound) = count(Shape::OpenAiChat, encoding, &[text.as_bytes()]).unwrap();
            assert_eq!(exact, expected);
            assert!(bound > exact);
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(count(Shape::OpenAiChat, encoding, &bytes).unwrap().0, expected);
        }
    }

    fn encodings() -> impl Strategy<Value = Encoding> {
        prop::sample::select(vec![
            Encoding::parse("cl100k_base").unwrap(),
            Encoding::parse("o200k_base").unwrap(),
        ])
    }

    proptest! {
        #[test]
        fn any_chat_costs_what_the_original_counts(
            messages in prop::collection::vec((".{0,30}", ".{0,200}", prop::option::of("[a-z ]{0,9}")), 0..6),
            encoding in encodings(),
            size in 1_usize..100,
        ) {
            let messages: Vec<Value> = messages.into_iter().map(|(role, content, name)| match name {
                Some(name) => json!({"role": role, "content": content, "name": name}),
                None => json!({"role": role, "content": content}),
            }).collect();
            let body = json!({"messages": messages});
            let text = body.to_string();
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let (exact, bound) = count(Shape::OpenAiChat, encoding, &chunks).unwrap();
            prop_assert_eq!(exact, original(&body["messages"], encoding));
            prop_assert!(bound >= exact);
        }

        #[test]
        fn no_prompt_has_more_tokens_than_its_bound(shape in shapes(), body in bodies(), encoding in encodings(), size in 1_usize..40) {
            let whole = count(shape, encoding, &[body.as_bytes()]);
            let chunks: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            prop_assert_eq!(count(shape, encoding, &chunks), whole);
            if let Ok((exact, bound)) = whole {
                prop_assert!(exact <= bound);
            }
        }
    }
}
