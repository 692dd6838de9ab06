//! How large a record may be, so that room for it can be promised before it is known.

use super::UsageRecord;
use crate::outbox::Entry;

/// The most of a model's name that is kept, in bytes as they are written.
pub const MAX_MODEL_BYTES: usize = 128;
/// The most of a project's name.
pub const MAX_PROJECT_BYTES: usize = 128;
/// The most of a request id, which is there to be searched for in logs.
pub const MAX_REQUEST_ID_BYTES: usize = 64;
/// The most of a credential's name.
const MAX_CREDENTIAL_BYTES: usize = 32;
/// The most of an id: the filter's own are shorter.
const MAX_ID_BYTES: usize = 80;
/// The rest of a row: the names of its members and its numbers at their longest.
const FRAME_BYTES: usize = 352;

/// Enough for the record of a request of which this is known already.
#[must_use]
pub fn room_for(user: &str, agent: Option<&str>, project: &str) -> usize {
    [
        written(user),
        agent.map_or(0, written),
        written(project).min(MAX_PROJECT_BYTES),
        MAX_MODEL_BYTES,
        MAX_REQUEST_ID_BYTES,
        MAX_CREDENTIAL_BYTES,
        MAX_ID_BYTES,
        FRAME_BYTES,
    ]
    .into_iter()
    .fold(0, usize::saturating_add)
}

impl UsageRecord {
    /// The record with what strangers name cut to length: models, projects, request ids. Nothing that says who
    /// pays is ever cut.
    #[must_use]
    pub fn fitted(mut self) -> Self {
        cut(&mut self.model, MAX_MODEL_BYTES);
        cut(&mut self.project, MAX_PROJECT_BYTES);
        cut(&mut self.request_id, MAX_REQUEST_ID_BYTES);
        cut(&mut self.credential, MAX_CREDENTIAL_BYTES);
        self
    }
}

impl Entry for UsageRecord {
    fn bytes(&self) -> usize {
        [
            &self.id,
            &self.user,
            self.agent.as_ref().unwrap_or(&String::new()),
            &self.project,
            &self.model,
            &self.credential,
            &self.request_id,
        ]
        .into_iter()
        .map(|text| written(text))
        .fold(FRAME_BYTES, usize::saturating_add)
    }
}

/// How long a text is in JSON, without its quotes.
fn written(text: &str) -> usize {
    text.bytes().map(width).fold(0, usize::saturating_add)
}

/// How long a byte of a text is in JSON; those of longer characters stand as they are.
const fn width(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 2,
        0..=0x1f => 6,
        _ => 1,
    }
}

/// Cuts a text so that it is no longer than that when it is written.
fn cut(text: &mut String, most: usize) {
    // Each byte is at most six.
    if text.len() <= most / 6 {
        return;
    }
    let mut length = 0_usize;
    let fits = text.char_indices().find_map(|(at, character)| {
        let mut bytes = [0; 4];
        length = length.saturating_add(written(character.encode_utf8(&mut bytes)));
        (length > most).then_some(at)
    });
    if let Some(fits) = fits {
        text.truncate(fits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::llm::usage::Source;

    fn record() -> impl Strategy<Value = UsageRecord> {
        let text = || prop_oneof![any::<String>(), "[a-z]{0,300}", "[\\x00-\\x20\"]{0,200}"];
        let texts = (text(), proptest::option::of(text()), text(), text(), text(), text());
        let numbers = (any::<u64>(), any::<u64>(), any::<u16>());
        (texts, numbers).prop_map(
            |((user, agent, project, model, credential, request_id), (one, other, status))| UsageRecord {
                id: "0123456789abcdef0123456789abcdef-4294967295-18446744073709551615".to_owned(),
                at: one,
                user,
                agent,
                project,
                model,
                credential,
                request_id,
                status,
                milliseconds: other,
                input: one,
                output: other,
                cached: one,
                reasoning: other,
                source: Source::Reported,
            },
        )
    }

    proptest! {
        #[test]
        fn a_row_is_never_longer_than_it_is_said_to_be(record: UsageRecord) {
            let row = serde_json::to_vec(&record).unwrap();
            prop_assert!(row.len() <= record.bytes(), "{} > {}", row.len(), record.bytes());
        }

        #[test]
        fn a_fitted_record_fits_the_room_it_was_promised(record: UsageRecord) {
            let room = room_for(&record.user, record.agent.as_deref(), &record.project);
            let user = record.user.clone();
            let fitted = record.fitted();
            prop_assert!(fitted.bytes() <= room);
            prop_assert_eq!(fitted.user, user);
        }
    }

    impl Arbitrary for UsageRecord {
        type Parameters = ();
        type Strategy = BoxedStrategy<Self>;
        fn arbitrary_with((): ()) -> Self::Strategy {
            record().boxed()
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, expected) in [
            ("gpt-4o", 128, "gpt-4o"),
            ("äöü", 5, "äö"),
            ("a\u{1}b", 7, "a\u{1}"),
            ("\u{1}\u{1}", 11, "\u{1}"),
            ("abc", 0, ""),
        ] {
            let mut cut_text = text.to_owned();
            cut(&mut cut_text, most);
            assert_eq!(cut_text, expected);
        }
    }
}
