//! Deltas: an object as parts of another one (`gitformat-pack`, "Deltified
//! representation").

/// Why a delta makes no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadDelta {
    /// It is damaged, or for another base.
    Malformed,
    /// What it makes has more bytes than are taken.
    TooLarge,
}

/// What a delta makes of its base; at most so many bytes.
pub(crate) fn apply(base: &[u8], delta: &[u8], most: usize) -> Result<Vec<u8>, BadDelta> {
    let mut delta = delta.iter().copied();
    if size(&mut delta)? != base.len() {
        return Err(BadDelta::Malformed);
    }
    let length = size(&mut delta)?;
    if length > most {
        return Err(BadDelta::TooLarge);
    }
    // A delta that does not keep its word gets no memory for it.
    let mut made = Vec::with_capacity(length.min(base.len().saturating_mul(2)));
    while let Some(command) = delta.next() {
        if command & 0x80 != 0 {
            let (mut offset, mut count) = (0_usize, 0_usize);
            for bit in 0..4 {
                if command & (1 << bit) != 0 {
                    offset |= byte(&mut delta)? << (8 * bit);
                }
            }
            for bit in 0..3 {
                if command & (0x10 << bit) != 0 {
                    count |= byte(&mut delta)? << (8 * bit);
                }
            }
            if count == 0 {
                count = 0x1_0000;
            }
            let end = offset.checked_add(count).ok_or(BadDelta::Malformed)?;
            let part = base.get(offset..end).ok_or(BadDelta::Malformed)?;
            if made.len().saturating_add(part.len()) > length {
                return Err(BadDelta::Malformed);
            }
            made.extend_from_slice(part);
        } else {
            let count = usize::from(command);
            // Zero is reserved.
            if count == 0 || made.len().saturating_add(count) > length {
                return Err(BadDelta::Malformed);
            }
            let before = made.len();
            made.extend(delta.by_ref().take(count));
            if made.len() != before.saturating_add(count) {
                return Err(BadDelta::Malformed);
            }
        }
    }
    if made.len() == length { Ok(made) } else { Err(BadDelta::Malformed) }
}

fn byte(delta: &mut impl Iterator<Item = u8>) -> Result<usize, BadDelta> {
    delta.next().map(usize::from).ok_or(BadDelta::Malformed)
}

/// Seven bits in each byte, the lowest first.
fn size(delta: &mut impl Iterator<Item = u8>) -> Result<usize, BadDelta> {
    let (mut size, mut shift) = (0_usize, 0_u32);
    loop {
        let byte = byte(delta)?;
        // Nothing that we take has as many bits.
        if shift > 42 {
            return Err(BadDelta::TooLarge);
        }
        size |= (byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_copied_and_inserted() {
        // 11 bytes become 9: "hello" of the base, then "!!!!".
        let delta = [11, 9, 0x90, 5, 4, b'!', b'!', b'!', b'!'];
        assert_eq!(apply(b"hello world", &delta, 100), Ok(b"hello!!!!".to_vec()));
        assert_eq!(apply(b"hello world", &delta, 8), Err(BadDelta::TooLarge));
        assert_eq!(apply(b"hello worl", &delta, 100), Err(BadDelta::Malformed));
        assert_eq!(apply(b"hello world", &delta[..8], 100), Err(BadDelta::Malformed));
    }

    proptest! {
        #[test]
        fn whatever_is_there_makes_no_more_than_is_taken(
            base in prop::collection::vec(any::<u8>(), 0..64),
            delta in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut told = vec![u8::try_from(base.len()).unwrap()];
            told.extend(&delta);
            for delta in [&delta, &told] {
                if let Ok(made) = apply(&base, delta, 100) {
                    prop_assert!(made.len() <= 100);
                }
            }
        }
    }
}
