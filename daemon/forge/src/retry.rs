//! When a forge that throttles wants to be asked again.

use deployd_core::Timestamp;

/// The longest that is waited at once: GitHub counts by the hour.
const WAIT_MAX_MS: u64 = 60 * 60 * 1_000;

/// How long is waited when a forge throttles and does not say how long: GitHub asks for
/// a minute at least.
const WAIT_UNTOLD_MS: u64 = 60 * 1_000;

/// How a refusal is no refusal of what was asked for, but of asking now.
///
/// Read are `retry-after` (RFC 9110, section 10.2.3), the headers `x-ratelimit-remaining`
/// and `x-ratelimit-reset` of GitHub ("Rate limits for the REST API") and the same
/// without `x-` of GitLab ("User and IP rate limits").
pub(crate) fn wait_ms(status: u16, headers: &[(String, String)], said: &str) -> Option<u64> {
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim())
    };
    let now = header("date").and_then(date);
    let until = |at: Timestamp| now.map(|now| at.ms_since(now));
    let told = header("retry-after").and_then(|value| match value.parse::<u64>() {
        Ok(seconds) => Some(seconds.saturating_mul(1_000)),
        Err(_) => date(value).and_then(until),
    });
    let both = |name: &str| header(&format!("x-{name}")).or_else(|| header(name));
    let spent = both("ratelimit-remaining") == Some("0");
    let throttles = match status {
        429 => true,
        // GitHub has other reasons for it, of which one is not told by a header.
        403 => told.is_some() || spent || said.to_ascii_lowercase().contains("rate limit"),
        503 => told.is_some(),
        _ => false,
    };
    if !throttles {
        return None;
    }
    let reset = || {
        let seconds = both("ratelimit-reset").filter(|_| spent)?.parse::<u64>().ok()?;
        until(Timestamp(seconds.saturating_mul(1_000)))
    };
    Some(told.or_else(reset).unwrap_or(WAIT_UNTOLD_MS).min(WAIT_MAX_MS))
}

/// A date as HTTP has it: `Mon, 23 Nov 2026 08:24:52 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_throttles_says_for_how_long() {
        const DATE: (&str, &str) = ("date", "Mon, 23 Nov 2026 08:00:00 GMT");
        // Ten minutes after it.
        const RESET: &str = "1795421400";
        type Case = (u16, &'static [(&'static str, &'static str)], &'static str, Option<u64>);
        let cases: [Case; 13] = [
            (429, &[("retry-after", "7")], "", Some(7_000)),
            (429, &[], "", Some(WAIT_UNTOLD_MS)),
            (429, &[DATE, ("retry-after", "Mon, 23 Nov 2026 08:00:09 GMT")], "", Some(9_000)),
            (429, &[("retry-after", "Mon, 23 Nov 2026 08:00:09 GMT")], "", Some(WAIT_UNTOLD_MS)),
            (429, &[("retry-after", "999999999999999999")], "", Some(WAIT_MAX_MS)),
            (429, &[("retry-after", "-1")], "", Some(WAIT_UNTOLD_MS)),
            (
                403,
                &[DATE, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", RESET)],
                "",
                Some(600_000),
            ),
            (
                429,
                &[DATE, ("RateLimit-Remaining", "0"), ("RateLimit-Reset", RESET)],
                "",
                Some(600_000),
            ),
            (
                403,
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", RESET)],
                "",
                Some(WAIT_UNTOLD_MS),
            ),
            (403, &[], "You have exceeded a secondary rate limit", Some(WAIT_UNTOLD_MS)),
            (403, &[("x-ratelimit-remaining", "4999")], "Resource not accessible", None),
            (503, &[("retry-after", "30")], "", Some(30_000)),
            (404, &[("retry-after", "30")], "", None),
        ];
        for (status, headers, said, expected) in cases {
            let headers: Vec<(String, String)> =
                headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            assert_eq!(wait_ms(status, &headers, said), expected, "{status} {headers:?}");
        }
    }
}
