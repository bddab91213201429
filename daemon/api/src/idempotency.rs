//! `Idempotency-Key`: what a caller chose so that a repeat is known as one.

use deployd_core::ports::IdempotencyKey;
use deployd_core::{Actor, Digest};
use deployd_engine::Idempotency;
use http::{HeaderMap, HeaderName, Method};

use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::problem::{Code, Problem};

/// Carries the key.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request and the digest of what it asks for, if it has one.
///
/// A key belongs to its actor: nobody can meet, or take, somebody else's.
pub(crate) fn idempotency(
    headers: &HeaderMap,
    actor: &Actor,
    method: &Method,
    target: &str,
    body: &[u8],
) -> Result<Option<Idempotency>, Box<Problem>> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let invalid = |why: &str| Err(Problem::new(Code::InvalidIdempotencyKey, why));
    if values.next().is_some() {
        return invalid("Idempotency-Key is there twice; send one.");
    }
    let Ok(text) = value.to_str() else {
        return invalid("Idempotency-Key has characters other than visible ASCII.");
    };
    // The draft of the IETF has a string in quotes; most send it without.
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let why = format!(
            "Idempotency-Key has {} characters; 1 to {IDEMPOTENCY_KEY_BYTES_MAX} are allowed.",
            key.len()
        );
        return invalid(&why);
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return invalid("Idempotency-Key has spaces; only visible ASCII is allowed.");
    }
    let digest = Digest::of_parts(&[
        method.as_str().as_bytes(),
        target.as_bytes(),
        body,
        actor.0.as_bytes(),
    ]);
    Ok(Some(Idempotency { key: IdempotencyKey(format!("{actor}/{key}")), digest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str], actor: &str, body: &[u8]) -> Result<Option<Idempotency>, Box<Problem>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, value.parse().unwrap());
        }
        idempotency(&headers, &Actor(actor.into()), &Method::POST, "/v1/x", body)
    }

    #[test]
    fn keys_are_one_visible_text_of_their_actor() {
        assert_eq!(of(&[], "ci", b"").unwrap(), None);
        let plain = of(&["abc"], "ci", b"1").unwrap().unwrap();
        assert_eq!(plain.key.0, "ci/abc");
        assert_eq!(of(&["\"abc\""], "ci", b"1").unwrap().unwrap(), plain);
        let other = of(&["abc"], "ci", b"2").unwrap().unwrap();
        assert_eq!(other.key, plain.key);
        assert_ne!(other.digest, plain.digest);
        assert_ne!(of(&["abc"], "me", b"1").unwrap().unwrap().key, plain.key);
        for bad in [&["a", "b"][..], &[""], &["\"\""], &["a b"], &[&"x".repeat(256)]] {
            assert_eq!(of(bad, "ci", b"").unwrap_err().code, Code::InvalidIdempotencyKey);
        }
    }
}
