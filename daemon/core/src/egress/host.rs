//! Hosts in the one way that they are written here. What resolvers and URL
//! parsers would take for something else than it looks like is refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::address::AddressClass;

/// The longest host name (RFC 1035), without the dot at its end.
const NAME_BYTES: usize = 253;
/// The longest label of one.
const LABEL_BYTES: usize = 63;

/// Names that are this machine, whatever a resolver says (RFC 6761, and what
/// systems have in their files).
const LOOPBACK_NAMES: [&str; 7] = [
    "localhost",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
    "broadcasthost",
    "localdomain",
];
const LOOPBACK_ENDS: [&str; 4] = [".localhost", ".localdomain", ".localdomain4", ".localdomain6"];

/// Names of metadata services.
const METADATA_NAMES: [&str; 5] = [
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "instance-data",
    "instance-data.ec2.internal",
];
const METADATA_ENDS: [&str; 2] = [".metadata.google.internal", ".metadata.goog"];

/// A host in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name, in lower case, without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Why a text is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Nothing, or too much.
    #[error("a host name has 1 to {NAME_BYTES} characters, each label 1 to {LABEL_BYTES}")]
    Length,
    /// A character that has no place in one: others may be somebody's trick, or
    /// a name that has to be written as the resolver gets it.
    #[error(
        "{0:?} has no place in a host name; expected a-z 0-9 - _ and dots, \
         other alphabets as xn--..."
    )]
    Character(char),
    /// `0x7f.1`, `2130706433`, `0177.0.0.1`: some read it as an address.
    #[error("it ends like an address and is none; expected four decimal numbers, as in 192.0.2.1")]
    LooksLikeAddress,
    /// An IPv6 address that is wrong, or has a zone.
    #[error("it is no IPv6 address; expected one as in 2001:db8::1, without a zone")]
    Ipv6,
}

impl Host {
    /// What the name by itself says that it is: this machine, or a metadata
    /// service. Only who is granted private addresses may ask for it.
    pub fn local_name(&self) -> Option<AddressClass> {
        let Self::Name(name) = self else { return None };
        let any = |names: &[&str], ends: &[&str]| {
            names.contains(&name.as_str()) || ends.iter().any(|end| name.ends_with(end))
        };
        if any(&LOOPBACK_NAMES, &LOOPBACK_ENDS) {
            Some(AddressClass::Loopback)
        } else if any(&METADATA_NAMES, &METADATA_ENDS) {
            Some(AddressClass::Metadata)
        } else {
            None
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    /// Reads a host as configuration and plugins write it. IPv6 may stand in
    /// brackets.
    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Ipv6)?;
            return inner
                .parse::<Ipv6Addr>()
                .map(|v6| Self::Address(v6.into()))
                .map_err(|_| HostError::Ipv6);
        }
        if text.contains(':') {
            let v6: Result<Ipv6Addr, _> = text.parse();
            return v6.map(|v6| Self::Address(v6.into())).map_err(|_| HostError::Ipv6);
        }
        if let Some(strange) =
            text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        {
            return Err(HostError::Character(strange));
        }
        if let Ok(v4) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(v4.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let fits = |label: &str| (1..=LABEL_BYTES).contains(&label.len());
        if name.len() > NAME_BYTES || !name.split('.').all(fits) {
            return Err(HostError::Length);
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        let hex = last.strip_prefix("0x");
        if last.bytes().all(|byte| byte.is_ascii_digit())
            || hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(HostError::LooksLikeAddress);
        }
        Ok(Self::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        for (written, host) in [
            ("DB.Internal.", "db.internal"),
            ("db_1.internal", "db_1.internal"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("2001:db8:0::1", "2001:db8::1"),
            ("0x7f.example", "0x7f.example"),
        ] {
            assert_eq!(written.parse::<Host>().unwrap().to_string(), host, "{written}");
        }
    }

    #[test]
    fn what_others_would_read_otherwise_is_refused() {
        for written in [
            "",
            ".",
            "..",
            "a..b",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.",
            "0x7f.0x0.0x0.0x1",
            "1.2.3.4.5",
            "256.0.0.1",
            "a.0x",
            "[::1",
            "::1]",
            "[127.0.0.1]",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            "127.0.0.1:80",
            "a\0b",
            "a b",
            "a%2eb",
            "a/b",
            "user@host",
            "１２７.0.0.1",
            "ⓛocalhost",
            "127。0。0。1",
            "bücher.example",
            "a\\b",
            "a#b",
        ] {
            assert!(written.parse::<Host>().is_err(), "{written:?}");
        }
        assert!("a".repeat(64).parse::<Host>().is_err());
        assert!(vec!["abcdefgh"; 30].join(".").parse::<Host>().is_err());
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for name in ["localhost", "LOCALHOST.", "a.b.localhost", "metadata.google.internal."] {
            assert!(name.parse::<Host>().unwrap().local_name().is_some(), "{name}");
        }
        for name in ["localhost.example", "mylocalhost", "127.0.0.1", "metadata.example"] {
            assert_eq!(name.parse::<Host>().unwrap().local_name(), None, "{name}");
        }
    }
}
