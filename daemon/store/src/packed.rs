//! Small texts, compressed: events, messages, values of projections.
//!
//! Each is compressed by itself, so that each can be read by itself. What texts of
//! deployd have in common is in a dictionary, without which a text of a few hundred
//! bytes hardly shrinks.
//!
//! What was compressed with a dictionary can be read with that one only: it is never
//! changed, and another one comes with a format byte of its own.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, get_frame_content_size};

/// Made from records of a daemon: see `dictionary/README.md`.
static DICTIONARY: &[u8] = include_bytes!("dictionary/records-1.zdict");

/// zstd's default. Higher ones find little more in so short texts.
const LEVEL: i32 = 3;

thread_local! {
    /// With the dictionary's tables, which take longer to make than a text to compress.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(compressor().ok());
    /// The same for reading.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_dictionary(DICTIONARY).ok());
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::with_dictionary(LEVEL, DICTIONARY)?;
    // There is only this one.
    compressor.set_parameter(CParameter::DictIdFlag(false))?;
    Ok(compressor)
}

/// The compressed form; none where it is no shorter, or there is no memory for it.
pub(crate) fn pack(text: &[u8]) -> Option<Vec<u8>> {
    let compress = |compressor: &mut Compressor<'static>| compressor.compress(text).ok();
    let packed = COMPRESSOR.with(|it| it.borrow_mut().as_mut().and_then(compress))?;
    (packed.len() < text.len()).then_some(packed)
}

/// What [`pack`] was given, which had at most so many bytes; why it can't be told
/// where it is damaged.
pub(crate) fn unpack(packed: &[u8], max: usize) -> Result<Vec<u8>, String> {
    // A damaged length must not ask for all memory.
    let length = match get_frame_content_size(packed) {
        Ok(Some(length)) => usize::try_from(length).unwrap_or(usize::MAX),
        Ok(None) | Err(_) => return Err("it does not begin as something compressed".to_owned()),
    };
    if length > max {
        return Err(format!("its length is {length}"));
    }
    let unpacked = DECOMPRESSOR.with(|it| match it.borrow_mut().as_mut() {
        Some(decompressor) => decompressor.decompress(packed, length),
        None => Err(io::ErrorKind::OutOfMemory.into()),
    });
    unpacked.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use deployd_core::Digest;

    use super::*;

    #[test]
    fn what_was_packed_can_be_unpacked() {
        for text in [br#"{"type":"step-started","step":"apply"}"#.to_vec(), vec![7; 100_000]] {
            let packed = pack(&text).unwrap();
            assert!(packed.len() < text.len());
            assert_eq!(unpack(&packed, text.len()).unwrap(), text);
            assert!(unpack(&packed, text.len() - 1).unwrap_err().contains("length"));
        }
        assert!(unpack(b"", 1_000).is_err());
    }

    #[test]
    fn what_does_not_shrink_is_left_as_it_is() {
        assert_eq!(pack(b""), None);
        let digest = Digest::of(b"as random as anything");
        assert_eq!(pack(digest.as_bytes()), None);
    }

    #[test]
    fn a_changed_bit_never_panics_and_never_asks_for_all_memory() {
        let text = br#"{"type":"step-succeeded","deployment":"0"}"#.repeat(9);
        let packed = pack(&text).unwrap();
        for bit in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(unpacked) = unpack(&flipped, text.len()) {
                assert!(unpacked.len() <= text.len());
            }
        }
    }

    /// Whoever changes the dictionary makes every store unreadable.
    #[test]
    fn the_dictionary_is_the_one_that_stores_were_written_with() {
        assert_eq!(
            Digest::of(DICTIONARY).hex(),
            "48f27da93944667522ab07dfa20a0bf4a68d1924198b24cef55e13db978c5dff"
        );
    }
}
