//! References to secrets: `⟦secret:UID/NAME⟧`, alone or inside longer strings.
//!
//! A reference is opaque. The host puts the value in only when the object
//! leaves for the cluster, and only inside the `stringData` of a Secret.

/// What every reference begins with.
pub const OPEN: &str = "\u{27e6}secret:";
/// What [`OPEN`] begins with.
const FIRST: char = '\u{27e6}';
/// What every reference ends with.
pub const CLOSE: &str = "\u{27e7}";

/// The reference to a secret of a resource: to a secret output of the call at
/// hand, or of an earlier one. A driver may refer to those of its own resource,
/// whose uid is the owner.
pub fn reference(owner: &str, name: &str) -> String {
    format!("{OPEN}{owner}/{name}{CLOSE}")
}

/// Whether a text holds a reference to a secret.
pub fn contains_reference(text: &str) -> bool {
    // One character is found much faster than the whole, and mostly it is not there.
    text.contains(FIRST) && references(text).next().is_some()
}

/// The references in a text, in order, delimiters included.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.find(OPEN)?;
        let tail = rest.get(from..)?;
        let end = tail.find(CLOSE)? + CLOSE.len();
        let (reference, after) = tail.split_at_checked(end)?;
        rest = after;
        Some(reference)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_inside_longer_strings() {
        let url = "postgres://app:⟦secret:r-1/password⟧@db/app?key=⟦secret:r-1/key⟧";
        assert_eq!(
            references(url).collect::<Vec<_>>(),
            ["⟦secret:r-1/password⟧", "⟦secret:r-1/key⟧"]
        );
        assert!(contains_reference(url));
    }

    #[test]
    fn a_reference_is_one_whole() {
        let reference = reference("r-1", "password-2");
        assert_eq!(references(&reference).collect::<Vec<_>>(), ["⟦secret:r-1/password-2⟧"]);
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        assert!(!contains_reference("⟦secret:unfinished"));
        assert!(!contains_reference("⟦other:x⟧ secret:x"));
    }
}
