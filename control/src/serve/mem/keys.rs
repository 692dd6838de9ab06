//! What names the events of a request once and for all.

use attach_core::crypto::to_base64url;
use axum::http::HeaderMap;

use super::Refusal;

/// By which a client says that a request is an earlier one again.
const HEADER: &str = "idempotency-key";
/// The longest such key, in bytes.
const MAX_BYTES: usize = 255;

/// The client's own key for a request.
pub(super) fn retry_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(HEADER) {
            Err(Refusal::question("Idempotency-Key may be given once"))
        } else {
            Ok(None)
        };
    };
    let key = value.to_str().ok().filter(|key| (1..=MAX_BYTES).contains(&key.len()));
    let wrong = || Refusal::question(format!("Idempotency-Key must be 1 to {MAX_BYTES} ASCII characters"));
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

/// What the ids of a request's events are made of: the client's key, within what a `user` may name of an `owner`'s, so
/// that a retry is the same events and nobody else's request is; random where there is none.
///
/// # Errors
/// The key is none, or there are no random numbers.
pub(in crate::serve) fn request_key(
    headers: &HeaderMap,
    kind: &str,
    owner: &str,
    user: &str,
) -> Result<String, Refusal> {
    if let Some(key) = retry_key(headers)? {
        // The lengths keep one's names apart from another's, whatever stands in either.
        return Ok(format!("{kind}/{}/{owner}/{}/{user}/{key}", owner.len(), user.len()));
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "no random numbers");
        Refusal::Later("The gateway has no random numbers at the moment; ask again in some seconds")
    })?;
    Ok(format!("{kind}//{}", to_base64url(&random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(keys: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(HEADER, axum::http::HeaderValue::from_bytes(key).unwrap());
        }
        headers
    }

    #[test]
    fn a_retry_has_the_name_of_the_first_and_nobody_has_anothers() {
        let name =
            |key: &str, user: &str| request_key(&headers(&[key.as_bytes()]), "note", "o", user).unwrap();
        assert_eq!(name("k", "alice"), name("k", "alice"));
        let names =
            [name("k", "alice"), name("k", "bob"), name("b/k", "a"), name("k", "a/b"), name("l", "alice")];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        let fresh = || request_key(&headers(&[]), "note", "o", "alice").unwrap();
        assert_ne!(fresh(), fresh());
        assert_ne!(name("k", "alice"), request_key(&headers(&[b"k"]), "log", "o", "alice").unwrap());
        assert_ne!(name("k", "alice"), request_key(&headers(&[b"k"]), "note", "p", "alice").unwrap());
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for keys in [&[&b"a"[..], b"b"][..], &[b""], &[&[b'k'; 256]], &[b"\xff"]] {
            assert!(matches!(retry_key(&headers(keys)), Err(Refusal::Wrong(..))), "{keys:?}");
        }
        assert_eq!(retry_key(&headers(&[&[b'k'; 255]])).unwrap().unwrap().len(), 255);
    }
}
