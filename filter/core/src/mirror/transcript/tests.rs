use proptest::prelude::*;

use super::*;
use crate::mirror::pool::{MAX_BYTES, OPEN_BYTES};
use crate::redact::Rules;

fn redactor() -> Redactor {
    Redactor::new(&Rules::default()).unwrap()
}

const CONTENT: SaidText = SaidText { number: 0, is_arguments: false };
const NAME: SaidText = SaidText { number: 2, is_arguments: false };
const ARGUMENTS: SaidText = SaidText { number: 3, is_arguments: true };

#[test]
fn texts_are_lines_and_what_was_told_before_is_forgotten() {
    let pool = Pool::default();
    let mut prompt = Transcript::new(&pool, 1000);
    for (text, by_model) in
        [("be kind", false), ("hi", false), ("hello", true), ("how", false), ("why", false)]
    {
        prompt.push(text.as_bytes());
        prompt.end_text();
        if by_model {
            prompt.clear();
        }
    }
    let said = prompt.finish(&redactor(), 1000);
    assert_eq!((&*said.content, said.truncated, said.share.bytes()), ("how\nwhy", false, 7));
    drop(said);
    assert_eq!(pool.taken(), 0);
}

#[test]
fn choices_that_take_turns_are_kept_apart() {
    let pool = Pool::default();
    let mut answer = AnswerTranscript::new(&pool, 1000);
    for (choice, text, piece) in [
        (1, CONTENT, "no"),
        (0, CONTENT, "ye"),
        (1, CONTENT, "pe"),
        (0, CONTENT, "s"),
        (0, NAME, "look"),
        (0, ARGUMENTS, "{\"a\":"),
        (0, ARGUMENTS, "1}"),
        (0, NAME, "go"),
        (0, ARGUMENTS, "{}"),
    ] {
        answer.said(choice, text, piece.as_bytes());
    }
    let said = answer.finish(&redactor(), 1000);
    assert_eq!(said.content, "yes\nlook {\"a\":1}\ngo {}\n\nnope");
    assert!(!said.truncated);
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let pool = Pool::default();
    for (length, max, truncated) in
        [(1000, 1000, false), (1001, 1000, true), (9000, 1000, true), (100_000, 65_536, true)]
    {
        let mut prompt = Transcript::new(&pool, max);
        for _ in 0..length {
            prompt.push(b"x");
        }
        assert!(pool.taken() <= max + MARGIN);
        let said = prompt.finish(&redactor(), max);
        assert_eq!((said.content.len(), said.truncated), (length.min(max), truncated));
        assert_eq!(pool.taken(), said.content.len());
    }
}

#[test]
fn no_cut_goes_through_a_character() {
    let pool = Pool::default();
    let mut prompt = Transcript::new(&pool, 1000);
    prompt.push("é".repeat(5000).as_bytes());
    prompt.push(b"x");
    assert_eq!(prompt.finish(&redactor(), 999).content, "é".repeat(499));
    let mut prompt = Transcript::new(&pool, 1000);
    prompt.push(b"a\xffb\xc3");
    assert_eq!(prompt.finish(&redactor(), 1000).content, "a\u{fffd}b\u{fffd}");
}

#[test]
fn without_memory_texts_are_cut_and_nothing_is_taken_beyond_it() {
    let pool = Pool::default();
    let mut other = pool.share();
    assert!(other.grow(OPEN_BYTES - 1500));
    let mut prompt = Transcript::new(&pool, 65_536);
    prompt.push(&[b'a'; 1200]);
    prompt.push(&[b'b'; 1200]);
    prompt.push(b"c");
    assert!(pool.taken() <= MAX_BYTES);
    let said = prompt.finish(&redactor(), 65_536);
    assert!(said.truncated && said.content.starts_with("aaa") && !said.content.contains('c'));
    drop((said, other));
    assert_eq!(pool.taken(), 0);
}

proptest! {
    #[test]
    fn no_text_takes_more_than_it_may_and_all_of_it_comes_back(
        pieces in prop::collection::vec((0..20_u32, 0..3_u32, "\\PC{0,300}"), 0..60),
        max in 16..2000_usize,
        taken in prop_oneof![Just(0), (OPEN_BYTES - 4000)..=MAX_BYTES],
    ) {
        let pool = Pool::default();
        let mut other = pool.share();
        prop_assert!(other.grow(taken));
        let (mut prompt, mut answer) = (Transcript::new(&pool, max), AnswerTranscript::new(&pool, max));
        let mut whole = String::new();
        for (choice, number, piece) in &pieces {
            prompt.push(piece.as_bytes());
            whole.push_str(piece);
            answer.said(*choice, SaidText { number: *number, is_arguments: *number == 2 }, piece.as_bytes());
            prop_assert!(pool.taken() <= MAX_BYTES);
            prop_assert!(pool.taken() - taken <= 3 * (max + MARGIN) + MAX_CHOICES * FIRST);
        }
        let (prompt, answer) = (prompt.finish(&redactor(), max), answer.finish(&redactor(), max));
        prop_assert!(prompt.content.len() <= max && answer.content.len() <= max);
        prop_assert!(prompt.truncated || prompt.content == redactor().redact(&whole));
        prop_assert_eq!(pool.taken() - taken, prompt.content.len() + answer.content.len());
        drop((prompt, answer, other));
        prop_assert_eq!(pool.taken(), 0);
    }
}
