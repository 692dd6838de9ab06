//! One pass over a text: a class for every byte, and a check behind each byte that a secret could hang on.
//!
//! Most bytes of a text belong to no class and are skipped; the others ([`Class`]) are where something of a kind
//! is recognised at the latest: a mail address by its `@`, a key by the sign that ends its prefix, a field by the
//! sign between name and value. Each check looks at a bounded piece of text or goes on behind what it has read, so
//! that the time is linear whatever the text.

use super::{field, mail, number, token};

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bearer,
    Jwt,
    OpenAi,
    Anthropic,
    Aws,
    Gcp,
    GitHub,
    Slack,
    Stripe,
    /// Of those whose keys say no more than that they are keys of somebody's.
    ApiKey,
    PrivateKey,
    /// The value of a field that is called `password` or the like.
    Credential,
    Email,
    Phone,
    Card,
    Iban,
    NationalId,
    /// The operator's own, by its place.
    Custom(usize),
}

impl Kind {
    /// Those that are not the operator's.
    pub(super) const ALL: [Self; 17] = [
        Self::Bearer,
        Self::Jwt,
        Self::OpenAi,
        Self::Anthropic,
        Self::Aws,
        Self::Gcp,
        Self::GitHub,
        Self::Slack,
        Self::Stripe,
        Self::ApiKey,
        Self::PrivateKey,
        Self::Credential,
        Self::Email,
        Self::Phone,
        Self::Card,
        Self::Iban,
        Self::NationalId,
    ];

    /// As it stands in `[REDACTED:kind]`; `None` for the operator's.
    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Bearer => "bearer",
            Self::Jwt => "jwt",
            Self::OpenAi => "openai-key",
            Self::Anthropic => "anthropic-key",
            Self::Aws => "aws-key",
            Self::Gcp => "gcp-key",
            Self::GitHub => "github-token",
            Self::Slack => "slack-token",
            Self::Stripe => "stripe-key",
            Self::ApiKey => "api-key",
            Self::PrivateKey => "private-key",
            Self::Credential => "credential",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::NationalId => "national-id",
            Self::Custom(_) => return None,
        })
    }
}

/// Bytes of a text that must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// What a byte may be the sign of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Of nothing.
    Plain,
    /// Numbers of every kind.
    Digit,
    /// `@` of a mail address.
    At,
    /// `:` and `=` behind a field's name, or before an address with a password.
    Is,
    /// `_` at the end of a key's prefix.
    Underscore,
    /// `-` likewise, and before a block.
    Dash,
    /// `J` of `eyJ`.
    Jwt,
    /// `A` of `AKIA` and `AIza`.
    Capital,
    /// `b` of `Bearer`.
    Bearer,
    /// `/` behind the address of a hook.
    Slash,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        #[allow(clippy::indexing_slicing)] // While compiling, where an index too large is an error.
        {
            classes[byte] = match byte as u8 {
                b'0'..=b'9' => Class::Digit,
                b'@' => Class::At,
                b':' | b'=' => Class::Is,
                b'_' => Class::Underscore,
                b'-' => Class::Dash,
                b'J' => Class::Jwt,
                b'A' => Class::Capital,
                b'B' | b'b' => Class::Bearer,
                b'/' => Class::Slash,
                _ => Class::Plain,
            };
        }
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Plain)
}

/// What a check says of a place.
pub(super) enum Seen {
    /// Nothing is there; the next place to look at, which is behind this one.
    Nothing(usize),
    /// This must go.
    Found(Finding),
}

impl Seen {
    /// A finding.
    pub(super) fn found(start: usize, end: usize, kind: Kind) -> Self {
        Self::Found(Finding { start, end, kind })
    }
}

/// A text while it is looked through.
pub(super) struct Scan<'t> {
    bytes: &'t [u8],
    /// Where the last finding ends: nothing before it is looked at again.
    floor: usize,
    /// Whether the text goes on where this one ends.
    pub(super) is_cut: bool,
    /// Whether national ids are looked for.
    pub(super) has_national_ids: bool,
    /// Up to where no key in a word is: it has been read without finding one.
    pub(super) no_key_before: usize,
    /// Likewise for JWTs.
    pub(super) no_jwt_before: usize,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str, has_national_ids: bool, is_cut: bool) -> Self {
        Self {
            bytes: text.as_bytes(),
            floor: 0,
            is_cut,
            has_national_ids,
            no_key_before: 0,
            no_jwt_before: 0,
        }
    }

    /// Every finding, in order, none over another.
    pub(super) fn run(mut self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..) {
            let Some(skipped) = rest.iter().position(|byte| class(*byte) != Class::Plain) else { break };
            at = at.saturating_add(skipped);
            let seen = match class(self.at(at)) {
                Class::Plain => Seen::Nothing(at),
                Class::Digit => number::at_digit(&self, at),
                Class::At => mail::at_sign(&self, at, 1),
                Class::Is => field::at_is(&self, at),
                Class::Underscore => token::at_underscore(&self, at),
                Class::Dash => token::at_dash(&mut self, at),
                Class::Jwt => token::at_jwt(&mut self, at),
                Class::Capital => token::at_capital(&self, at),
                Class::Bearer => token::at_bearer(&self, at),
                Class::Slash => token::at_slash(&self, at),
            };
            at = match seen {
                Seen::Nothing(next) => next.max(at.saturating_add(1)),
                Seen::Found(finding) => {
                    found.push(finding);
                    self.floor = finding.end;
                    finding.end.max(at.saturating_add(1))
                }
            };
        }
        found
    }

    /// How long the text is.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A byte; 0 behind the text.
    pub(super) fn at(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// A piece; empty where there is none.
    pub(super) fn piece(&self, start: usize, end: usize) -> &'t [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// From a place to the end.
    pub(super) fn rest(&self, start: usize) -> &'t [u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    /// The byte before a place as it is, 0 where the last finding or nothing is.
    pub(super) fn previous(&self, at: usize) -> u8 {
        if at > self.floor { self.at(at.saturating_sub(1)) } else { 0 }
    }

    /// What is not looked through yet and lies before a place.
    pub(super) fn before(&self, at: usize) -> &'t [u8] {
        self.piece(self.floor, at)
    }

    /// The byte before a place as a reader takes it: where an escape of JSON's or of a URL's ends there, a space.
    pub(super) fn neighbour(&self, at: usize) -> u8 {
        match self.before(at) {
            [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => b' ',
            [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => b' ',
            [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()) => b' ',
            [.., byte] => *byte,
            [] => 0,
        }
    }

    /// Whether a word can begin here.
    pub(super) fn begins_word(&self, at: usize) -> bool {
        !self.neighbour(at).is_ascii_alphanumeric()
    }

    /// The end of the bytes from a place that belong together.
    pub(super) fn run_end(&self, start: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = self.rest(start);
        let length = rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len());
        start.saturating_add(length)
    }

    /// The start of the bytes before a place that belong together, of at most so many.
    pub(super) fn run_start(&self, end: usize, most: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let before = self.before(end);
        let length = before.iter().rev().take(most).take_while(|byte| belongs(**byte)).count();
        end.saturating_sub(length)
    }
}
