//! Signatures of Standard Webhooks 1.0: HMAC with SHA-256 over `id.timestamp.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deployd_plugin_sdk::{Fault, Host};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What the text of a symmetric key begins with.
const KEY_PREFIX: &str = "whsec_";

/// Bytes of a key that the standard allows.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What a signature with a symmetric key begins with.
const VERSION: &str = "v1,";

/// Signatures of one answer that are tried: two while a key is changed, and some
/// of versions that nobody knows.
const SIGNATURES_MAX: usize = 8;

/// A key that both sides have. Has no `Debug`: nothing prints it.
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// Reads the granted secret of this name.
    pub(crate) fn open(name: &str, host: &impl Host) -> Result<Self, Fault> {
        let path = "/config/secret";
        let text = host.reveal_text(path, name)?;
        let key = STANDARD.decode(text.strip_prefix(KEY_PREFIX).unwrap_or(&text)).ok();
        // Not a word of the value: neither does the decoder's error go out.
        let key = key.filter(|key| KEY_BYTES.contains(&key.len())).ok_or_else(|| {
            let message = format!(
                "the value of the secret {name:?} is no key of Standard Webhooks; \
                 expected whsec_ and 24 to 64 bytes in base64"
            );
            Fault::invalid(path, message)
        })?;
        Ok(Self(key))
    }

    /// The header `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &str) -> Option<String> {
        let mac = self.mac(id, timestamp, body)?.finalize().into_bytes();
        Some(format!("{VERSION}{}", STANDARD.encode(mac)))
    }

    /// Whether one of the signatures in a header is of this key.
    pub(crate) fn has_signed(&self, header: &str, id: &str, timestamp: &str, body: &str) -> bool {
        header.split(' ').take(SIGNATURES_MAX).any(|signature| {
            let mac = signature.strip_prefix(VERSION).and_then(|text| STANDARD.decode(text).ok());
            let (Some(mac), Some(own)) = (mac, self.mac(id, timestamp, body)) else {
                return false;
            };
            // In a time that tells nothing of where the two differ.
            own.verify_slice(&mac).is_ok()
        })
    }

    fn mac(&self, id: &str, timestamp: &str, body: &str) -> Option<Hmac<Sha256>> {
        // It fails for no key: longer ones are hashed, shorter ones are filled up.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in [id, ".", timestamp, ".", body] {
            mac.update(part.as_bytes());
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;

    #[test]
    fn the_example_of_the_standard() {
        let host = FakeHost::new().grant_secret("suite", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let key = Key::open("suite", &host).unwrap();
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let body = r#"{"test": 2432232314}"#;
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(key.sign(id, at, body).unwrap(), signature);
        assert!(key.has_signed(signature, id, at, body));
        assert!(key.has_signed(&format!("v1a,x v1,AAAA {signature}"), id, at, body));
        assert!(!key.has_signed(signature, id, "1614265331", body));
        assert!(!key.has_signed(signature, id, at, "{}"));
        assert!(!key.has_signed("", id, at, body));
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_quoted() {
        for value in ["whsec_c2hvcnQ=", "hunter2!", ""] {
            let host = FakeHost::new().grant_secret("suite", value);
            let Err(fault) = Key::open("suite", &host) else { panic!("{value}") };
            let text = fault.to_string();
            assert!(text.contains("/config/secret"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
