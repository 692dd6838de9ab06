//! How large a usage record may be.
//!
//! Who pays and how much is never altered: a record in which that cannot be right is refused. Labels are cut
//! instead, since a call must not go unbilled for the length of its model's name.

use super::UsageRecord;
use crate::clock::date::LAST_MILLISECOND;

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// The longest name of a user or an agent, in bytes; more than any that the gateway stamps.
pub const MAX_NAME_BYTES: usize = 1024;
/// The longest label (project, model, credential, request id) that is kept, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// The most tokens that one number may say. A thousand million are more than any model takes, and so few that
/// a sum over all calls of a gateway's life stays within 64 bits.
pub const MAX_TOKENS: u64 = 1_000_000_000;
/// The longest time that a call may have taken, in milliseconds: thirty years.
pub const MAX_MILLISECONDS: u64 = 1_000_000_000_000;

/// What is wrong with a record; fits behind the word "record" and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit(&'static str);

impl core::fmt::Display for Unfit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether a text can be a record's id: printable ASCII without spaces, not too long.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(|b| b.is_ascii_graphic())
}

impl UsageRecord {
    /// Cuts the labels that are too long and checks the rest.
    ///
    /// # Errors
    /// [`Unfit`], with the record as it was or its labels cut.
    pub fn fit(&mut self) -> Result<(), Unfit> {
        for label in [&mut self.project, &mut self.model, &mut self.credential, &mut self.request_id] {
            label.truncate(label.floor_char_boundary(MAX_LABEL_BYTES));
        }
        let name = |name: &str| !name.is_empty() && name.len() <= MAX_NAME_BYTES;
        let tokens = [self.input, self.output, self.cached, self.reasoning];
        for (good, what) in [
            (is_id(&self.id), "id must be 1 to 128 printable ASCII characters without spaces"),
            (name(&self.user), "user must have 1 to 1,024 bytes"),
            (self.agent.as_deref().is_none_or(name), "agent must have 1 to 1,024 bytes or be left out"),
            (self.at <= LAST_MILLISECOND, "at is later than the year 9999"),
            (self.status <= 999, "status is none of HTTP's"),
            (self.milliseconds <= MAX_MILLISECONDS, "milliseconds is longer than thirty years"),
            (tokens.iter().all(|tokens| *tokens <= MAX_TOKENS), "tokens must be 1,000,000,000 at most"),
        ] {
            if !good {
                return Err(Unfit(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::usage::Source;

    fn record() -> UsageRecord {
        UsageRecord {
            id: "ab-1-1".to_owned(),
            at: 1,
            user: "u".to_owned(),
            agent: None,
            project: "default".to_owned(),
            model: "m".to_owned(),
            credential: "oidc".to_owned(),
            request_id: String::new(),
            status: 0,
            milliseconds: 0,
            input: 0,
            output: 0,
            cached: 0,
            reasoning: 0,
            source: Source::Counted,
        }
    }

    #[test]
    fn a_record_that_cannot_be_right_is_refused() {
        let mut fine = record();
        assert_eq!(fine.fit(), Ok(()));
        assert_eq!(fine, record());
        type Change = fn(&mut UsageRecord);
        let wrong: &[(&str, Change)] = &[
            ("id", |r| r.id.clear()),
            ("id", |r| r.id = "a b".to_owned()),
            ("id", |r| r.id = "ü".to_owned()),
            ("id", |r| r.id = "a".repeat(MAX_ID_BYTES + 1)),
            ("user", |r| r.user.clear()),
            ("user", |r| r.user = "a".repeat(MAX_NAME_BYTES + 1)),
            ("agent", |r| r.agent = Some(String::new())),
            ("at", |r| r.at = u64::MAX),
            ("status", |r| r.status = 1000),
            ("milliseconds", |r| r.milliseconds = u64::MAX),
            ("tokens", |r| r.input = MAX_TOKENS + 1),
            ("tokens", |r| r.output = u64::MAX),
            ("tokens", |r| r.cached = u64::MAX),
            ("tokens", |r| r.reasoning = u64::MAX),
        ];
        for (what, change) in wrong {
            let mut record = record();
            change(&mut record);
            let why = record.fit().unwrap_err().to_string();
            assert!(why.starts_with(what), "{what}: {why}");
        }
    }

    #[test]
    fn long_labels_are_cut_where_a_character_ends() {
        let mut record = record();
        record.model = format!("{}ü", "m".repeat(MAX_LABEL_BYTES - 1));
        record.project = "p".repeat(100_000);
        assert_eq!(record.fit(), Ok(()));
        assert_eq!(record.model, "m".repeat(MAX_LABEL_BYTES - 1));
        assert_eq!(record.project.len(), MAX_LABEL_BYTES);
    }
}
