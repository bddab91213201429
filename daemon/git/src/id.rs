//! Names of objects.

use std::fmt;

use sha1_checked::{Digest as _, Sha1};

/// The bytes of a name.
pub(crate) const ID_BYTES: usize = 20;

/// Names an object: the SHA-1 of its kind, length and content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId([u8; ID_BYTES]);

/// What an object is. Tags are read as nothing else than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    /// As it stands before an object's content when it is hashed.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

impl ObjectId {
    /// Stands for none, where a branch is made or removed.
    pub(crate) const ZERO: Self = Self([0; ID_BYTES]);

    /// The tree without entries, which need not be stored anywhere.
    pub(crate) const EMPTY_TREE: Self = Self([
        0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60, 0xe5, 0x4b, 0xf8, 0xd6, 0x92,
        0x88, 0xfb, 0xee, 0x49, 0x04,
    ]);

    /// The name of an object with this content; none when the content was made to have
    /// the same name as another one.
    pub(crate) fn of(kind: Kind, content: &[u8]) -> Option<Self> {
        let mut hash = Sha1::new();
        hash.update(format!("{} {}\0", kind.as_str(), content.len()));
        hash.update(content);
        let result = hash.try_finalize();
        (!result.has_collision()).then(|| Self((*result.hash()).into()))
    }

    /// Reads 40 hexadecimal digits.
    pub(crate) fn from_hex(text: &[u8]) -> Option<Self> {
        if text.len() != ID_BYTES * 2 {
            return None;
        }
        let mut bytes = [0; ID_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// Takes 20 bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it stands for none.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_git() {
        let empty = ObjectId::of(Kind::Tree, b"").unwrap();
        assert_eq!(empty.to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        assert_eq!(empty, ObjectId::EMPTY_TREE);
        let hello = ObjectId::of(Kind::Blob, b"hello\n").unwrap();
        assert_eq!(hello.to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(ObjectId::from_hex(hello.to_string().as_bytes()), Some(hello));
        assert_eq!(ObjectId::from_hex(b"ce01"), None);
        assert_eq!(ObjectId::from_hex(&[b'g'; 40]), None);
    }
}
