//! The words of a text, and how much each weighs in it.
//!
//! A word is what Weaviate's tokenization `word` makes of a text: letters and digits, in small letters. Scripts that
//! do not part words are taken by signs and pairs of signs.
//!
//! A word goes into the index with one of four [`LEVELS`]: the part of BM25 that its text decides (how often it
//! stands there, how long the text is), roughly. So a search has all it needs from the index, best first, and reads
//! no text; what a word is worth among the owner's own events is counted when it is asked for. Nothing about one
//! owner's events depends on another's.

use std::collections::HashMap;

/// The most of a word that counts, in bytes.
const MAX_WORD: usize = 64;
/// The most different words of a text; those after them are not found.
const MAX_WORDS: usize = 20_000;
/// The most words of a query.
const MAX_TERMS: usize = 16;
/// The most of a query that is read, in bytes.
const MAX_QUERY: usize = 4096;
/// The most different words of a query that it is chosen from.
const MAX_CHOICE: usize = 128;

/// BM25's parameters, as Weaviate has them.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// A text's usual length in words. A constant: an average would change what was indexed already.
const USUAL_LENGTH: f32 = 100.0;

/// A level: the sign that a word has in the index, from where it holds, and what it stands for.
pub(super) struct Level {
    /// No word has it, nor has a word an accent that could be dropped from it.
    pub(super) sign: char,
    from: f32,
    pub(super) weight: f32,
}

/// The best first. The last begins at nothing.
pub(super) const LEVELS: [Level; 4] = [
    Level { sign: '\u{a1}', from: 1.8, weight: 1.95 },
    Level { sign: '\u{a2}', from: 1.4, weight: 1.55 },
    Level { sign: '\u{a3}', from: 0.8, weight: 1.1 },
    Level { sign: '\u{a4}', from: 0.0, weight: 0.5 },
];

/// What is indexed of a text.
pub(super) fn indexed(text: &str) -> String {
    let mut counts: HashMap<String, u32> = HashMap::new();
    let mut length: u32 = 0;
    each(text, true, |word| {
        length = length.saturating_add(1);
        if let Some(count) = counts.get_mut(word) {
            *count = count.saturating_add(1);
        } else if counts.len() < MAX_WORDS {
            counts.insert(word.to_owned(), 1);
        }
    });
    // Neighbours in the index's own order are put in faster, and a text is always the same.
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    counts.sort_unstable();
    let mut all = String::with_capacity(counts.iter().map(|(word, _)| word.len() + 3).sum());
    for (word, count) in counts {
        all.push_str(&word);
        all.push(sign(count, length));
        all.push(' ');
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "a rough weight")]
fn sign(count: u32, length: u32) -> char {
    let (count, length) = (count as f32, length as f32);
    let impact = count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / USUAL_LENGTH));
    LEVELS.iter().find(|level| impact >= level.from).map_or('\u{a4}', |level| level.sign)
}

/// The words that are looked for: the longest, which are the rarer ones, if there are too many.
pub(super) fn terms(query: &str) -> Vec<String> {
    let (query, _) = query.split_at_checked(query.floor_char_boundary(MAX_QUERY)).unwrap_or((query, ""));
    let mut terms: Vec<String> = Vec::new();
    each(query, false, |word| {
        if terms.len() < MAX_CHOICE && !terms.iter().any(|term| term == word) {
            terms.push(word.to_owned());
        }
    });
    // Stable: among words of a length, those that came first.
    terms.sort_by_key(|term| std::cmp::Reverse(term.chars().count()));
    terms.truncate(MAX_TERMS);
    terms
}

/// Each word of a text; of a script without spaces every sign and pair, or (`has_signs` false) only the pairs where
/// there are any.
fn each(text: &str, has_signs: bool, mut tell: impl FnMut(&str)) {
    let mut word = String::with_capacity(MAX_WORD);
    let mut signs = String::with_capacity(8);
    // The sign before, and whether it was told in a pair.
    let mut before: Option<(char, bool)> = None;
    // The end is as good as a space.
    for c in text.chars().chain([' ']) {
        if is_mark(c) {
            continue;
        }
        let stands_alone = has_no_spaces(c);
        if !stands_alone {
            if let Some((last, false)) = before.take().filter(|_| !has_signs) {
                tell(only(&mut signs, &[last]));
            }
            if c.is_alphanumeric() {
                if word.len() < MAX_WORD {
                    word.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
                }
                continue;
            }
        }
        if !word.is_empty() {
            tell(&word);
            word.clear();
        }
        if stands_alone {
            if has_signs {
                tell(only(&mut signs, &[c]));
            }
            if let Some((last, _)) = before {
                tell(only(&mut signs, &[last, c]));
            }
            before = Some((c, before.is_some()));
        }
    }
}

fn only<'a>(buffer: &'a mut String, signs: &[char]) -> &'a str {
    buffer.clear();
    buffer.extend(signs);
    buffer
}

/// An accent that stands for itself: it belongs to the letter before, and is dropped like those of one sign with it.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// A letter of a script that is written without spaces between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer.
fn has_no_spaces(c: char) -> bool {
    matches!(u32::from(c),
        0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff
        | 0xe00..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff)
        && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str, has_signs: bool) -> Vec<String> {
        let mut all = Vec::new();
        each(text, has_signs, |word| all.push(word.to_owned()));
        all
    }

    #[test]
    fn words_are_letters_and_digits_in_small_letters() {
        for (text, expected) in [
            ("", &[][..]),
            ("Hello, World! x_1", &["hello", "world", "x", "1"]),
            ("\"a\" OR b* NEAR(c) -d: {e} \0f", &["a", "or", "b", "near", "c", "d", "e", "f"]),
            ("MÜLLER cafe\u{301} İ", &["müller", "cafe", "i"]),
            ("日本語 x 中", &["日", "本", "日本", "語", "本語", "x", "中"]),
        ] {
            assert_eq!(words(text, true), expected, "{text}");
        }
        assert_eq!(words("日本語 x 中", false), ["日本", "本語", "x", "中"]);
        assert_eq!(words(&"a".repeat(1000), true), ["a".repeat(MAX_WORD)]);
    }

    #[test]
    fn a_word_weighs_more_the_more_often_it_stands_in_a_shorter_text() {
        assert_eq!(indexed("b a b"), "a\u{a2} b\u{a1} ");
        let long = "x ".repeat(400) + "y z z z z z z z";
        assert_eq!(indexed(&long), "x\u{a1} y\u{a4} z\u{a3} ");
    }

    #[test]
    fn of_a_long_query_the_longest_words_are_looked_for() {
        let query = (0..100).map(|n| format!("{}{n:02} ", "w".repeat(n % 20))).collect::<String>();
        let terms = terms(&query);
        assert_eq!(terms.len(), MAX_TERMS);
        assert!(terms.iter().all(|term| term.len() >= 18), "{terms:?}");
        assert_eq!(super::terms(&"é".repeat(1 << 20)).len(), 1);
        assert_eq!(super::terms("a A b a"), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn every_word_that_is_looked_for_was_indexed_and_none_has_a_sign(text in "\\PC{0,60}") {
            let indexed = indexed(&text);
            let found: Vec<&str> = indexed.split(' ').map(|word| word.trim_end_matches(|c| LEVELS.iter().any(|l| l.sign == c))).collect();
            for term in terms(&text) {
                prop_assert!(found.contains(&term.as_str()), "{term:?}");
                prop_assert!(term.chars().all(char::is_alphanumeric) && term.len() <= MAX_WORD + 16);
            }
        }
    }
}
