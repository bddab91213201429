//! Reads packs of others, within limits.

use std::collections::HashMap;
use std::sync::Arc;

use deployd_core::Fault;
use flate2::{Decompress, FlushDecompress, Status};
use sha1_checked::{Digest as _, Sha1};

use super::delta::{self, BadDelta};
use super::{HEADER_BYTES, OBJECT_BYTES_MAX, Object, SIGNATURE, TRAILER_BYTES, VERSION};
use crate::fault;
use crate::id::{ID_BYTES, Kind, ObjectId};

/// Objects in a pack: the trees of the largest repositories that people have, or all of
/// a depth of one.
const OBJECTS_MAX: u32 = 1_000_000;
/// What may come of decompressing a pack, that which is not kept included: some seconds
/// of a processor.
const INFLATED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Deltas of deltas: Git's own limit for what it writes.
const DELTA_DEPTH_MAX: u32 = 4_095;
/// What is decompressed at once.
const SCRATCH_BYTES: usize = 16 * 1024;

/// What of a pack is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Whether contents of files are.
    pub(crate) blobs: bool,
    /// How many bytes together, decompressed.
    pub(crate) bytes_max: usize,
}

/// The objects of a pack, each with its name. A pack that is damaged, refers to what is
/// not in it, or is more than we take, is refused.
pub(crate) fn read(pack: &[u8], keep: Keep) -> Result<Vec<Object>, Fault> {
    let body_end = pack.len().saturating_sub(TRAILER_BYTES);
    let (body, trailer) = pack.split_at_checked(body_end).unwrap_or_default();
    let header = body.get(..HEADER_BYTES).ok_or_else(damaged)?;
    if !header.starts_with(SIGNATURE) || number(header, 4) != Some(VERSION) {
        return Err(damaged());
    }
    if Sha1::digest(body).as_slice() != trailer {
        return Err(damaged());
    }
    let count = number(header, 8).ok_or_else(damaged)?;
    if count > OBJECTS_MAX {
        return Err(fault::too_large(format!(
            "the server sends {count} objects at once, more than {OBJECTS_MAX}"
        )));
    }
    let mut reader = Reader {
        body,
        at: HEADER_BYTES,
        keep,
        kept: 0,
        inflated: 0,
        known: HashMap::new(),
        objects: Vec::new(),
        names: HashMap::new(),
        waiting: HashMap::new(),
        skipped: 0,
        scratch: vec![0; SCRATCH_BYTES],
    };
    for _ in 0..count {
        reader.entry()?;
    }
    if reader.at != body.len() {
        return Err(damaged());
    }
    // What is a delta of something that was not kept is not wanted either.
    if !reader.waiting.is_empty() && reader.skipped == 0 {
        return Err(fault::invalid(
            "the server sends a pack that refers to objects which are not in it, and was not asked for such",
        ));
    }
    Ok(reader.objects)
}

fn damaged() -> Fault {
    fault::unreachable("the server's pack is damaged, or ends in its middle")
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    let bytes = header.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// What an entry at some place of the pack came to.
#[derive(Clone, Copy)]
enum Known {
    /// Was not kept.
    Skipped,
    /// The object of this index, and how many deltas it is made of.
    Object(usize, u32),
    /// A delta of something that is not known yet.
    Waiting,
}

/// What a delta is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Base {
    At(usize),
    Named(ObjectId),
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    keep: Keep,
    kept: usize,
    inflated: u64,
    known: HashMap<usize, Known>,
    objects: Vec<Object>,
    names: HashMap<ObjectId, (usize, u32)>,
    /// Deltas whose base is not known yet: where they stand, and what they say.
    waiting: HashMap<Base, Vec<(usize, Vec<u8>)>>,
    skipped: usize,
    scratch: Vec<u8>,
}

impl Reader<'_> {
    fn entry(&mut self) -> Result<(), Fault> {
        let offset = self.at;
        let (kind, size) = self.head()?;
        let kind = match kind {
            1 => Kind::Commit,
            2 => Kind::Tree,
            3 => Kind::Blob,
            4 => Kind::Tag,
            6 => {
                let back = self.distance()?;
                let base = offset.checked_sub(back).filter(|_| back > 0).ok_or_else(damaged)?;
                return self.delta(offset, Base::At(base), size);
            }
            7 => {
                let end = self.at.saturating_add(ID_BYTES);
                let name = self.body.get(self.at..end).and_then(ObjectId::from_bytes);
                self.at = end;
                return self.delta(offset, Base::Named(name.ok_or_else(damaged)?), size);
            }
            _ => return Err(damaged()),
        };
        if kind == Kind::Blob && !self.keep.blobs {
            self.skip(size)?;
            self.skipped = self.skipped.saturating_add(1);
            self.known.insert(offset, Known::Skipped);
            return Ok(());
        }
        let content = self.inflate(size)?;
        self.add(offset, kind, content, 0)
    }

    fn delta(&mut self, offset: usize, base: Base, size: u64) -> Result<(), Fault> {
        let found = match base {
            Base::At(at) => *self.known.get(&at).ok_or_else(damaged)?,
            Base::Named(name) => self
                .names
                .get(&name)
                .map_or(Known::Waiting, |(index, depth)| Known::Object(*index, *depth)),
        };
        match found {
            Known::Skipped => {
                self.skip(size)?;
                self.known.insert(offset, Known::Skipped);
            }
            Known::Object(index, depth) => {
                let delta = self.inflate(size)?;
                self.apply(offset, index, depth, &delta)?;
            }
            Known::Waiting => {
                let delta = self.inflate(size)?;
                self.keep(delta.len())?;
                self.waiting.entry(base).or_default().push((offset, delta));
                self.known.insert(offset, Known::Waiting);
            }
        }
        Ok(())
    }

    fn apply(&mut self, offset: usize, base: usize, depth: u32, delta: &[u8]) -> Result<(), Fault> {
        let base = self.objects.get(base).ok_or_else(damaged)?;
        let depth = depth.saturating_add(1);
        if depth > DELTA_DEPTH_MAX {
            return Err(fault::too_large(format!(
                "the server sends an object that is made of more than {DELTA_DEPTH_MAX} deltas"
            )));
        }
        let most = OBJECT_BYTES_MAX.min(self.keep.bytes_max);
        let made = delta::apply(&base.content, delta, most).map_err(|bad| match bad {
            BadDelta::Malformed => damaged(),
            BadDelta::TooLarge => large_object(most),
        })?;
        let kind = base.kind;
        self.add(offset, kind, made, depth)
    }

    /// Notes an object, and makes what waits for it.
    fn add(&mut self, at: usize, kind: Kind, content: Vec<u8>, depth: u32) -> Result<(), Fault> {
        let mut ready = vec![(at, self.put(at, kind, content, depth)?)];
        while let Some((at, (index, depth))) = ready.pop() {
            if self.waiting.is_empty() {
                return Ok(());
            }
            let Some((name, kind)) = self.objects.get(index).map(|one| (one.id, one.kind)) else {
                continue;
            };
            for base in [Base::At(at), Base::Named(name)] {
                for (offset, delta) in self.waiting.remove(&base).unwrap_or_default() {
                    self.kept = self.kept.saturating_sub(delta.len());
                    let base = self.objects.get(index).ok_or_else(damaged)?;
                    let most = OBJECT_BYTES_MAX.min(self.keep.bytes_max);
                    let made = delta::apply(&base.content, &delta, most).map_err(|_| damaged())?;
                    let depth = depth.saturating_add(1);
                    if depth > DELTA_DEPTH_MAX {
                        return Err(damaged());
                    }
                    ready.push((offset, self.put(offset, kind, made, depth)?));
                }
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        at: usize,
        kind: Kind,
        content: Vec<u8>,
        depth: u32,
    ) -> Result<(usize, u32), Fault> {
        self.keep(content.len())?;
        let id = ObjectId::of(kind, &content).ok_or_else(|| {
            fault::invalid("the server sends an object that was made to have the name of another")
        })?;
        let index = self.objects.len();
        self.objects.push(Object { id, kind, content: Arc::from(content) });
        self.names.insert(id, (index, depth));
        self.known.insert(at, Known::Object(index, depth));
        Ok((index, depth))
    }

    fn keep(&mut self, bytes: usize) -> Result<(), Fault> {
        self.kept = self.kept.saturating_add(bytes);
        let most = self.keep.bytes_max;
        if self.kept > most {
            return Err(fault::too_large(format!(
                "what the server sends has more than {most} bytes when it is decompressed"
            )));
        }
        Ok(())
    }

    /// Three bits of type; the size, four bits in the first byte and seven in the others,
    /// the lowest first.
    fn head(&mut self) -> Result<(u8, u64), Fault> {
        let mut byte = self.byte()?;
        let kind = byte >> 4 & 0x07;
        let mut size = u64::from(byte & 0x0f);
        let mut shift = 4_u32;
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            if shift > 53 {
                return Err(damaged());
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        Ok((kind, size))
    }

    /// How far back a delta's base stands: seven bits in each byte, the highest first, and
    /// one more for each byte that follows.
    fn distance(&mut self) -> Result<usize, Fault> {
        let mut byte = self.byte()?;
        let mut distance = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            if distance > self.body.len() {
                return Err(damaged());
            }
            distance = distance.saturating_add(1) << 7 | usize::from(byte & 0x7f);
        }
        Ok(distance)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = self.body.get(self.at).copied().ok_or_else(damaged)?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    fn inflate(&mut self, size: u64) -> Result<Vec<u8>, Fault> {
        let most = OBJECT_BYTES_MAX.min(self.keep.bytes_max);
        let size = usize::try_from(size).ok().filter(|size| *size <= most);
        let size = size.ok_or_else(|| large_object(most))?;
        let mut content = Vec::with_capacity(size.min(SCRATCH_BYTES));
        self.decompress(size, |part| content.extend_from_slice(part))?;
        Ok(content)
    }

    fn skip(&mut self, size: u64) -> Result<(), Fault> {
        let size = usize::try_from(size).map_err(|_| damaged())?;
        self.decompress(size, |_| {})
    }

    /// Decompresses what stands here, which has to have this size.
    fn decompress(&mut self, size: usize, mut each: impl FnMut(&[u8])) -> Result<(), Fault> {
        let mut inflater = Decompress::new(true);
        let mut made = 0_usize;
        loop {
            let input = self.body.get(self.at..).unwrap_or_default();
            let (read, wrote) = (inflater.total_in(), inflater.total_out());
            let status = inflater
                .decompress(input, &mut self.scratch, FlushDecompress::None)
                .map_err(|_| damaged())?;
            let consumed = inflater.total_in().saturating_sub(read);
            let part = inflater.total_out().saturating_sub(wrote);
            self.inflated = self.inflated.saturating_add(part);
            if self.inflated > INFLATED_BYTES_MAX {
                return Err(fault::too_large(format!(
                    "what the server sends has more than {INFLATED_BYTES_MAX} bytes when it is \
                     decompressed"
                )));
            }
            let (consumed, part) = (
                usize::try_from(consumed).map_err(|_| damaged())?,
                usize::try_from(part).map_err(|_| damaged())?,
            );
            self.at = self.at.saturating_add(consumed);
            made = made.saturating_add(part);
            if made > size {
                return Err(damaged());
            }
            each(self.scratch.get(..part).unwrap_or_default());
            match status {
                Status::StreamEnd if made == size => return Ok(()),
                Status::StreamEnd => return Err(damaged()),
                // No input is left, or none is taken any more.
                _ if consumed == 0 && part == 0 => return Err(damaged()),
                _ => {}
            }
        }
    }
}

fn large_object(most: usize) -> Fault {
    fault::too_large(format!("the server sends an object with more than {most} bytes"))
}
