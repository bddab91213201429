//! Times as the API writes them.

use jiff::Timestamp;

/// Now, to the second: `2026-01-02T03:04:05Z`.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now, to the nanosecond, as container logs stamp their lines.
pub(crate) fn now_nano() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// Seconds since a time, if it is one.
pub(crate) fn seconds_since(time: &str) -> Option<i64> {
    let then: Timestamp = time.parse().ok()?;
    Some(Timestamp::now().as_second() - then.as_second())
}

/// Now, as a program writes it into its log.
pub(crate) fn now_plain() -> String {
    Timestamp::now().strftime("%Y/%m/%d %H:%M:%S").to_string()
}
