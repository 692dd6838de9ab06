use std::collections::HashMap;

use proptest::prelude::*;

use super::super::vocabulary::{CL100K, O200K};
use super::*;

/// Merging as its definition says, one step at a time, until `left` parts are left; gives where each ends.
fn by_definition(vocabulary: &Vocabulary, piece: &[u8], left: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = (0..=piece.len()).collect();
    while ends.len() - 1 > left {
        let lowest = (1..ends.len() - 1)
            .map(|at| (rank(vocabulary, piece, ends[at - 1], ends[at + 1]), at))
            .min()
            .filter(|(rank, _)| *rank != NO_TOKEN);
        let Some((_, at)) = lowest else { break };
        ends.remove(at);
    }
    ends.remove(0);
    ends
}

/// Every token of at least two bytes, by rank.
fn all(vocabulary: &Vocabulary) -> Vec<&'static [u8]> {
    let mut tokens: Vec<(u32, u32)> = vocabulary
        .slots
        .iter()
        .map(|slot| u32::from_le_bytes(*slot))
        .filter(|slot| *slot != 0)
        .map(|slot| (slot & 0x1F_FFFF, (slot >> 21 & 0x7F) + 1))
        .collect();
    tokens.sort_unstable();
    tokens.iter().map(|(start, length)| &vocabulary.bytes[*start as usize..][..*length as usize]).collect()
}

/// How far back from the end of a window what follows it can change where a token ends.
///
/// A token always comes of the same two parts, since the bytes of a token that forms are merged as if they
/// stood alone, and these are of lower ranks; so merges happen by rising rank. Take the first place where
/// two texts that start alike ever differ: in one of them two parts merge there, in the other not. The left
/// part is the same in both, so the right one is not: something differed within it or at its end before,
/// that is, at a merge of lower rank. So by rising rank: how far from a part's start does lie what decides
/// whether it merges with what follows (`stays`), and what decides whether it forms (`forms`).
fn reach(vocabulary: &Vocabulary) -> usize {
    let mut stays: HashMap<&[u8], usize> = HashMap::new();
    let mut forms: HashMap<&[u8], usize> = HashMap::new();
    let mut furthest = 0;
    for token in all(vocabulary) {
        let ends = by_definition(vocabulary, token, 2);
        assert_eq!(ends.len(), 2, "a token of one part");
        let (left, right) = token.split_at(ends[0]);
        let of = |known: &HashMap<&[u8], usize>, part: &[u8]| known.get(part).copied().unwrap_or(part.len());
        let beyond = left.len() + of(&forms, right).max(of(&stays, right));
        forms.insert(token, beyond.max(of(&forms, left)).max(of(&stays, left)));
        stays.insert(left, beyond.max(of(&stays, left)));
        furthest = furthest.max(beyond).max(forms[token]);
    }
    furthest
}

#[test]
fn every_token_is_one_token_and_merges_to_one() {
    for vocabulary in [&CL100K, &O200K] {
        let mut before = 0;
        for token in all(vocabulary) {
            let rank = vocabulary.rank(token);
            assert!(rank > before && rank != NO_TOKEN, "{token:?}");
            before = rank;
            assert_eq!(tokens(vocabulary, token), 1);
            assert_eq!(Parts::<128, 8>::tokens(vocabulary, token), 1, "{token:?}");
        }
        assert_eq!(vocabulary.rank(&[b' '; LONGEST + 1]), NO_TOKEN);
        assert_eq!(vocabulary.rank(&[0xFF; LONGEST]), NO_TOKEN);
        assert_eq!(vocabulary.rank(b""), NO_TOKEN);
    }
}

#[test]
fn what_follows_a_window_reaches_back_less_than_is_kept_of_it() {
    for vocabulary in [&CL100K, &O200K] {
        let reach = reach(vocabulary);
        assert!((2..REACH).contains(&reach), "{reach}");
    }
}

/// Bytes of which many neighbours are tokens.
fn piece(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec!["ab", "etaoinshrdlu", "abcdefghijklmnopqrstuvwxyzABCDEFG", " \n", "中文字网关"])
        .prop_flat_map(move |set| {
            prop::collection::vec(prop::sample::select(set.as_bytes().to_vec()), length.clone())
        })
}

proptest! {
    #[test]
    fn pieces_of_every_length_merge_as_the_definition_says(piece in piece(1..400)) {
        for vocabulary in [&CL100K, &O200K] {
            let expected = by_definition(vocabulary, &piece, 1).len() as u64;
            prop_assert_eq!(tokens(vocabulary, &piece), expected);
            prop_assert_eq!(Tree::merged(vocabulary, &piece).parts(piece.len()), expected);
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |three: &[u8]| {
        let number = (0..3).fold(0, |sum, at| sum << 8 | three.get(at).copied().map_or(0, usize::from));
        (0..4).map(move |at| char::from(DIGITS[number >> (18 - 6 * at) & 63])).take(three.len() + 1)
    };
    let mut text: String = bytes.chunks(3).flat_map(digits).collect();
    text.push_str(["", "==", "="][bytes.len() % 3]);
    text
}

/// The checksums are those that tiktoken holds its downloads against.
#[test]
fn the_tables_hold_what_the_published_files_do() {
    for (vocabulary, expected) in [
        (&CL100K, "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
        (&O200K, "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    ] {
        let mut file = String::new();
        let mut ranks = 0..;
        let mut line = |token: &[u8]| file += &format!("{} {}\n", base64(token), ranks.next().unwrap());
        let mut at = 0;
        for token in all(vocabulary) {
            // Tokens of one byte lie between the others.
            let start = vocabulary.rank(token) as usize;
            vocabulary.bytes[at..start].chunks(1).for_each(&mut line);
            line(token);
            at = start + token.len();
        }
        vocabulary.bytes[at..].chunks(1).for_each(&mut line);
        let sum: String =
            crate::crypto::sha256(&[file.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, expected);
    }
}
