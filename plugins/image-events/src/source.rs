//! Where an image came from, and when.

use crate::unexpected;
use deployd_plugin_sdk::Fault;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The longest ref: what forges allow for the name of a branch.
const REF_CHARS_MAX: usize = 255;
/// The longest address of a build, which browsers and proxies pass on.
const URL_CHARS_MAX: usize = 2048;
/// The longest slug of a ref: that of a DNS label.
const SLUG_CHARS_MAX: usize = 63;
/// Digits of the names of commits: SHA-1, or SHA-256.
const COMMIT_DIGITS: [usize; 2] = [40, 64];
const MILLIS_OF_A_SECOND: u64 = 1000;

/// A commit's whole name.
///
/// # Errors
/// A fault if it is none.
pub fn commit(at: &str, text: &str) -> Result<String, Fault> {
    let known = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if !COMMIT_DIGITS.contains(&text.len()) || !text.bytes().all(known) {
        return Err(unexpected(at, text, "a commit: 40 or 64 hexadecimal digits in lower case"));
    }
    Ok(text.to_owned())
}

/// A ref: `kind` is `heads` or `tags`, `name` that of the branch or tag.
///
/// # Errors
/// A fault if Git has no such refs.
pub fn git_ref(at: &str, kind: &str, name: &str) -> Result<String, Fault> {
    let known = |c: char| {
        !c.is_control()
            && !c.is_whitespace()
            && !matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    if name.is_empty()
        || name.len() > REF_CHARS_MAX
        || name.contains("..")
        || name.contains("//")
        || name.starts_with('/')
        || name.ends_with('/')
        || !name.chars().all(known)
    {
        return Err(unexpected(at, name, "the name of a branch or tag"));
    }
    Ok(format!("refs/{kind}/{name}"))
}

/// A branch or tag as part of a tag or host name, as forges make it: lower case, `-`
/// for all but letters and digits, at most 63 characters.
pub fn ref_slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let slug: String = lower.chars().map(plain).take(SLUG_CHARS_MAX).collect();
    slug.trim_matches('-').to_owned()
}

/// The address of a build's page.
///
/// # Errors
/// A fault if it is not of a page: people click on it.
pub fn build_url(at: &str, text: &str) -> Result<String, Fault> {
    let is_page = text.starts_with("https://") || text.starts_with("http://");
    let known = |c: char| !c.is_control() && !c.is_whitespace();
    if !is_page || text.len() > URL_CHARS_MAX || !text.chars().all(known) {
        return Err(unexpected(at, text, "an http or https URL"));
    }
    Ok(text.to_owned())
}

/// A point in time in the form of RFC 3339; none where it is before 1970, which
/// stands for a time that nobody has set.
///
/// # Errors
/// A fault if it is of another form.
pub fn timestamp(at: &str, text: &str) -> Result<Option<String>, Fault> {
    Ok(millis(at, text)?.map(|_| text.to_owned()))
}

/// The milliseconds since 1970 of a point in time in the form of RFC 3339; none where
/// it is before that, which stands for a time that nobody has set.
///
/// # Errors
/// A fault if it is of another form.
pub fn millis(at: &str, text: &str) -> Result<Option<u64>, Fault> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| unexpected(at, text, "a time of RFC 3339, as 2026-11-20T10:00:00Z"))?;
    let seconds = u64::try_from(time.unix_timestamp()).ok();
    let millis = seconds.and_then(|s| s.checked_mul(MILLIS_OF_A_SECOND));
    Ok(millis.and_then(|millis| millis.checked_add(u64::from(time.millisecond()))))
}

/// The milliseconds since 1970 of seconds since 1970; some senders write them with a
/// fraction or an exponent. None where they are before that, or after all times.
pub fn seconds_to_millis(seconds: &serde_json::Number) -> Option<u64> {
    if let Some(whole) = seconds.as_u64() {
        return whole.checked_mul(MILLIS_OF_A_SECOND);
    }
    // The last time that is told apart from its neighbours by the millisecond.
    const LAST: f64 = 9.0e12;
    let seconds = seconds.as_f64().filter(|seconds| (0.0..LAST).contains(seconds))?;
    // In range: not negative, and far below what 64 bits hold.
    Some((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Number;

    #[test]
    fn commits_and_refs_are_those_of_git() {
        assert!(
            commit("/body", &"0a".repeat(20)).is_ok() && commit("/body", &"0a".repeat(32)).is_ok()
        );
        for bad in ["", "0a", &"0A".repeat(20), &"é".repeat(20)] {
            assert!(commit("/body", bad).is_err(), "{bad}");
        }
        assert_eq!(git_ref("/body", "heads", "feature/a-b").unwrap(), "refs/heads/feature/a-b");
        for bad in ["", "a b", "a..b", "/a", "a/", "a//b", "a:b", "a\nb", &"a".repeat(300)] {
            assert!(git_ref("/body/ref", "heads", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slugs_are_parts_of_tags() {
        assert_eq!(ref_slug("Feature/Große_Änderung"), "feature-gro-e--nderung");
        assert_eq!(ref_slug("-v1.4-"), "v1-4");
        assert_eq!(ref_slug(&"a".repeat(100)).len(), 63);
    }

    #[test]
    fn times_become_milliseconds() {
        let of = |text| millis("/body/at", text);
        assert_eq!(of("1970-01-01T00:00:01.234567891Z").unwrap(), Some(1234));
        assert_eq!(of("1970-01-01T01:00:01+01:00").unwrap(), Some(1000));
        assert_eq!(of("0001-01-01T00:00:00Z").unwrap(), None);
        assert_eq!(timestamp("/body/at", "0001-01-01T00:00:00Z").unwrap(), None);
        for bad in ["", "2016-08-12 15:23:28 UTC", "2026-13-01T00:00:00Z"] {
            assert!(of(bad).unwrap_err().to_string().contains("/body/at"), "{bad}");
        }
    }

    #[test]
    fn seconds_have_any_form_of_a_number() {
        let of = |text: &str| seconds_to_millis(&serde_json::from_str::<Number>(text).unwrap());
        assert_eq!(of("1417566161"), Some(1_417_566_161_000));
        assert_eq!(of("1.417566161e+09"), Some(1_417_566_161_000));
        assert_eq!(of("0.5"), Some(500));
        for none in ["-1", "1e300", "18446744073709551615"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn only_pages_are_builds() {
        assert!(build_url("/body/url", "https://ci.example/1").is_ok());
        for bad in ["", "javascript:alert(1)", "https://a b", "ci.example/1"] {
            assert!(build_url("/body/url", bad).is_err(), "{bad}");
        }
    }
}
