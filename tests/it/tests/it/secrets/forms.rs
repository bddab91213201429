//! What a secret can look like.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// All forms of one secret.
pub(super) struct Forms(Vec<Vec<u8>>);

impl Forms {
    /// In plain, hexadecimal (large and small), URL-encoded (as much as can be,
    /// and as little), as JSON has it, and in base 64.
    pub(super) fn of(secret: &[u8]) -> Self {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let url = |plain: &[u8]| -> String {
            secret
                .iter()
                .map(|byte| match byte {
                    byte if byte.is_ascii_alphanumeric() || plain.contains(byte) => {
                        char::from(*byte).to_string()
                    }
                    other => format!("%{other:02X}"),
                })
                .collect()
        };
        let mut forms = vec![hex.to_uppercase(), hex, url(b"-._~"), url(b"*-._")];
        if let Ok(text) = std::str::from_utf8(secret) {
            let json = serde_json::to_string(text).unwrap();
            forms.push(json[1..json.len() - 1].to_owned());
            let ascii: String = text
                .chars()
                .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) })
                .collect();
            forms.push(ascii);
        }
        // Within other text, base 64 has one of three alignments; its edges are
        // left off, because they depend on what is beside it.
        for offset in 0..3 {
            let padded = [&vec![0; offset][..], secret].concat();
            for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                forms.push(encoded[4..encoded.len() - 4].to_owned());
            }
        }
        let mut forms: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
        forms.push(secret.to_vec());
        Self(forms)
    }

    /// Whether one of them is in these bytes.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|form| contains(bytes, form))
    }
}

/// Whether these bytes are in those.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(part) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
