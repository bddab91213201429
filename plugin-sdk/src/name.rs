//! Names that Kubernetes and DNS accept, stable for ever.

use sha2::{Digest, Sha256};

/// The longest RFC 1123 label.
const LABEL_MAX: usize = 63;
const SHORT_LENGTH: usize = 8;
/// Digits and lower-case letters without those that people mix up.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A short stable name for a long one: 8 characters that may stand in any
/// Kubernetes or database name. The same text gives the same characters for ever.
///
/// It begins with a letter, because some names must.
pub fn short(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(SHORT_LENGTH)
        .enumerate()
        .map(|(place, byte)| {
            let letters = if place == 0 { 10 } else { 0 };
            let index = letters + usize::from(*byte) % (ALPHABET.len() - letters);
            char::from(ALPHABET.get(index).copied().unwrap_or(b'x'))
        })
        .collect()
}

/// A text as an RFC 1123 label: lower case, `a-z0-9-`, at most 63 characters.
/// A text that had to be cut ends in [`short`] of the whole, so that two long
/// names with the same beginning stay two.
pub fn dns_label(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for character in text.chars() {
        let fitting = character.to_ascii_lowercase();
        if fitting.is_ascii_lowercase() || fitting.is_ascii_digit() {
            label.push(fitting);
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() {
        return short(text);
    }
    if label.len() <= LABEL_MAX {
        return label.to_owned();
    }
    // Only ASCII is left, so every position is a boundary.
    let head = label.get(..LABEL_MAX - SHORT_LENGTH - 1).unwrap_or(label);
    format!("{}-{}", head.trim_end_matches('-'), short(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_valid_whatever_comes_in() {
        assert_eq!(dns_label("Shop/Preview #42"), "shop-preview-42");
        assert_eq!(dns_label("--a--"), "a");
        let nothing_fits = dns_label("···");
        assert_eq!(nothing_fits.len(), 8);
    }

    #[test]
    fn long_names_with_one_beginning_stay_apart() {
        let one = dns_label(&format!("{}one", "x".repeat(80)));
        let two = dns_label(&format!("{}two", "x".repeat(80)));
        assert_eq!((one.len(), two.len()), (63, 63));
        assert_ne!(one, two);
    }

    #[test]
    fn short_names_never_change() {
        assert_eq!(short("res-0001"), short("res-0001"));
        assert_ne!(short("res-0001"), short("res-0002"));
        assert!(short("x").starts_with(|c: char| c.is_ascii_lowercase()));
    }
}
