//! Signatures of webhooks: whatever a secret is, it signs or is refused; and what
//! is signed is what RFC 2104 says, worked out here once more.
#![no_main]

// The file itself: it is nobody's business outside its crate.
#[path = "../../../daemon/engine/src/signature.rs"]
#[allow(dead_code)]
mod signature;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};

fuzz_target!(|input: (&[u8], &str, u64, &[u8])| {
    let (secret, id, timestamp, body) = input;
    // As it is, and as the key of a secret of the right form.
    let formed = format!("whsec_{}", STANDARD.encode(secret));
    for secret in [secret, formed.as_bytes()] {
        let Ok(signature) = signature::sign(secret, id, timestamp, body) else { continue };
        let text = std::str::from_utf8(secret).expect("only texts are secrets").trim();
        let key = STANDARD.decode(text.strip_prefix("whsec_").expect("its form")).expect("base 64");
        assert!((24..=64).contains(&key.len()));
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        assert_eq!(signature, format!("v1,{}", STANDARD.encode(hmac(&key, &signed))));
    }
});

/// HMAC with SHA-256 for keys of a block at most.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    for (byte, of_key) in block.iter_mut().zip(key) {
        *byte = *of_key;
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}
