//! Random identifiers, and the hash behind `pod-template-hash`.

use serde_json::Value;

/// Letters and digits that spell no words, as the API's generated names use.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

fn bytes<const N: usize>() -> [u8; N] {
    let mut found = [0; N];
    if getrandom::fill(&mut found).is_err() {
        // No randomness on this machine: the clock has to do for a practice cluster.
        let now = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        for (place, byte) in found.iter_mut().zip(now.iter().cycle()) {
            *place = *byte;
        }
    }
    found
}

/// A version 4 UUID.
pub(crate) fn uid() -> String {
    let mut value = u128::from_le_bytes(bytes());
    value = (value & !(0xf << 76)) | (0x4 << 76);
    value = (value & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{value:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// The suffix of a generated name.
pub(crate) fn suffix() -> String {
    bytes::<5>().iter().map(|byte| safe(*byte)).collect()
}

/// A secret of 32 hexadecimal digits.
pub(crate) fn token() -> String {
    format!("{:032x}", u128::from_le_bytes(bytes()))
}

fn safe(byte: u8) -> char {
    let index = usize::from(byte) % SAFE.len();
    SAFE.get(index).map_or('x', |byte| char::from(*byte))
}

/// FNV-1a over the canonical text of a value.
pub(crate) fn hash(value: &Value) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in canonical(value).bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// The hash of a pod template, as a label.
pub(crate) fn template_hash(value: &Value) -> String {
    let mut hash = hash(value) as u32;
    let mut text = String::new();
    // The decimal digits of the hash, spelled in safe letters.
    loop {
        text.insert(0, safe((hash % 10) as u8));
        hash /= 10;
        if hash == 0 {
            return text;
        }
    }
}

/// 64 hexadecimal digits that depend on a text only.
pub(crate) fn digest(text: &str) -> String {
    (0..4).map(|round| format!("{:016x}", hash(&Value::from(format!("{round}{text}"))))).collect()
}

/// The text of a value with the keys of its objects in order.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            let inside: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{key:?}:{}", canonical(value)))
                .collect();
            format!("{{{}}}", inside.join(","))
        }
        Value::Array(items) => {
            let inside: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", inside.join(","))
        }
        other => other.to_string(),
    }
}
