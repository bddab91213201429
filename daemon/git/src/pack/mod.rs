//! Packs: many objects in one stream (`gitformat-pack`).

mod delta;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

pub(crate) use read::{Keep, read};
pub(crate) use write::Writer;

use crate::id::{Kind, ObjectId};

/// An object with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) id: ObjectId,
    pub(crate) kind: Kind,
    pub(crate) content: Arc<[u8]>,
}

/// The first four bytes.
const SIGNATURE: &[u8] = b"PACK";
/// The version that everybody writes.
const VERSION: u32 = 2;
/// Signature, version, count.
const HEADER_BYTES: usize = 12;
/// A SHA-1 of all that stands before it.
const TRAILER_BYTES: usize = crate::id::ID_BYTES;

/// The most that one object may have: far more than any tree or manifest, and little
/// enough to be held twice while a delta is applied.
pub(crate) const OBJECT_BYTES_MAX: usize = 32 * 1024 * 1024;
