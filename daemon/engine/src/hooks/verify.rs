//! Whether a delivery is from who knows the hook's secret, over the body as it
//! arrived. Comparisons take as long for a wrong value as for a right one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::config::{Verification, VerificationScheme as Scheme};
use deployd_core::secret::SecretValue;
use deployd_core::{Digest, Fault, Timestamp};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::Arriving;
use crate::signature;

/// How far a signed time may be from ours, either way: what Standard Webhooks
/// recommends. What is older may have been kept by somebody else.
const TOLERANCE_MS: u64 = 5 * 60_000;

/// Why a delivery is not believed. Who sent it learns no more than that: the rest is
/// for the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the delivery has no {0}")]
    Missing(&'static str),
    #[error("no secret of the hook fits its {0}")]
    Wrong(&'static str),
    #[error("its webhook-timestamp is not within 5 minutes of now")]
    Time,
}

/// Checks a delivery against any of the hook's secrets.
///
/// Fails with why it is refused, or with a fault when a secret is none that the scheme
/// could use.
pub(super) fn verify(
    how: &Verification,
    secrets: &[SecretValue],
    arriving: &Arriving,
    now: Timestamp,
) -> Result<Result<(), Refused>, Fault> {
    match how.scheme {
        Scheme::Github => {
            let given = arriving.header("x-hub-signature-256");
            let given = given.map(|text| text.strip_prefix("sha256=").unwrap_or_default());
            hexadecimal("x-hub-signature-256", given, secrets, &arriving.body)
        }
        Scheme::Gitea => {
            let given = arriving.header("x-gitea-signature");
            hexadecimal("x-gitea-signature", given, secrets, &arriving.body)
        }
        Scheme::StandardWebhooks => standard(secrets, arriving, now),
        Scheme::Gitlab | Scheme::Header => {
            let header = how.token_header().unwrap_or_default();
            same("header with the secret", arriving.header(&header), secrets)
        }
        Scheme::Address => same("key in its address", arriving.key.as_deref(), secrets),
    }
}

fn hexadecimal(
    what: &'static str,
    given: Option<&str>,
    secrets: &[SecretValue],
    body: &[u8],
) -> Result<Result<(), Refused>, Fault> {
    let Some(given) = given else { return Ok(Err(Refused::Missing(what))) };
    let Ok(given) = format!("sha256:{given}").parse::<Digest>() else {
        return Ok(Err(Refused::Wrong(what)));
    };
    for secret in secrets {
        if mac(text(secret), &[body])?.verify_slice(given.as_bytes()).is_ok() {
            return Ok(Ok(()));
        }
    }
    Ok(Err(Refused::Wrong(what)))
}

fn standard(
    secrets: &[SecretValue],
    arriving: &Arriving,
    now: Timestamp,
) -> Result<Result<(), Refused>, Fault> {
    let Some(id) = arriving.header("webhook-id") else {
        return Ok(Err(Refused::Missing("webhook-id")));
    };
    let Some(timestamp) = arriving.header("webhook-timestamp") else {
        return Ok(Err(Refused::Missing("webhook-timestamp")));
    };
    let Some(signatures) = arriving.header("webhook-signature") else {
        return Ok(Err(Refused::Missing("webhook-signature")));
    };
    let seconds = timestamp.parse::<u64>().unwrap_or_default();
    let at = Timestamp(seconds.saturating_mul(1_000));
    if at.ms_since(now).max(now.ms_since(at)) > TOLERANCE_MS {
        return Ok(Err(Refused::Time));
    }
    for secret in secrets {
        let key = signature::key(secret.expose())?;
        for given in signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")) {
            let Ok(given) = STANDARD.decode(given) else { continue };
            let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &arriving.body];
            if mac(&key, &parts)?.verify_slice(&given).is_ok() {
                return Ok(Ok(()));
            }
        }
    }
    Ok(Err(Refused::Wrong("webhook-signature")))
}

/// Whether a text is one of the secrets. MACs of nothing with both as keys are
/// compared, which tells nothing of either.
fn same(
    what: &'static str,
    given: Option<&str>,
    secrets: &[SecretValue],
) -> Result<Result<(), Refused>, Fault> {
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(Err(Refused::Missing(what)));
    };
    let given = mac(given.as_bytes(), &[])?.finalize().into_bytes();
    for secret in secrets {
        if mac(text(secret), &[])?.verify_slice(&given).is_ok() {
            return Ok(Ok(()));
        }
    }
    Ok(Err(Refused::Wrong(what)))
}

/// A secret, without the newline that a file ends with.
fn text(secret: &SecretValue) -> &[u8] {
    secret.expose().trim_ascii_end()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Result<Hmac<Sha256>, Fault> {
    if key.is_empty() {
        return Err(Fault::invalid("hook-secret-empty", "the hook's secret is empty"));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Fault::bug("signature", error.to_string()))?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arriving(headers: &[(&str, &str)], body: &str) -> Arriving {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Arriving { headers, body: body.as_bytes().to_vec(), key: None, source: None }
    }

    fn how(scheme: Scheme) -> Verification {
        Verification { scheme, secrets: vec!["hook".parse().unwrap()], header: None }
    }

    fn tried(scheme: Scheme, secrets: &[&str], arriving: &Arriving) -> Result<(), Refused> {
        let secrets: Vec<SecretValue> =
            secrets.iter().map(|text| SecretValue::new(text.as_bytes().to_vec())).collect();
        verify(&how(scheme), &secrets, arriving, Timestamp(1_614_265_330_000)).unwrap()
    }

    /// The vector of GitHub's documentation.
    #[test]
    fn github_signs_the_body_in_hexadecimal() {
        let secret = "It's a Secret to Everybody";
        let signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let signed = format!("sha256={signature}");
        let good = arriving(&[("x-hub-signature-256", &signed)], "Hello, World!");
        assert_eq!(tried(Scheme::Github, &[secret], &good), Ok(()));
        assert_eq!(tried(Scheme::Github, &["next", &format!("{secret}\n")], &good), Ok(()));
        let wrong = Err(Refused::Wrong("x-hub-signature-256"));
        assert_eq!(tried(Scheme::Github, &["another"], &good), wrong);
        for (value, body) in [
            (signed.as_str(), "Hello, World?"),
            (signature, "Hello, World!"),
            ("sha256=", "Hello, World!"),
            ("sha1=757107ea", "Hello, World!"),
        ] {
            let bad = arriving(&[("x-hub-signature-256", value)], body);
            assert_eq!(tried(Scheme::Github, &[secret], &bad), wrong, "{value}");
        }
        let missing = Err(Refused::Missing("x-hub-signature-256"));
        assert_eq!(tried(Scheme::Github, &[secret], &arriving(&[], "Hello, World!")), missing);
        let gitea = arriving(&[("x-gitea-signature", signature)], "Hello, World!");
        assert_eq!(tried(Scheme::Gitea, &[secret], &gitea), Ok(()));
    }

    /// The vector of the specification.
    #[test]
    fn standard_webhooks_sign_id_and_time_as_well() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signature = "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,xx";
        let with = |id: &str, at: &str| {
            let headers =
                [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)];
            arriving(&headers, r#"{"test": 2432232314}"#)
        };
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let judge = |arriving: &Arriving, now: u64| {
            let secrets = [SecretValue::new(secret.as_bytes().to_vec())];
            verify(&how(Scheme::StandardWebhooks), &secrets, arriving, Timestamp(now)).unwrap()
        };
        let good = with(id, "1614265330");
        assert_eq!(judge(&good, 1_614_265_330_000), Ok(()));
        assert_eq!(judge(&good, 1_614_265_330_000 + TOLERANCE_MS), Ok(()));
        assert_eq!(judge(&good, 1_614_265_330_000 - TOLERANCE_MS), Ok(()));
        assert_eq!(judge(&good, 1_614_265_330_001 + TOLERANCE_MS), Err(Refused::Time));
        assert_eq!(judge(&good, 1_614_265_329_999 - TOLERANCE_MS), Err(Refused::Time));
        let wrong = Err(Refused::Wrong("webhook-signature"));
        assert_eq!(judge(&with("msg_other", "1614265330"), 1_614_265_330_000), wrong);
        assert_eq!(judge(&with(id, "1614265331"), 1_614_265_330_000), wrong);
        assert_eq!(judge(&with(id, "never"), 1_614_265_330_000), Err(Refused::Time));
    }

    #[test]
    fn a_secret_can_be_a_header_or_in_the_address() {
        let gitlab = arriving(&[("x-gitlab-token", "s3cret")], "{}");
        assert_eq!(tried(Scheme::Gitlab, &["s3cret"], &gitlab), Ok(()));
        let wrong = Err(Refused::Wrong("header with the secret"));
        assert_eq!(tried(Scheme::Gitlab, &["s3cre"], &gitlab), wrong);
        let harbor = arriving(&[("authorization", "Bearer s3cret")], "{}");
        assert_eq!(tried(Scheme::Header, &["Bearer s3cret"], &harbor), Ok(()));
        let none = arriving(&[("authorization", "")], "{}");
        let missing = Err(Refused::Missing("header with the secret"));
        assert_eq!(tried(Scheme::Header, &["s3cret"], &none), missing);
        let mut address = arriving(&[], "{}");
        address.key = Some("s3cret".to_owned());
        assert_eq!(tried(Scheme::Address, &["s3cret"], &address), Ok(()));
        let missing = Err(Refused::Missing("key in its address"));
        assert_eq!(tried(Scheme::Address, &["s3cret"], &arriving(&[], "{}")), missing);
    }

    #[test]
    fn an_empty_secret_fits_nothing() {
        let signed = arriving(&[("x-gitlab-token", "x")], "{}");
        let secrets = [SecretValue::new(b"\n".to_vec())];
        let tried = verify(&how(Scheme::Gitlab), &secrets, &signed, Timestamp(0));
        assert_eq!(tried.unwrap_err().code, "hook-secret-empty");
    }
}
