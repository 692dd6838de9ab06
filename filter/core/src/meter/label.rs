//! Values of labels, so written that a metric's name can hold them.
//!
//! Envoy makes labels out of a metric's name (`name;user=u;model=m`), by rules that the rendered configuration
//! holds. A value must not end its own label, so what could is written in hexadecimal; two different values
//! never become the same, but for those that are too long or empty: they read [`OTHER`].

use std::borrow::Cow;

/// The value that stands for all that have no series of their own.
pub const OTHER: &str = "other";
/// The longest value, in bytes as it is written.
pub const MAX_BYTES: usize = 128;
/// Every label that the filter's metrics have.
pub const NAMES: [&str; 7] = ["user", "model", "direction", "outcome", "reason", "source", "name"];

/// A value as it is written.
#[must_use]
pub fn label(value: &str) -> Cow<'_, str> {
    if value.is_empty() || value.len() > MAX_BYTES {
        return Cow::Borrowed(OTHER);
    }
    // Envoy drops a dot at the end of a name, and `m.` would become `m`.
    let last = value.len().saturating_sub(1);
    let stands = |(at, character): (usize, char)| is_plain(character) && (character != '.' || at < last);
    if value.char_indices().all(stands) {
        return Cow::Borrowed(value);
    }
    let mut written = String::with_capacity(value.len().saturating_mul(2));
    for (at, character) in value.char_indices() {
        if stands((at, character)) {
            written.push(character);
            continue;
        }
        let mut bytes = [0; 4];
        for byte in character.encode_utf8(&mut bytes).bytes() {
            written.push('%');
            written.extend([byte >> 4, byte & 15].map(|nibble| {
                char::from_digit(u32::from(nibble), 16).unwrap_or_default().to_ascii_uppercase()
            }));
        }
    }
    Cow::Owned(if written.len() > MAX_BYTES { OTHER.to_owned() } else { written })
}

/// Whether a character stands as it is: `%` does not, or two values could become the same.
fn is_plain(character: char) -> bool {
    !character.is_control() && !matches!(character, ';' | '=' | '%' | '"' | '\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_cannot_leave_its_label() {
        let long = "a".repeat(MAX_BYTES + 1);
        let grows = ";".repeat(MAX_BYTES / 3 + 1);
        for (value, expected) in [
            ("auth0|anna", "auth0|anna"),
            ("did:key:z6Mk", "did:key:z6Mk"),
            ("a b.c", "a b.c"),
            ("m.", "m%2E"),
            ("m..", "m.%2E"),
            ("a;model=x", "a%3Bmodel%3Dx"),
            ("a\nb\0\u{7f}\u{85}", "a%0Ab%00%7F%C2%85"),
            ("100%", "100%25"),
            ("\"\\", "%22%5C"),
            ("müller", "müller"),
            ("", OTHER),
            (&long, OTHER),
            (&grows, OTHER),
        ] {
            assert_eq!(label(value), expected, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn two_values_never_become_the_same(one in "[ab;=%3BDé\\x00]{0,60}", two in "[ab;=%3BDé\\x00]{0,60}") {
            let (written, other) = (label(&one), label(&two));
            prop_assert!(one == two || written != other || written == OTHER);
        }

        #[test]
        fn whatever_the_value_its_label_is_short_and_harmless(value: String) {
            let written = label(&value);
            prop_assert!(!written.is_empty() && written.len() <= MAX_BYTES);
            prop_assert!(!written.chars().any(|c| c.is_control() || matches!(c, ';' | '=' | '"' | '\\')));
        }
    }
}
