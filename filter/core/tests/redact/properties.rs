//! What holds of any text.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::redact_corpus::pieces;
use super::{look_alikes, redactor, samples};

#[test]
fn a_text_without_secrets_is_not_copied() {
    let redactor = redactor();
    for text in ["", "hello", "the bearer of news", "日本語のテキスト"] {
        assert!(matches!(redactor.redact(text), Cow::Borrowed(same) if same == text));
    }
}

#[test]
fn redacting_twice_changes_nothing() {
    let redactor = redactor();
    for sample in samples() {
        let once = redactor.redact(&sample.text).into_owned();
        assert_eq!(redactor.redact(&once), once, "{}", sample.text);
    }
}

#[test]
fn no_cut_leaves_a_piece_of_a_secret() {
    let redactor = redactor();
    for sample in samples() {
        let text = format!("This was said before. {} And this behind it.", sample.text);
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let cut = redactor.redact_cut(&text[..end]);
            for piece in pieces(&sample.secret) {
                assert!(!cut.contains(piece), "{piece} is left of {} cut at {end}: {cut}", sample.text);
            }
        }
    }
}

#[test]
fn a_cut_drops_little_of_what_is_no_secret() {
    let redactor = redactor();
    let text = "Ordinary words, as people write them; none of them is a secret. ".repeat(20);
    for end in 0..text.len() {
        let kept = redactor.redact_cut(&text[..end]).len();
        assert!(end - kept <= 16, "{} of {end} bytes went", end - kept);
    }
    for text in look_alikes() {
        let text = format!("{} {text}", "word ".repeat(100));
        assert!(text.len().saturating_sub(redactor.redact_cut(&text).len()) <= 512, "{text}");
    }
}

/// Pieces of which hard texts are made.
fn hard() -> impl Strategy<Value = String> {
    let pieces: Vec<String> = samples().into_iter().map(|sample| sample.text).chain(look_alikes()).collect();
    let signs = [
        "@",
        ".",
        "-",
        "_",
        "\"",
        "\\",
        "\\\"",
        "=",
        ":",
        " ",
        "\n",
        "eyJ",
        "sk-",
        "-----BEGIN ",
        "4",
        "41",
        "+",
        "(",
        "é",
        "日",
        "🙂",
        "\\n",
        "%40",
        "Bearer ",
        "password",
        "token=",
        "[REDACTED:email]",
        "[REDACTED:",
        "]",
        "//",
    ];
    let piece = prop_oneof![
        2 => proptest::sample::select(pieces),
        3 => proptest::sample::select(signs.map(String::from).to_vec()),
        1 => "[a-zA-Z0-9]{1,12}",
        1 => ".{0,6}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn redacted_any_text_is_redacted_for_good(text in hard()) {
        let redactor = redactor();
        let once = redactor.redact(&text).into_owned();
        prop_assert_eq!(redactor.redact(&once), once.as_str());
    }

    #[test]
    fn redacted_any_cut_text_is_the_beginning_of_one(text in hard(), cut in 0_usize..400) {
        let redactor = redactor();
        let end = text.floor_char_boundary(cut);
        let kept = redactor.redact_cut(&text[..end]).into_owned();
        prop_assert_eq!(redactor.redact(&kept), kept.as_str());
        prop_assert!(kept.len() <= end + 32 * (1 + text.len() / 4));
    }

    #[test]
    fn redacted_arbitrary_text_breaks_nothing(text in any::<String>()) {
        let redactor = redactor();
        let _ = redactor.redact(&text);
        let _ = redactor.redact_cut(&text);
    }
}

#[test]
fn hostile_texts_take_linear_time() {
    let redactor = redactor();
    let seconds = |text: &str| {
        let start = Instant::now();
        std::hint::black_box((redactor.redact(text), redactor.redact_cut(text)));
        start.elapsed()
    };
    for part in [
        "@",
        "a@",
        "%40",
        "a%40",
        "1",
        "1 ",
        "12-",
        "1234 ",
        "+1",
        "(1",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-",
        "sk-",
        "sk-a-",
        "sk-ant-",
        "xoxb-",
        "xoxb-_",
        "github_pat_",
        "eyJ",
        "eyJa.",
        "-eyJ",
        "eyJhbGciOiJIUzI1NiJ9.",
        "AIza",
        "-AIza",
        "AKIA",
        "Bearer ",
        "bearer a",
        "password=",
        "password:\"",
        "\"token\":\"a",
        "token=\\\"",
        "\\\"token\\\":\\\"",
        "token:\" ",
        "\\",
        "a://",
        "a://b:",
        "a:",
        "=",
        "a.",
        "a.b",
        "GB82",
        "GB82 ",
        "DE1",
        "A1",
        "phone ",
        "authorization: Digest ",
        "é",
        "日",
        "a@b.",
        "a@é.",
        "\"secret\":\"\\",
        "[REDACTED:",
        "authorization:basic ",
        "authorization=",
        "token=(",
        "ya29.",
    ] {
        let text = part.repeat(1_000_000 / part.len());
        let took = seconds(&text);
        // Unoptimised, and beside others: a square of the length would take many minutes.
        assert!(took < Duration::from_secs(10), "{part:?} took {took:?}");
    }
}
