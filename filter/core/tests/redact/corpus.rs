//! What is found of the corpus, and what of it is found wrongly.

use std::collections::BTreeMap;

use super::{look_alikes, redactor, samples};

/// Parts of all; of texts with a secret those found, of texts found those with a secret.
const RECALL: f64 = 1.0;
const PRECISION: f64 = 0.98;

#[test]
fn the_corpus_is_redacted_with_high_precision_and_recall() {
    let redactor = redactor();
    let (samples, look_alikes) = (samples(), look_alikes());
    assert!(samples.len() >= 200, "{} secrets", samples.len());
    assert!(look_alikes.len() >= 200, "{} look-alikes", look_alikes.len());
    let mut by_kind: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut misses = Vec::new();
    for sample in &samples {
        let redacted = redactor.redact(&sample.text);
        let is_found =
            redacted.contains(&format!("[REDACTED:{}]", sample.kind)) && !redacted.contains(&sample.secret);
        let (found, all) = by_kind.entry(sample.kind).or_default();
        *all += 1;
        if is_found {
            *found += 1;
        } else {
            misses.push(format!("{}: {} became {redacted}", sample.kind, sample.text));
        }
    }
    let wrong: Vec<String> = look_alikes
        .iter()
        .filter_map(|text| {
            let redacted = redactor.redact(text);
            (redacted != text.as_str()).then(|| format!("{text} became {redacted}"))
        })
        .collect();
    let found = samples.len() - misses.len();
    let recall = found as f64 / samples.len() as f64;
    let precision = found as f64 / (found + wrong.len()) as f64;
    for (kind, (found, all)) in &by_kind {
        println!("{kind:14} {found:3} of {all:3}");
    }
    println!(
        "{} secrets, {} look-alikes: recall {recall:.4}, precision {precision:.4}",
        samples.len(),
        look_alikes.len()
    );
    for line in misses.iter().chain(&wrong) {
        println!("{line}");
    }
    assert!(recall >= RECALL, "recall {recall}");
    assert!(precision >= PRECISION, "precision {precision}");
}

#[test]
fn of_a_secret_no_piece_is_left() {
    let redactor = redactor();
    for sample in samples() {
        let redacted = redactor.redact(&sample.text);
        for piece in pieces(&sample.secret) {
            assert!(!redacted.contains(piece), "{piece} is left of {}: {redacted}", sample.text);
        }
    }
}

/// Every piece of eight bytes.
pub(crate) fn pieces(secret: &str) -> impl Iterator<Item = &str> {
    (0..secret.len()).filter_map(|at| secret.get(at..at + 8))
}

#[test]
fn what_stands_around_a_secret_is_kept() {
    let redactor = redactor();
    for (text, becomes) in [
        (
            "Authorization: Bearer abc123def456\r\nHost: x",
            "Authorization: Bearer [REDACTED:bearer]\r\nHost: x",
        ),
        (
            r#"{"user":"bob","password":"a\"b","n":1}"#,
            r#"{"user":"bob","password":"[REDACTED:credential]","n":1}"#,
        ),
        (r#""{\"password\":\"hunter22\",\"n\":1}""#, r#""{\"password\":\"[REDACTED:credential]\",\"n\":1}""#),
        ("postgres://app:hunter2@db:5432/x", "postgres://app:[REDACTED:credential]@db:5432/x"),
        ("mail bob@example.com, please", "mail [REDACTED:email], please"),
        ("a\\nbob@example.com\\n", "a\\n[REDACTED:email]\\n"),
        ("Übergabe: 4111 1111 1111 1111 – ok", "Übergabe: [REDACTED:card] – ok"),
        ("https://x/?api_key=abcdefgh&n=1", "https://x/?api_key=[REDACTED:credential]&n=1"),
    ] {
        assert_eq!(redactor.redact(text), becomes);
    }
}

#[test]
fn national_ids_stay_unless_they_are_asked_for() {
    let redactor = attach_core::redact::Redactor::new(&attach_core::redact::Rules::default()).unwrap();
    for sample in samples().iter().filter(|sample| sample.kind == "national-id") {
        assert_eq!(redactor.redact(&sample.text), sample.text);
    }
}
