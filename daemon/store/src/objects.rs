//! How content is kept: as it is, or compressed.

use std::cell::RefCell;

use deployd_core::Digest;
use deployd_core::ports::StoreError;
use deployd_core::seeded::{Bug, seeded};

use crate::limits::OBJECT_BYTES_MAX;

const RAW: u8 = 1;
const ZSTD: u8 = 2;

/// Below this, zstd's frame and the time it takes are worth more than it saves.
const COMPRESSED_FROM: usize = 256;

/// zstd's default: text shrinks to a fifth, at some hundred MB a second.
const LEVEL: i32 = 3;

/// Content as it is kept: a format byte, then the bytes as they are, or their
/// length and their compressed form where that is shorter.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    if bytes.len() >= COMPRESSED_FROM
        && let Some(compressed) = compress(bytes)
        && compressed.len() < bytes.len()
        && let Ok(length) = u32::try_from(bytes.len())
    {
        return [&[ZSTD][..], &length.to_be_bytes(), &compressed].concat();
    }
    [&[RAW][..], bytes].concat()
}

thread_local! {
    /// zstd's tables, which take longer to make than a small document to compress.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> =
        RefCell::new(zstd::bulk::Compressor::new(LEVEL).ok());
}

thread_local! {
    /// The same for reading.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        RefCell::new(zstd::bulk::Decompressor::new().ok());
}

/// What was compressed, of this length.
fn decompress(bytes: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    DECOMPRESSOR.with(|decompressor| match decompressor.borrow_mut().as_mut() {
        Some(decompressor) => decompressor.decompress(bytes, length),
        None => Err(std::io::ErrorKind::OutOfMemory.into()),
    })
}

/// The compressed form; none when there is no memory for it.
fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with(|compressor| compressor.borrow_mut().as_mut()?.compress(bytes).ok())
}

/// How long content is once it is unpacked, as far as its packed form says; of what
/// is damaged, anything.
pub(crate) fn length(packed: &[u8]) -> usize {
    match packed.split_first() {
        Some((&ZSTD, rest)) => {
            rest.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length) as usize)
        }
        _ => packed.len(),
    }
}

/// The content that was packed, if it is still what its digest says.
pub(crate) fn unpack(digest: Digest, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = |why: String| StoreError::Damaged(format!("object {digest}: {why}"));
    let bytes = match packed.split_first() {
        Some((&RAW, bytes)) => bytes.to_vec(),
        Some((&ZSTD, rest)) => {
            let (length, bytes) =
                rest.split_first_chunk::<4>().ok_or_else(|| damaged("too short".to_owned()))?;
            let length = u32::from_be_bytes(*length) as usize;
            // A damaged length must not ask for all memory.
            if length > OBJECT_BYTES_MAX {
                return Err(damaged(format!("its length is {length}")));
            }
            decompress(bytes, length).map_err(|error| damaged(error.to_string()))?
        }
        Some((format, _)) => return Err(damaged(format!("unknown format {format}"))),
        None => return Err(damaged("empty".to_owned())),
    };
    if Digest::of(&bytes) != digest && !seeded(Bug::ContentNotCompared) {
        return Err(damaged("its bytes do not match its digest".to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_unpacked() {
        for bytes in [Vec::new(), b"small".to_vec(), vec![7; 100_000]] {
            let packed = pack(&bytes);
            assert!(packed.len() <= bytes.len() + 1);
            assert_eq!(unpack(Digest::of(&bytes), &packed).unwrap(), bytes);
        }
        assert!(pack(&[7; 100_000]).len() < 100);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = b"text that repeats, ".repeat(30);
        let digest = Digest::of(&bytes);
        let packed = pack(&bytes);
        for bit in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Some bits of a frame carry nothing; then the content is whole.
            if let Ok(content) = unpack(digest, &flipped) {
                assert_eq!(content, bytes);
            }
        }
    }
}
