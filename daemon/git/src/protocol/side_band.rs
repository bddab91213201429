//! Several streams in one: the first byte of each line says which.

use deployd_core::Fault;

use crate::fault;
use crate::packet::{Packet, Packets, refused};

/// How much is kept of what a server tells people meanwhile.
const TOLD_BYTES_MAX: usize = 8 * 1024;

/// What came over the streams.
#[derive(Debug, Default)]
pub(crate) struct Separated {
    /// What was asked for.
    pub(crate) data: Vec<u8>,
    /// What the server tells people, cut.
    pub(crate) told: Vec<u8>,
}

/// Separates the lines up to the end of a section.
pub(crate) fn separate(packets: &mut Packets<'_>) -> Result<Separated, Fault> {
    let mut separated = Separated::default();
    while let Some(packet) = packets.next()? {
        let Packet::Data(line) = packet else { return Ok(separated) };
        match line.split_first() {
            Some((1, data)) => separated.data.extend_from_slice(data),
            Some((2, told)) => {
                let left = TOLD_BYTES_MAX.saturating_sub(separated.told.len());
                separated.told.extend_from_slice(told.get(..left).unwrap_or(told));
            }
            Some((3, reason)) => return Err(refused(reason)),
            _ => return Err(fault::invalid("the server answers over a stream that is none")),
        }
    }
    Err(fault::unreachable("the server's answer ends in its middle"))
}
