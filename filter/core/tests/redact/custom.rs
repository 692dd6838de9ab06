//! The operator's own patterns.

use std::time::{Duration, Instant};

use attach_core::redact::{Redactor, Rules};

use super::custom;

fn with(patterns: &[(&str, &str)]) -> Redactor {
    Redactor::new(&Rules { national_ids: false, custom: custom(patterns) }).unwrap()
}

#[test]
fn a_custom_pattern_is_replaced_by_its_kind() {
    let redactor = with(&[("employee", r"\bEMP-\d{6}\b"), ("project", "(?i)project (neptune|pluto)")]);
    for (text, becomes) in [
        ("EMP-123456 of Project Neptune", "[REDACTED:employee] of [REDACTED:project]"),
        ("EMP-1234567", "EMP-1234567"),
        ("mail emp-1@example.com EMP-000001", "mail [REDACTED:email] [REDACTED:employee]"),
        ("ü EMP-123456 ü", "ü [REDACTED:employee] ü"),
    ] {
        assert_eq!(redactor.redact(text), becomes);
        assert_eq!(redactor.redact(becomes), becomes);
    }
}

#[test]
fn what_overlaps_is_replaced_as_one() {
    let redactor = with(&[("tail", r"example\.com/\w+"), ("all", r"\w+:.*")]);
    assert_eq!(redactor.redact("x a@example.com/secret y"), "x [REDACTED:email] y");
    assert_eq!(redactor.redact("pw: a@example.com ."), "[REDACTED:all]");
}

#[test]
fn a_pattern_that_fits_a_replacement_leaves_it() {
    let redactor = with(&[("caps", "[A-Z]{4,}"), ("any", r"\S+@\S+")]);
    let once = redactor.redact("SECRET WORDS a@example.com").into_owned();
    assert_eq!(once, "[REDACTED:caps] [REDACTED:caps] [REDACTED:email]");
    assert_eq!(redactor.redact(&once), once);
}

#[test]
fn a_match_of_bytes_takes_whole_characters() {
    let redactor = with(&[("dot", "a.b")]);
    assert_eq!(redactor.redact("aéb axb"), "aéb [REDACTED:dot]");
    let redactor = with(&[("dot", "xa.")]);
    assert_eq!(redactor.redact("xaé!"), "[REDACTED:dot]!");
}

#[test]
fn an_unusable_pattern_is_named_with_what_is_wrong() {
    for (kind, pattern, says) in [
        ("Kind", "abc", "kind"),
        ("", "abc", "kind"),
        ("a]b", "abc", "kind"),
        ("k", "", "1 to 1024 bytes"),
        ("k", "a*", "empty text"),
        ("k", r"\b", "empty text"),
        ("k", "(", "unclosed group"),
        ("k", r"\p{Greek}", "Unicode"),
        ("k", "(?=x)a", "look-around"),
        ("k", r"(?:\w{1000}){1000}", "cannot be used"),
        ("k", &"a".repeat(2_000), "1 to 1024 bytes"),
    ] {
        let rules = Rules { national_ids: false, custom: custom(&[("good", "x+y"), (kind, pattern)]) };
        let bad = Redactor::new(&rules).err().unwrap_or_else(|| panic!("{pattern} was taken"));
        assert_eq!(bad.at, 1);
        assert!(bad.problem.contains(says), "{pattern}: {}", bad.problem);
    }
}

#[test]
fn a_match_that_the_end_cuts_through_is_dropped() {
    let redactor = with(&[("project", "Project Neptune [A-Z] of the [a-z]+"), ("line", "begin.*end")]);
    let text = "this is about Project Neptune X of the secret thing";
    for end in 15..text.len() {
        let cut = redactor.redact_cut(&text[..end]);
        assert!(!cut.contains("Project "), "{end}: {cut}");
    }
}

#[test]
fn many_matches_of_a_pattern_that_looks_far_ahead_take_linear_time() {
    let redactor = with(&[("far", "a(.*b)?"), ("farther", r"c[\s\S]*d")]);
    let text = "ac".repeat(250_000);
    let start = Instant::now();
    let redacted = redactor.redact(&text);
    assert!(!redacted.contains('c') || redacted.contains("[REDACTED:far]c"));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
