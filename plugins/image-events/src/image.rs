//! Names of images, as the Distribution specification has them.

use crate::unexpected;
use deployd_plugin_sdk::Fault;

/// The longest name of a repository with its registry: what clients allow.
const REPOSITORY_CHARS_MAX: usize = 255;
/// The longest tag, by the specification.
const TAG_CHARS_MAX: usize = 128;
/// Hexadecimal digits of SHA-256.
const SHA256_DIGITS: usize = 64;

const REPOSITORY: &str = "a repository with its registry and without tag and digest, in lower case, as registry.example.com/shop/frontend";
const REGISTRY: &str =
    "the host of a registry, as registry.example.com or registry.example.com:5000";
const TAG: &str = "a tag: up to 128 letters, digits, `_`, `.` and `-`, as 1.4";
const DIGEST: &str = "a digest: sha256: and 64 hexadecimal digits in lower case";

/// A repository with its registry; the host's letters become lower case.
///
/// # Errors
/// A fault if it is none, or has a tag or a digest.
pub fn repository(at: &str, text: &str) -> Result<String, Fault> {
    let invalid = || unexpected(at, text, REPOSITORY);
    let (host, path) = text.split_once('/').ok_or_else(invalid)?;
    if text.len() > REPOSITORY_CHARS_MAX || !is_host(host) || !is_path(path) {
        return Err(invalid());
    }
    Ok(format!("{}/{path}", host.to_ascii_lowercase()))
}

/// A registry: its host, and the beginning of its repositories' names if they have
/// one in common.
///
/// # Errors
/// A fault if it is none.
pub fn registry(at: &str, text: &str) -> Result<String, Fault> {
    let (host, path) = match text.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (text, None),
    };
    if text.len() > REPOSITORY_CHARS_MAX || !is_host(host) || path.is_some_and(|p| !is_path(p)) {
        return Err(unexpected(at, text, REGISTRY));
    }
    Ok(text.to_owned())
}

/// A tag.
///
/// # Errors
/// A fault if it is none.
pub fn tag(at: &str, text: &str) -> Result<String, Fault> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if text.is_empty()
        || text.len() > TAG_CHARS_MAX
        || text.starts_with(['.', '-'])
        || !text.chars().all(known)
    {
        return Err(unexpected(at, text, TAG));
    }
    Ok(text.to_owned())
}

/// A digest.
///
/// # Errors
/// A fault if it is none, or of another algorithm than SHA-256.
pub fn digest(at: &str, text: &str) -> Result<String, Fault> {
    match text.strip_prefix("sha256:") {
        Some(digits) if is_sha256(digits) => Ok(text.to_owned()),
        _ => Err(unexpected(at, text, DIGEST)),
    }
}

/// Whether a tag is not one of an image, but of what belongs to one: signatures,
/// attestations and lists of these have tags that are made of the image's digest,
/// `sha256-….sig`.
pub fn is_of_another_image(tag: &str) -> bool {
    let digits = tag.strip_prefix("sha256-").and_then(|rest| rest.get(..SHA256_DIGITS));
    digits.is_some_and(is_sha256)
}

/// The name of an image without its tag and digest. A bare colon at its end counts as
/// a tag.
pub fn without_version(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    // A colon before the last slash is of a port.
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

fn is_sha256(digits: &str) -> bool {
    digits.len() == SHA256_DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `host`, `host:port` or `[::1]:port`.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_name = |name: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(inner)
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let known = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    known && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Parts of lower-case letters and digits, with separators between them only.
fn is_path(path: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    path.split('/').all(|part| {
        part.starts_with(is_letter)
            && part.ends_with(is_letter)
            && part.chars().all(|c| is_letter(c) || matches!(c, '.' | '_' | '-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_have_a_registry_and_no_version() {
        for good in ["r.test/web", "r.test:5000/shop/web_a.b--c", "localhost/x", "[::1]:5000/x"] {
            assert_eq!(repository("/body", good).unwrap(), good);
        }
        assert_eq!(repository("/body", "R.Test/web").unwrap(), "r.test/web");
        for bad in [
            "",
            "web",
            "/web",
            "r.test/",
            "r.test/web:1",
            "r.test/web@sha256:1",
            "r.test/Web",
            "r.test/a//b",
            "r.test/a b",
            "r.test:x/a",
            "r.test:0/a",
            "r.test/../a",
            "[x]/a",
            "r é/a",
            &format!("r.test/{}", "a".repeat(300)),
        ] {
            let fault = repository("/body/name", bad).unwrap_err().to_string();
            assert!(fault.contains("/body/name") && fault.contains("expected"), "{bad}: {fault}");
        }
    }

    #[test]
    fn registries_are_hosts_with_or_without_a_path() {
        for good in ["r.test", "r.test:5000", "r.test/docker-local"] {
            assert_eq!(registry("/config/registry", good).unwrap(), good);
        }
        for bad in ["", "https://r.test", "r.test/", "r.test@x", "a b"] {
            assert!(registry("/config/registry", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_and_digests_are_those_of_the_specification() {
        for good in ["1.4", "latest", "_x", "A-b.c", &"a".repeat(128)] {
            assert!(tag("/body", good).is_ok(), "{good}");
        }
        for bad in ["", "a b", ".x", "-x", "a/b", "a:b", "é", &"a".repeat(129)] {
            assert!(tag("/body", bad).is_err(), "{bad}");
        }
        let digits = "0a".repeat(32);
        assert!(digest("/body", &format!("sha256:{digits}")).is_ok());
        for bad in [digits.clone(), format!("sha512:{digits}"), "sha256:0a".to_owned()] {
            assert!(digest("/body", &bad).is_err(), "{bad}");
        }
        assert!(digest("/body", &format!("sha256:{}", digits.to_uppercase())).is_err());
        assert!(is_of_another_image(&format!("sha256-{digits}.sig")));
        assert!(is_of_another_image(&format!("sha256-{digits}")));
        assert!(!is_of_another_image("sha256-0a") && !is_of_another_image("1.4"));
    }

    #[test]
    fn an_image_s_version_is_taken_away() {
        for (image, name) in [
            ("r.test/web", "r.test/web"),
            ("r.test:5000/web", "r.test:5000/web"),
            ("r.test:5000/web:1.4", "r.test:5000/web"),
            ("r.test/web:", "r.test/web"),
            ("r.test/web:1.4@sha256:00", "r.test/web"),
        ] {
            assert_eq!(without_version(image), name);
        }
    }
}
