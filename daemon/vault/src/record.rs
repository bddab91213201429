//! How a secret is written in the store.
//!
//! ```text
//! format 2:  2, kind, key's id (8), nonce (24), data key wrapped (32 + 16), nonce (24), content
//! format 1:  1, nonce (24), value encrypted with the key itself; read, and no more written
//! ```
//!
//! All of it is XChaCha20-Poly1305, and bound to the secret's name and its kind:
//! a record can't be put in another's place, and none can be made without a key.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use deployd_core::ports::Random;

use crate::keys::{ID, KEY, KeyId, Keyring};

/// Formats, which records begin with.
const DIRECT: u8 = 1;
const ENVELOPE: u8 = 2;

/// Bytes of a nonce: long enough to be chosen at random.
const NONCE: usize = 24;

/// Bytes that show that what was encrypted has not changed.
const TAG: usize = 16;

/// Bytes of a wrapped data key.
const WRAPPED: usize = KEY + TAG;

/// What a record has besides its content.
pub(crate) const OVERHEAD: usize = 2 + ID + NONCE + WRAPPED + NONCE + TAG;

/// What a record's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The value.
    Value,
    /// Where the value is kept.
    Link,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Value => 0,
            Self::Link => 1,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Value, Self::Link].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Why a record can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is of a format that this version does not know")]
    Format,
    #[error("it is cut off")]
    Short,
    #[error("it is encrypted with the key {0}, which is not at hand")]
    Key(KeyId),
    #[error("it was encrypted with another key, or changed since")]
    Changed,
    #[error("it can't be encrypted")]
    Cipher,
}

/// A record of format 2, in its parts.
struct Envelope<'r> {
    kind: Kind,
    key: KeyId,
    nonce: [u8; NONCE],
    wrapped: &'r [u8; WRAPPED],
    /// The second nonce and the content, which stay as they are when the data
    /// key is wrapped anew.
    sealed: &'r [u8],
}

impl<'r> Envelope<'r> {
    fn parse(record: &'r [u8]) -> Result<Self, Unreadable> {
        let [ENVELOPE, kind, rest @ ..] = record else { return Err(Unreadable::Format) };
        let kind = Kind::of(*kind).ok_or(Unreadable::Format)?;
        let (key, rest) = rest.split_first_chunk::<ID>().ok_or(Unreadable::Short)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable::Short)?;
        let (wrapped, sealed) = rest.split_first_chunk::<WRAPPED>().ok_or(Unreadable::Short)?;
        Ok(Self { kind, key: KeyId(*key), nonce: *nonce, wrapped, sealed })
    }

    fn data_key(&self, name: &[u8], ring: &Keyring) -> Result<[u8; KEY], Unreadable> {
        let key = ring.get(self.key).ok_or(Unreadable::Key(self.key))?;
        let bound = bound(b"data key", self.kind, name);
        let plain = decrypt(&key.cipher, self.nonce, self.wrapped, &bound)?;
        plain.try_into().map_err(|_| Unreadable::Changed)
    }
}

/// What a part of a record is bound to.
fn bound(part: &[u8], kind: Kind, name: &[u8]) -> Vec<u8> {
    [part, &[0, ENVELOPE, kind.byte()], name].concat()
}

fn encrypt(
    cipher: &XChaCha20Poly1305,
    random: &dyn Random,
    plain: &[u8],
    bound: &[u8],
) -> Result<([u8; NONCE], Vec<u8>), Unreadable> {
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce);
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: bound })
        .map_err(|_| Unreadable::Cipher)?;
    Ok((nonce, sealed))
}

fn decrypt(
    cipher: &XChaCha20Poly1305,
    nonce: [u8; NONCE],
    sealed: &[u8],
    bound: &[u8],
) -> Result<Vec<u8>, Unreadable> {
    cipher
        .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: bound })
        .map_err(|_| Unreadable::Changed)
}

/// Wraps a data key with the newest key; what `sealed` has goes after it.
fn wrap(
    name: &[u8],
    kind: Kind,
    data_key: &[u8; KEY],
    sealed: &[u8],
    ring: &Keyring,
    random: &dyn Random,
) -> Result<Vec<u8>, Unreadable> {
    let newest = ring.newest();
    let bound = bound(b"data key", kind, name);
    let (nonce, wrapped) = encrypt(&newest.cipher, random, data_key, &bound)?;
    Ok([&[ENVELOPE, kind.byte()], newest.id.0.as_slice(), &nonce, &wrapped, sealed].concat())
}

/// Encrypts content with a data key of its own.
pub(crate) fn seal(
    name: &[u8],
    kind: Kind,
    content: &[u8],
    ring: &Keyring,
    random: &dyn Random,
) -> Result<Vec<u8>, Unreadable> {
    let mut data_key = [0; KEY];
    random.fill(&mut data_key);
    let cipher = XChaCha20Poly1305::new(&data_key.into());
    let (nonce, sealed) = encrypt(&cipher, random, content, &bound(b"content", kind, name))?;
    wrap(name, kind, &data_key, &[nonce.as_slice(), &sealed].concat(), ring, random)
}

/// What a record has in it.
pub(crate) fn open(
    name: &[u8],
    record: &[u8],
    ring: &Keyring,
) -> Result<(Kind, Vec<u8>), Unreadable> {
    if let [DIRECT, rest @ ..] = record {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable::Short)?;
        // Records of format 1 do not say which key they are of.
        let opened = ring.all().find_map(|key| decrypt(&key.cipher, *nonce, sealed, name).ok());
        return opened.map(|value| (Kind::Value, value)).ok_or(Unreadable::Changed);
    }
    let envelope = Envelope::parse(record)?;
    let data_key = envelope.data_key(name, ring)?;
    let (nonce, sealed) = envelope.sealed.split_first_chunk().ok_or(Unreadable::Short)?;
    let cipher = XChaCha20Poly1305::new(&data_key.into());
    let content = decrypt(&cipher, *nonce, sealed, &bound(b"content", envelope.kind, name))?;
    Ok((envelope.kind, content))
}

/// The record wrapped with the newest key; none when it is already. Of format 2
/// no content is decrypted.
pub(crate) fn rewrap(
    name: &[u8],
    record: &[u8],
    ring: &Keyring,
    random: &dyn Random,
) -> Result<Option<Vec<u8>>, Unreadable> {
    if let [DIRECT, ..] = record {
        let (kind, content) = open(name, record, ring)?;
        return seal(name, kind, &content, ring, random).map(Some);
    }
    let envelope = Envelope::parse(record)?;
    if envelope.key == ring.newest().id {
        return Ok(None);
    }
    let data_key = envelope.data_key(name, ring)?;
    wrap(name, envelope.kind, &data_key, envelope.sealed, ring, random).map(Some)
}

/// A record of format 1, as versions before wrote it.
#[cfg(test)]
pub(crate) fn seal_direct(
    name: &[u8],
    value: &[u8],
    key: [u8; KEY],
    nonce: [u8; NONCE],
) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(&key.into());
    let payload = Payload { msg: value, aad: name };
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload).unwrap();
    [&[DIRECT], nonce.as_slice(), &sealed].concat()
}
