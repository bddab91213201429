//! Writes packs, without deltas: what we add is small, and servers pack it anew.

use std::collections::HashSet;
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1_checked::{Digest as _, Sha1};

use super::{SIGNATURE, VERSION};
use crate::id::{Kind, ObjectId};

/// A pack that is being written. Each object is in it once.
pub(crate) struct Writer {
    body: Vec<u8>,
    count: u32,
    has: HashSet<ObjectId>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { body: Vec::new(), count: 0, has: HashSet::new() }
    }

    /// Adds an object.
    pub(crate) fn add(&mut self, id: ObjectId, kind: Kind, content: &[u8]) -> io::Result<()> {
        if !self.has.insert(id) {
            return Ok(());
        }
        self.count = self.count.saturating_add(1);
        let mut size = content.len();
        let kind = match kind {
            Kind::Commit => 1,
            Kind::Tree => 2,
            Kind::Blob => 3,
            Kind::Tag => 4,
        };
        let mut byte = kind << 4 | low_bits(size, 0x0f);
        size >>= 4;
        while size > 0 {
            self.body.push(byte | 0x80);
            byte = low_bits(size, 0x7f);
            size >>= 7;
        }
        self.body.push(byte);
        // Names of objects, of which trees are made, can't be compressed any better.
        let mut encoder = ZlibEncoder::new(&mut self.body, Compression::fast());
        encoder.write_all(content)?;
        encoder.finish()?;
        Ok(())
    }

    /// How many bytes there are so far.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// The whole pack.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut pack = Vec::with_capacity(self.body.len().saturating_add(32));
        pack.extend_from_slice(SIGNATURE);
        pack.extend_from_slice(&VERSION.to_be_bytes());
        pack.extend_from_slice(&self.count.to_be_bytes());
        pack.extend_from_slice(&self.body);
        // Nobody else has chosen all of it, so there is nothing to collide with.
        let trailer = Sha1::digest(&pack);
        pack.extend_from_slice(&trailer);
        pack
    }
}

fn low_bits(value: usize, mask: u8) -> u8 {
    u8::try_from(value & usize::from(mask)).unwrap_or(mask)
}
