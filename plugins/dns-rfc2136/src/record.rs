//! Records, as bytes of a message and as people write them.

use crate::hostname;
use deployd_plugin_sdk::Fault;
use domain::base::{Name, Rtype};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a text. Keys of DKIM have some 800; 32 of these fit a message.
pub(crate) const TEXT_MAX: usize = 1024;
/// Bytes of one string in a TXT record (RFC 1035).
const STRING_MAX: usize = 255;

/// A type of record that this driver makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
    /// A text.
    Txt,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::A, Self::Aaaa, Self::Cname, Self::Txt];

    /// As messages have it.
    pub(crate) fn rtype(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
            Self::Cname => Rtype::CNAME,
            Self::Txt => Rtype::TXT,
        }
    }

    /// As people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
        }
    }

    /// The type of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// A record's data; `path` is where the value stands.
    pub(crate) fn data(self, path: &str, text: &str) -> Result<Vec<u8>, Fault> {
        let wrong = |what: &str| Fault::invalid(path, format!("{text:?} is no {what}"));
        match self {
            Self::A => {
                let address: Ipv4Addr = text.parse().map_err(|_| wrong("IPv4 address"))?;
                Ok(address.octets().to_vec())
            }
            Self::Aaaa => {
                let address: Ipv6Addr = text.parse().map_err(|_| wrong("IPv6 address"))?;
                Ok(address.octets().to_vec())
            }
            Self::Cname => Ok(hostname::parse(path, text)?.into_octets()),
            Self::Txt if text.len() > TEXT_MAX => Err(Fault::invalid(
                path,
                format!("{} bytes are too long for a text; {TEXT_MAX} are allowed", text.len()),
            )),
            Self::Txt => Ok(strings(text)),
        }
    }

    fn text(self, data: &[u8]) -> String {
        match self {
            Self::A => <[u8; 4]>::try_from(data).map(|octets| Ipv4Addr::from(octets).to_string()),
            Self::Aaaa => {
                <[u8; 16]>::try_from(data).map(|octets| Ipv6Addr::from(octets).to_string())
            }
            Self::Cname => {
                return Name::from_slice(data).map_or_else(|_| hex(data), Name::to_string);
            }
            Self::Txt => return joined(data).map_or_else(|| hex(data), |text| printable(&text)),
        }
        .unwrap_or_else(|_| hex(data))
    }
}

/// All records of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RecordSet {
    /// Seconds that resolvers may keep it.
    pub(crate) ttl: u32,
    /// The data of each.
    pub(crate) data: BTreeSet<Vec<u8>>,
}

impl RecordSet {
    /// As people write them.
    pub(crate) fn texts(&self, kind: Kind) -> Vec<String> {
        self.data.iter().map(|data| kind.text(data)).collect()
    }
}

/// A text as the strings of a TXT record.
pub(crate) fn strings(text: &str) -> Vec<u8> {
    let mut data = Vec::with_capacity(text.len() + text.len().div_ceil(STRING_MAX));
    for chunk in text.as_bytes().chunks(STRING_MAX) {
        data.push(u8::try_from(chunk.len()).unwrap_or(u8::MAX));
        data.extend_from_slice(chunk);
    }
    if data.is_empty() {
        // A record has at least one string.
        data.push(0);
    }
    data
}

/// The strings of a TXT record as one text; none if they are none.
pub(crate) fn joined(mut data: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(data.len());
    while let Some((length, rest)) = data.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length))?;
        text.extend_from_slice(string);
        data = rest;
    }
    Some(text)
}

/// What a server has sent, for a person: no control character of it goes to a
/// terminal.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let shown = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    text.chars().map(shown).collect()
}

fn hex(data: &[u8]) -> String {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\# {} {digits}", data.len())
}
