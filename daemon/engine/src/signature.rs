//! Signatures of Standard Webhooks 1.0.0 (standardwebhooks.com): HMAC-SHA256
//! over `id.timestamp.body`, with a secret of 24 to 64 bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::Fault;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Before the base 64 of a secret.
const SECRET_PREFIX: &str = "whsec_";

/// The value of `webhook-signature`. `timestamp` is in seconds since 1970.
///
/// Fails when the secret is none.
pub(crate) fn sign(secret: &[u8], id: &str, timestamp: u64, body: &[u8]) -> Result<String, Fault> {
    let key = key(secret)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)
        .map_err(|error| Fault::bug("signature", error.to_string()))?;
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// The key that a secret stands for.
pub(crate) fn key(secret: &[u8]) -> Result<Vec<u8>, Fault> {
    let invalid = || {
        Fault::invalid(
            "signing-secret-invalid",
            "a signing secret is whsec_ and the base 64 of 24 to 64 random bytes",
        )
    };
    let text = std::str::from_utf8(secret).map_err(|_| invalid())?.trim();
    let encoded = text.strip_prefix(SECRET_PREFIX).ok_or_else(invalid)?;
    let key = STANDARD.decode(encoded).map_err(|_| invalid())?;
    if (24..=64).contains(&key.len()) { Ok(key) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_vector() {
        let signature = sign(
            b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for bad in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%"] {
            assert!(sign(bad.as_bytes(), "a", 1, b"").is_err(), "{bad}");
        }
    }
}
