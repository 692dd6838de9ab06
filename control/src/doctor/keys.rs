//! Which keys of a set the filter will take: judged by the filter's own code.

use attach_core::crypto::Algorithm;
use attach_core::keys::KeySet;
use serde_json::{Value, json};

use super::{Check, Outcome, check as made};

/// The most keys that are named; the rest is counted.
const NAMED: usize = 10;

/// Judges a key set.
pub(super) fn check(name: String, body: &[u8]) -> Check {
    if let Err(error) = KeySet::parse(body) {
        return made(name, Outcome::Fail, format!("the filter takes none of them: {error}"));
    }
    let set: Value = serde_json::from_slice(body).unwrap_or_default();
    let listed = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let usable: Vec<String> = listed.iter().filter_map(usable).collect();
    let passed_over = listed.len() - usable.len();
    let mut detail = usable.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if usable.len() > NAMED {
        detail.push_str(&format!(" and {} more", usable.len() - NAMED));
    }
    if passed_over > 0 {
        detail.push_str(&format!("; {passed_over} not for signatures or of an unknown kind"));
    }
    made(name, Outcome::Ok, detail)
}

/// `kid (algorithm)` of a key that the filter takes.
fn usable(key: &Value) -> Option<String> {
    let alone = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).ok()?;
    let id = key.get("kid").and_then(Value::as_str);
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| alone.find(id, *algorithm).is_ok())?;
    // It is shown on a terminal.
    let id: String = id.unwrap_or("without kid").chars().filter(|c| !c.is_control()).take(64).collect();
    Some(format!("{id} ({})", algorithm.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_with_the_algorithm_the_filter_uses_them_for() {
        let set = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "one\u{1b}[2J", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
            {"kty": "oct", "kid": "two", "k": "AAAA"},
        ]});
        let check = check("keys".into(), set.to_string().as_bytes());
        assert_eq!(check.outcome, Outcome::Ok);
        assert_eq!(check.detail, "one[2J (ES256); 1 not for signatures or of an unknown kind");
    }

    #[test]
    fn a_set_without_a_usable_key_fails() {
        for body in ["", "<html>", "{}", r#"{"keys": []}"#] {
            assert_eq!(check("keys".into(), body.as_bytes()).outcome, Outcome::Fail, "{body}");
        }
    }
}
