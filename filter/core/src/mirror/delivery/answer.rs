//! What an answer in Weaviate's form says of the objects of a batch, without reading it as JSON.
//!
//! The answer repeats every object with its text. It is only looked through for `"status":"SUCCESS"` and the like:
//! inside a string both quotes would be escaped, so that no text can pass for it.

use memchr::memchr_iter;

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is kept.
    Success,
    /// It is not.
    Failed,
}

impl Status {
    /// As it stands there, in its quotes.
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Success => b"\"SUCCESS\"",
            Self::Failed => b"\"FAILED\"",
        }
    }
}

/// Of how many objects an answer says so.
pub(super) fn count(body: &[u8], status: Status) -> usize {
    let word = status.word();
    // Its third byte, a capital letter, is rare in JSON.
    let Some(rare) = word.get(2) else { return 0 };
    memchr_iter(*rare, body)
        .filter_map(|at| at.checked_sub(2))
        .filter(|start| body.get(*start..).is_some_and(|rest| rest.starts_with(word)))
        .filter(|start| body.get(..*start).is_some_and(ends_with_key))
        .count()
}

/// Whether what stands there ends with the key `"status"` and its colon.
fn ends_with_key(before: &[u8]) -> bool {
    let Some(before) = before.trim_ascii_end().strip_suffix(b":") else { return false };
    before.trim_ascii_end().strip_suffix(b"\"status\"").is_some_and(|before| !before.ends_with(b"\\"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn answer(texts: &[&str], statuses: &[&str]) -> Value {
        let objects = texts.iter().zip(statuses).map(|(text, status)| {
            json!({"class": "MemoryEvent", "properties": {"content": text}, "result": {"status": status}})
        });
        Value::Array(objects.collect())
    }

    #[test]
    fn statuses_are_counted_whatever_the_white_space_and_no_text_passes_for_one() {
        for (body, good, bad) in [
            (r#"[{"result":{"status":"SUCCESS"}},{"result":{"status":"FAILED"}}]"#, 1, 1),
            ("[{\"result\": {\"status\" :\n \"SUCCESS\" } }]", 1, 0),
            (r#"{"status":"SUCCESS"}"#, 1, 0),
            (r#"{"state":"SUCCESS"}"#, 0, 0),
            (r#"{"x\"status":"SUCCESS"}"#, 0, 0),
            (r#"{"status":"SUCCESSFUL"}"#, 0, 0),
            (r#""status":"SUCCESS"#, 0, 0),
            ("\"SUCCESS\"", 0, 0),
            ("U", 0, 0),
            ("", 0, 0),
        ] {
            let counts = (count(body.as_bytes(), Status::Success), count(body.as_bytes(), Status::Failed));
            assert_eq!(counts, (good, bad), "{body}");
        }
        let nasty =
            [r#"{"status":"SUCCESS"}"#, r#"\","status":"SUCCESS","x":"#, "\"SUCCESS", "status\":\"SUCCESS"];
        let body = answer(&nasty, &["FAILED", "SUCCESS", "FAILED", "PENDING"]).to_string();
        assert_eq!(count(body.as_bytes(), Status::Success), 1);
        assert_eq!(count(body.as_bytes(), Status::Failed), 2);
    }

    proptest! {
        #[test]
        fn whatever_was_said_the_count_is_that_of_the_statuses(
            said in prop::collection::vec(("([\"\\\\:{}, sU]|status|SUCCESS|FAILED){0,12}", any::<bool>()), 0..8),
            pretty in any::<bool>(),
        ) {
            let texts: Vec<&str> = said.iter().map(|(text, _)| text.as_str()).collect();
            let statuses: Vec<&str> = said.iter().map(|(_, good)| if *good { "SUCCESS" } else { "FAILED" }).collect();
            let answer = answer(&texts, &statuses);
            let body = if pretty { serde_json::to_vec_pretty(&answer) } else { serde_json::to_vec(&answer) }.unwrap();
            let good = said.iter().filter(|(_, good)| *good).count();
            prop_assert_eq!(count(&body, Status::Success), good);
            prop_assert_eq!(count(&body, Status::Failed), said.len() - good);
        }

        #[test]
        fn nothing_makes_it_fail(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (count(&body, Status::Success), count(&body, Status::Failed));
        }
    }
}
