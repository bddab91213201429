//! How values of projections are kept: as they are given, or compressed where that is
//! worth it.
//!
//! Values had no format byte before version 3 of the schema. All of them were JSON or
//! began as compressed text does, so a byte that begins neither tells the others.

use deployd_core::ports::StoreError;

use crate::limits::VALUE_BYTES_MAX;
use crate::packed;

/// Begins no text in UTF-8.
const MARK: u8 = 0xff;
/// After the mark: the value as it is.
const PLAIN: u8 = 1;
/// After the mark: the value compressed.
const PACKED: u8 = 2;

/// What begins with this is compressed already.
const COMPRESSED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Below this, there is too little to gain for what each reading costs.
const FROM: usize = 96;

/// A value as it is kept.
pub(crate) fn pack(value: Vec<u8>) -> Vec<u8> {
    let worth = |packed: &Vec<u8>| packed.len() + packed.len() / 8 < value.len();
    if value.len() >= FROM
        && !value.starts_with(&COMPRESSED)
        && let Some(packed) = packed::pack(&value).filter(worth)
    {
        return [&[MARK, PACKED], packed.as_slice()].concat();
    }
    if value.first() == Some(&MARK) {
        return [&[MARK, PLAIN], value.as_slice()].concat();
    }
    value
}

/// What [`pack`] was given. `what` is for messages.
pub(crate) fn unpack(what: impl Fn() -> String, stored: &[u8]) -> Result<Vec<u8>, StoreError> {
    let damaged = |why: String| StoreError::Damaged(format!("{}: {why}", what()));
    match stored {
        [MARK, PACKED, packed @ ..] => packed::unpack(packed, VALUE_BYTES_MAX).map_err(damaged),
        [MARK, PLAIN, value @ ..] => Ok(value.to_vec()),
        [MARK, ..] => Err(damaged("it has an unknown format".to_owned())),
        value => Ok(value.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> String {
        "a value".to_owned()
    }

    #[test]
    fn what_is_long_is_compressed_and_what_was_compressed_is_not() {
        let long = br#"{"id":"0","environment":"shop/production"}"#.repeat(9);
        let packed = pack(long.clone());
        assert!(packed.len() * 2 < long.len());
        assert_eq!(unpack(text, &packed).unwrap(), long);
        for same in [&b"{}"[..], &[&COMPRESSED[..], &[0; 200]].concat()] {
            assert_eq!(pack(same.to_vec()), same);
        }
    }

    #[test]
    fn what_is_damaged_is_named() {
        let packed = pack(b"a word, ".repeat(90));
        for bad in [&[MARK][..], &[MARK, 9, 9], &[MARK, PACKED], &packed[..packed.len() - 3]] {
            let error = unpack(text, bad).unwrap_err().to_string();
            assert!(error.contains("a value: "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_given_back(
            value in proptest::collection::vec(any::<u8>(), 0..300),
            times in 1usize..4,
            mark in any::<bool>(),
        ) {
            let value = [if mark { vec![MARK] } else { vec![] }, value.repeat(times)].concat();
            prop_assert_eq!(unpack(text, &pack(value.clone())).unwrap(), value);
        }
    }
}
