//! Names requests, so that an answer and a line of the log find each other.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName};

use crate::limits::REQUEST_ID_BYTES_MAX;

/// Carries the id in requests and answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Tells the ids of one process from those of the next.
static START: LazyLock<u128> = LazyLock::new(|| {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_millis()).unwrap_or_default()
});

static COUNT: AtomicU64 = AtomicU64::new(1);

/// The id that a caller chose, if it can stand in a log as it is; else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let chosen = headers
        .get(&REQUEST_ID)
        .map(http::HeaderValue::as_bytes)
        .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.iter().all(plain));
    match chosen.and_then(|id| std::str::from_utf8(id).ok()) {
        Some(id) => id.to_owned(),
        None => format!("{:x}-{:x}", *START, COUNT.fetch_add(1, Ordering::Relaxed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        let of = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, id.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(of("build-17.a_b"), "build-17.a_b");
        for bad in ["", "a b", "a\"b", &"x".repeat(65), "é"] {
            assert_ne!(of(bad), bad);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
