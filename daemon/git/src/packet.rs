//! Lines as Git's protocols frame them: four hexadecimal digits of length, then the
//! content (`gitprotocol-common`, "pkt-line format").

use deployd_core::Fault;

use crate::fault;

/// The most that a line can have, the digits included.
pub(crate) const LINE_BYTES: usize = 65_520;
/// The digits.
const HEAD_BYTES: usize = 4;

/// One line, or what stands between lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// A line.
    Data(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of an answer.
    End,
}

/// What the first bytes of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A packet, and how many bytes it has with its head.
    Packet(Packet<'a>, usize),
    /// The beginning of one.
    Incomplete,
    /// Nothing that any line begins with.
    Nonsense,
}

/// Reads the first packet of what there is.
pub(crate) fn next(bytes: &[u8]) -> Next<'_> {
    let Some(head) = bytes.get(..HEAD_BYTES) else {
        return Next::Incomplete;
    };
    let length = std::str::from_utf8(head)
        .ok()
        .filter(|head| head.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|head| usize::from_str_radix(head, 16).ok());
    match length {
        Some(0) => Next::Packet(Packet::Flush, HEAD_BYTES),
        Some(1) => Next::Packet(Packet::Delimiter, HEAD_BYTES),
        Some(2) => Next::Packet(Packet::End, HEAD_BYTES),
        Some(length @ HEAD_BYTES..=LINE_BYTES) => match bytes.get(HEAD_BYTES..length) {
            Some(data) => Next::Packet(Packet::Data(data), length),
            None => Next::Incomplete,
        },
        _ => Next::Nonsense,
    }
}

/// The packets of a whole message. A line that begins with `ERR ` is the server's way to
/// say that it does not do it.
pub(crate) struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next one; none after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Packet<'a>>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        match next(self.rest) {
            Next::Packet(packet, length) => {
                self.rest = self.rest.get(length..).unwrap_or_default();
                if let Packet::Data(line) = packet
                    && let Some(reason) = line.strip_prefix(b"ERR ")
                {
                    return Err(refused(reason));
                }
                Ok(Some(packet))
            }
            Next::Incomplete => Err(fault::unreachable("the server's answer ends in its middle")),
            Next::Nonsense => {
                let shown = fault::quoted(self.rest.get(..60).unwrap_or(self.rest));
                Err(fault::invalid(format!("the server answers what no Git server does: {shown}")))
            }
        }
    }
}

/// What a server that refuses means.
pub(crate) fn refused(reason: &[u8]) -> Fault {
    let said = fault::quoted(reason);
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&[
        "not our ref",
        "unadvertised",
        "not found",
        "does not appear",
        "not exist",
        "bad object",
    ]) {
        return fault::not_found(format!("the server says: {said}"));
    }
    if has(&["denied", "permission", "forbidden", "not allowed", "unauthorized", "authenticat"]) {
        return fault::denied(format!("the server says: {said}"));
    }
    fault::unreachable(format!("the server says: {said}"))
}

/// Adds a line to a message.
pub(crate) fn push(message: &mut Vec<u8>, line: &[u8]) {
    // All that is written here is far shorter than a line can be.
    message.extend_from_slice(format!("{:04x}", line.len().saturating_add(HEAD_BYTES)).as_bytes());
    message.extend_from_slice(line);
}

/// Adds the end of a section.
pub(crate) fn push_delimiter(message: &mut Vec<u8>) {
    message.extend_from_slice(b"0001");
}

/// Adds the end of a message.
pub(crate) fn push_flush(message: &mut Vec<u8>) {
    message.extend_from_slice(b"0000");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let mut message = Vec::new();
        push(&mut message, b"want x\n");
        push_delimiter(&mut message);
        push(&mut message, b"");
        push_flush(&mut message);
        let mut packets = Packets::new(&message);
        assert_eq!(packets.next().unwrap(), Some(Packet::Data(b"want x\n")));
        assert_eq!(packets.next().unwrap(), Some(Packet::Delimiter));
        assert_eq!(packets.next().unwrap(), Some(Packet::Data(b"")));
        assert_eq!(packets.next().unwrap(), Some(Packet::Flush));
        assert_eq!(packets.next().unwrap(), None);
    }

    #[test]
    fn refusals_and_nonsense_are_faults() {
        let code = |bytes: &[u8]| Packets::new(bytes).next().unwrap_err().code;
        assert_eq!(code(b"0013ERR not our ref"), "git-not-found");
        assert_eq!(code(b"<html>"), "git-invalid");
        assert_eq!(code(b"0003"), "git-invalid");
        assert_eq!(code(b"fff1"), "git-invalid");
        assert_eq!(code(b"+fff"), "git-invalid");
    }

    proptest! {
        #[test]
        fn whatever_is_there_is_read_to_its_end_or_refused(bytes: Vec<u8>) {
            let mut packets = Packets::new(&bytes);
            let mut count = 0;
            while let Ok(Some(_)) = packets.next() {
                count += 1;
            }
            prop_assert!(count * HEAD_BYTES <= bytes.len());
        }
    }
}
