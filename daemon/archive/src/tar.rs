//! The tar archive around the members: the oldest part of the form, `ustar`, which
//! every tar reads. What is written is the same for the same members, down to the
//! last byte, so that a reader knows how each header has to be.

/// Everything is padded to whole blocks.
pub(crate) const BLOCK: usize = 512;

/// Blocks of zeros at the end.
const END: usize = 2 * BLOCK;

/// Bytes of a name.
const NAME_MAX: usize = 100;

/// Where the checksum of a header is.
const SUM: std::ops::Range<usize> = 148..156;

/// The most that eleven octal digits say.
const SIZE_MAX: u64 = (1 << 33) - 1;

/// The header of a file; none for names and sizes that have no room in one.
pub(crate) fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    if name.is_empty() || name.len() > NAME_MAX || size > SIZE_MAX {
        return None;
    }
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(at..at.saturating_add(bytes.len())) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    // No time: the same members are the same bytes.
    put(136, b"00000000000\0");
    put(SUM.start, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(place) = block.get_mut(SUM) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Some(block)
}

/// Adds a file.
pub(crate) fn append(archive: &mut Vec<u8>, name: &str, content: &[u8]) -> Option<()> {
    archive.extend_from_slice(&header(name, content.len() as u64)?);
    archive.extend_from_slice(content);
    archive.resize(padded(archive.len()), 0);
    Some(())
}

/// Ends an archive.
pub(crate) fn finish(archive: &mut Vec<u8>) {
    archive.resize(archive.len().saturating_add(END), 0);
}

/// The bytes of whole blocks that these take.
pub(crate) fn padded(bytes: usize) -> usize {
    bytes.checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX)
}

/// A file in an archive, as far as its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    /// What is there of its content.
    pub(crate) content: &'a [u8],
    /// How much there should be.
    pub(crate) size: u64,
    /// Whether the rest of its last block is zeros.
    pub(crate) padded: bool,
}

/// What an archive consists of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A file.
    File(Entry<'a>),
    /// What no header leads to, from a place on, up to the next header.
    Stray { at: usize, bytes: &'a [u8] },
    /// The end, and whether it is as it is written.
    End { whole: bool },
}

/// All parts, in their order. Whatever the bytes are, it ends, and a header that is
/// damaged hides no more than its own file.
pub(crate) fn parts(archive: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut at, mut stray) = (0usize, None::<usize>);
    // From here on there are zeros alone.
    let zeros = archive.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    loop {
        let rest = archive.get(at..).unwrap_or_default();
        let ends = at >= zeros;
        let next = if ends { None } else { named(rest) };
        if let Some(from) = stray.filter(|_| ends || next.is_some()) {
            let bytes = archive.get(from..at).unwrap_or_default();
            parts.push(Part::Stray { at: from, bytes });
            stray = None;
        }
        if ends {
            parts.push(Part::End { whole: rest.len() == END });
            return parts;
        }
        match next {
            Some((name, size)) => {
                let begin = at.saturating_add(BLOCK);
                let end = begin.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
                let there = end.min(archive.len());
                let padding = archive.get(end..padded(end).min(archive.len())).unwrap_or_default();
                parts.push(Part::File(Entry {
                    name,
                    content: archive.get(begin..there).unwrap_or_default(),
                    size,
                    padded: padding.iter().all(|byte| *byte == 0),
                }));
                at = padded(end);
            }
            None => {
                stray.get_or_insert(at);
                at = at.saturating_add(BLOCK).min(archive.len());
            }
        }
    }
}

/// Name and size in a header, if that is as we write it.
fn named(rest: &[u8]) -> Option<(String, u64)> {
    let block = rest.get(..BLOCK)?;
    let text = |range: std::ops::Range<usize>| {
        let field = block.get(range)?;
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        std::str::from_utf8(field.get(..end)?).ok()
    };
    let name = text(0..NAME_MAX)?;
    let size = u64::from_str_radix(text(124..136)?, 8).ok()?;
    (header(name, size)?.as_slice() == block).then(|| (name.to_owned(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Vec::new();
        append(&mut archive, "a", &[1; 700]).unwrap();
        append(&mut archive, "b/c", b"").unwrap();
        append(&mut archive, "d", &[2; 512]).unwrap();
        finish(&mut archive);
        archive
    }

    fn names(archive: &[u8]) -> Vec<String> {
        parts(archive)
            .iter()
            .map(|part| match part {
                Part::File(entry) if entry.content.len() as u64 == entry.size => entry.name.clone(),
                Part::File(entry) => format!("{} cut", entry.name),
                Part::Stray { at, bytes } => format!("{} stray at {at}", bytes.len()),
                Part::End { whole } => format!("end {whole}"),
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(names(&sample()), ["a", "b/c", "d", "end true"]);
        assert_eq!(names(&[]), ["end false"]);
        assert_eq!(header(&"x".repeat(101), 1), None);
        assert_eq!(header("x", 1 << 33), None);
    }

    #[test]
    fn a_damaged_header_hides_its_own_file_alone() {
        let mut archive = sample();
        archive[3] ^= 1;
        assert_eq!(names(&archive), ["1536 stray at 0", "b/c", "d", "end true"]);
        let archive = sample();
        assert_eq!(names(&archive[..1000]), ["a cut", "end false"]);
        // The content ends with its file; only the end is not there.
        assert_eq!(names(&archive[..3584 - 512]), ["a", "b/c", "d", "end false"]);
    }
}
