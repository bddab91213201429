//! Names that documents accept, each once.

use std::collections::BTreeSet;

use crate::ids::NAME_LENGTH_MAX;

/// What the hash of a generated ConfigMap or Secret consists of (Kustomize,
/// `api/hasher`), and how long it is.
const HASH: &str = "bcdfghkmt2456789";
const HASH_CHARS: usize = 10;

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// A name like the wanted one that nobody has: 2 to 63 characters of an RFC 1123
    /// label.
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        let label = label(wanted);
        let mut name = label.clone();
        let mut number = 2_u32;
        while !self.taken.insert(name.clone()) {
            let ending = format!("-{number}");
            let room = NAME_LENGTH_MAX.saturating_sub(ending.len());
            let stem: String = label.chars().take(room).collect();
            name = format!("{}{ending}", stem.trim_end_matches('-'));
            number = number.saturating_add(1);
        }
        name
    }
}

/// A text as a label of two characters or more.
fn label(text: &str) -> String {
    let mut label = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => label.push(c),
            _ if label.ends_with('-') || label.is_empty() => {}
            _ => label.push('-'),
        }
        if label.len() == NAME_LENGTH_MAX {
            break;
        }
    }
    let label = label.trim_end_matches('-');
    match label.len() {
        0 => "unnamed".to_owned(),
        1 => format!("{label}-{label}"),
        _ => label.to_owned(),
    }
}

/// Whether a Score document may call something so.
pub(super) fn is_label(text: &str) -> bool {
    text.len() >= 2 && label(text) == text
}

/// A name without the hash that Kustomize has added.
pub(super) fn without_hash(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((stem, hash))
            if !stem.is_empty()
                && hash.len() == HASH_CHARS
                && hash.chars().all(|c| HASH.contains(c)) =>
        {
            stem
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_and_unique() {
        let mut names = Names::default();
        for (wanted, expected) in [
            ("web", "web"),
            ("web", "web-2"),
            ("Web.Front_end", "web-front-end"),
            ("a", "a-a"),
            ("--", "unnamed"),
            ("ä", "unnamed-2"),
        ] {
            assert_eq!(names.unique(wanted), expected);
        }
        let long = "x".repeat(80);
        let (one, two) = (names.unique(&long), names.unique(&long));
        assert_eq!((one.len(), two.len()), (63, 63));
        assert!(two.ends_with("-2"));
    }

    #[test]
    fn a_hash_is_told_from_a_word() {
        for (name, expected) in [
            ("web-config-5k8d9h2f7t", "web-config"),
            ("web-config-production", "web-config-production"),
            ("5k8d9h2f7t", "5k8d9h2f7t"),
            ("web-5k8d9h2f7", "web-5k8d9h2f7"),
        ] {
            assert_eq!(without_hash(name), expected);
        }
    }
}
