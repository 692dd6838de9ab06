use proptest::prelude::*;

use super::*;

const BOTH: [Encoding; 2] = [Encoding::Cl100k, Encoding::O200k];

/// What another implementation counts.
fn peer(encoding: Encoding, text: &str) -> u64 {
    let tokenizer = match encoding {
        Encoding::Cl100k => bpe_openai::cl100k_base(),
        Encoding::O200k => bpe_openai::o200k_base(),
    };
    tokenizer.count(text) as u64
}

/// Counts a text that arrives in these pieces, and holds every state on the way against the bound.
fn counted<'a>(encoding: Encoding, pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut counter = TextCounter::new(encoding);
    let mut low = 0;
    for piece in pieces {
        counter.push(piece);
        assert!(counter.counted() >= low, "what is counted stays counted");
        low = counter.counted();
    }
    let bound = counter.counted() + counter.pending_bytes() as u64;
    let exact = counter.finish();
    assert!(low <= exact && exact <= bound, "{low} ≤ {exact} ≤ {bound}");
    assert_eq!((counter.counted(), counter.pending_bytes()), (0, 0), "ready for the next text");
    exact
}

/// Characters among which each rule of the patterns finds its own, more often than among all there are.
fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        4 => prop::sample::select(
            "aàbßZÉǅʰªªא中字かࠀ\u{301}\u{20DD}\u{FE0F}19٣Ⅷ½ \t\n\r\u{A0}\u{2028}\u{3000}''''sStTmMdDlLvVrReEſK.,/!/-_😀🏽\u{200D}👩€\u{0}\u{7F}\u{AD}"
                .chars()
                .collect::<Vec<_>>()
        ),
        2 => prop::char::range(' ', '~'),
        1 => any::<char>(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "'s",
        "'LL",
        "'Ve",
        "'re",
        "'ſ",
        "  ",
        " \n",
        "\r\n",
        "\n\n  ",
        "//",
        "the",
        " The",
        "HTTPServer",
        "aB",
        "中A",
        "1234567",
        " ’t",
        "<|endoftext|>",
        "\u{301}A",
        "...\n/",
        "ΑΒΓ",
        "ﬁ",
        " \u{3000}x",
        "👨‍👩‍👧",
    ])
    .prop_map(str::to_owned);
    let part = prop_oneof![3 => character().prop_map(String::from), 1 => words];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn counts_as_its_peer_does(text in text()) {
        for encoding in BOTH {
            prop_assert_eq!(count(encoding, &text), peer(encoding, &text), "{}: {:?}", encoding.name(), text);
        }
    }

    #[test]
    fn counts_any_string_as_its_peer_does(text in any::<String>()) {
        for encoding in BOTH {
            prop_assert_eq!(count(encoding, &text), peer(encoding, &text), "{}: {:?}", encoding.name(), text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn however_a_text_is_cut_in_two_its_count_is_the_same(text in text()) {
        for encoding in BOTH {
            let whole = count(encoding, &text);
            for at in 0..=text.len() {
                let (start, end) = text.as_bytes().split_at(at);
                prop_assert_eq!(counted(encoding, [start, end]), whole, "{} cut at {}", encoding.name(), at);
            }
            prop_assert_eq!(counted(encoding, text.as_bytes().chunks(1)), whole, "{}: bytes", encoding.name());
        }
    }

    #[test]
    fn bytes_that_are_no_text_count_as_replaced(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(b"\xE4\xB8\xAD\xF0\x9F\x98\x80\xC5\xBF' a\xFF".to_vec())], 0..40
    )) {
        let text = String::from_utf8_lossy(&bytes);
        for encoding in BOTH {
            let whole = peer(encoding, &text);
            prop_assert!(whole <= bytes.len() as u64, "never more tokens than bytes");
            for at in 0..=bytes.len() {
                let (start, end) = bytes.split_at(at);
                prop_assert_eq!(counted(encoding, [start, end]), whole, "{} cut at {}", encoding.name(), at);
            }
            prop_assert_eq!(counted(encoding, bytes.chunks(1)), whole);
        }
    }
}

/// Texts of one piece, or of a few, that grow without end.
fn hostile(bytes: usize) -> Vec<String> {
    let mut state = 7_u32;
    let mut random = |letters: &str| {
        let letters: Vec<char> = letters.chars().collect();
        let mut text = String::new();
        while text.len() < bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push(letters[(state >> 16) as usize % letters.len()]);
        }
        text
    };
    let mut texts: Vec<String> = [
        "abcdefghijklmnopqrstuvwxyz",
        "etaoinETAOIN",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "中文字网关的令牌",
        "AB中",
        "ab",
        " \t\u{A0}",
        " \n",
        "\r\n\t ",
        "!?.,;:-_=+/*",
        "\u{301}\u{302}\u{303}",
        "'s",
    ]
    .into_iter()
    .map(&mut random)
    .collect();
    for part in [
        "a", " ", "\n", "\r\n", "\t", "A", "中", "🙂", "\u{301}", "'", "/", "1", "\0", "\u{FFFD}", "ab ",
        "A中B", "\n ",
    ] {
        texts.push(part.repeat(bytes / part.len() + 1));
    }
    texts.push(format!("\n{}x", " ".repeat(bytes)));
    texts.push(format!("{}\n", " ".repeat(bytes)));
    texts.push(format!("中{}'s", "A".repeat(bytes)));
    texts
}

#[test]
fn pieces_without_end_count_as_their_peer_has_them_however_they_arrive() {
    for text in hostile(9_000) {
        for encoding in BOTH {
            let start: String = text.chars().take(3).collect();
            let whole = peer(encoding, &text);
            assert_eq!(count(encoding, &text), whole, "{}: {start:?}…", encoding.name());
            for chunk in [1, 7, 1_000, 4_097] {
                assert_eq!(counted(encoding, text.as_bytes().chunks(chunk)), whole, "{start:?}… by {chunk}");
            }
        }
    }
}

#[test]
fn what_waits_of_a_piece_without_end_stays_small() {
    for part in ["a", " ", "\n", "A", "中", "🙂", "'", "1", "\n "] {
        for encoding in BOTH {
            let mut counter = TextCounter::new(encoding);
            for _ in 0..200 {
                counter.push(part.repeat(500).as_bytes());
                assert!(
                    counter.pending_bytes() <= merge::WINDOW + 4,
                    "{part:?}: {}",
                    counter.pending_bytes()
                );
                assert!(counter.waiting.capacity() <= KEPT, "{part:?}: {}", counter.waiting.capacity());
            }
            counter.finish();
        }
    }
}

/// Not a measurement: what is quadratic would take minutes.
#[test]
fn long_texts_that_arrive_in_small_pieces_take_no_minute() {
    for text in hostile(30_000).into_iter().chain([" ", "a", "A中", "\n"].map(|part| part.repeat(200_000))) {
        let mut counter = TextCounter::new(Encoding::O200k);
        for chunk in text.as_bytes().chunks(16) {
            counter.push(chunk);
        }
        assert_eq!(counter.finish(), count(Encoding::O200k, &text));
    }
}
