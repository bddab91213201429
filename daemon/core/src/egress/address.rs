//! What kinds of addresses there are, as far as it matters for who may connect
//! to them (IANA special-purpose registries; RFC 6890 and its successors).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Of the public internet.
    Public,
    /// This machine.
    Loopback,
    /// RFC 1918.
    Private,
    /// Carrier-grade NAT, RFC 6598.
    Shared,
    /// Valid on one link.
    LinkLocal,
    /// RFC 4193.
    UniqueLocal,
    /// RFC 3879: deprecated, and still routed by some.
    SiteLocal,
    /// RFC 2544 and RFC 5180.
    Benchmark,
    /// RFC 5737, RFC 3849, RFC 9637.
    Documentation,
    /// A cloud's metadata service, which gives credentials to whoever asks.
    Metadata,
    /// No address at all; systems take it for this machine.
    Unspecified,
    /// Many receivers.
    Multicast,
    /// Reserved, or of no use for connections.
    Reserved,
    /// IPv6 that carries IPv4 to where nobody can tell: Teredo, local NAT64,
    /// IPv4-compatible.
    Tunnel,
}

impl AddressClass {
    /// Whether it may be connected to by whoever is granted private addresses.
    /// Metadata services are not among them: they have to be granted by address.
    pub fn is_local(self) -> bool {
        matches!(
            self,
            Self::Loopback
                | Self::Private
                | Self::Shared
                | Self::LinkLocal
                | Self::UniqueLocal
                | Self::SiteLocal
                | Self::Benchmark
                | Self::Documentation
        )
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "an address of carrier-grade NAT",
            Self::LinkLocal => "a link-local address",
            Self::UniqueLocal => "a unique local address",
            Self::SiteLocal => "a site-local address",
            Self::Benchmark => "an address for benchmarks",
            Self::Documentation => "an address for documentation",
            Self::Metadata => "a metadata service",
            Self::Unspecified => "the unspecified address",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
            Self::Tunnel => "an address of a tunnel",
        })
    }
}

/// Metadata services outside of link-local: AWS over IPv6, Alibaba, Oracle's
/// older one, Azure's wire server.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// The same over IPv6: AWS, its credentials for pods, Google.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// What an address is. One that carries an IPv4 address in it is what that is.
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => of_v6(v6),
    }
}

fn of_v4(v4: Ipv4Addr) -> AddressClass {
    let [a, b, c, _] = v4.octets();
    match (a, b, c) {
        _ if METADATA_V4.contains(&v4) => AddressClass::Metadata,
        (0, 0, 0) if v4.is_unspecified() => AddressClass::Unspecified,
        (127, ..) => AddressClass::Loopback,
        _ if v4.is_private() => AddressClass::Private,
        (100, 64..=127, _) => AddressClass::Shared,
        (169, 254, _) => AddressClass::LinkLocal,
        (198, 18..=19, _) => AddressClass::Benchmark,
        _ if v4.is_documentation() => AddressClass::Documentation,
        (224..=239, ..) => AddressClass::Multicast,
        // "This network", IETF protocol assignments, the old 6to4 relays, AS112,
        // AMT, and all from 240 on.
        (0, ..)
        | (192, 0, 0)
        | (192, 88, 99)
        | (192, 31, 196)
        | (192, 52, 193)
        | (192, 175, 48)
        | (240.., ..) => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn of_v6(v6: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&v6) {
        return AddressClass::Metadata;
    }
    let [a, b, c, d, e, f, g, h] = v6.segments();
    match (a, b, c) {
        _ if v6.is_unspecified() => AddressClass::Unspecified,
        _ if v6.is_loopback() => AddressClass::Loopback,
        // IPv4-mapped, and IPv4-compatible.
        (0, 0, 0) if (d, e, f) == (0, 0, 0xffff) => of_v4(joined(g, h)),
        (0, 0, 0) if (d, e, f) == (0, 0, 0) => AddressClass::Tunnel,
        // NAT64: the well-known prefix, and those that a network chose.
        (0x64, 0xff9b, 0) if (d, e, f) == (0, 0, 0) => of_v4(joined(g, h)),
        (0x64, 0xff9b, _) => AddressClass::Tunnel,
        // 6to4 has the IPv4 address in its second and third segments.
        (0x2002, ..) => of_v4(joined(b, c)),
        (0x2001, 0, _) => AddressClass::Tunnel,
        (0x2001, 2, 0) => AddressClass::Benchmark,
        (0x2001, 0xdb8, _) => AddressClass::Documentation,
        (0x3fff, 0..=0xfff, _) => AddressClass::Documentation,
        // IETF protocol assignments; 6bone.
        (0x2001, 0..=0x1ff, _) | (0x3ffe, ..) => AddressClass::Reserved,
        (0x2000..=0x3fff, ..) if (e, f) == (0, 0x5efe) || (e, f) == (0x200, 0x5efe) => {
            // ISATAP has it at the end.
            of_v4(joined(g, h))
        }
        (0x2000..=0x3fff, ..) => AddressClass::Public,
        (0xfc00..=0xfdff, ..) => AddressClass::UniqueLocal,
        (0xfe80..=0xfebf, ..) => AddressClass::LinkLocal,
        (0xfec0..=0xfeff, ..) => AddressClass::SiteLocal,
        (0xff00.., ..) => AddressClass::Multicast,
        _ => AddressClass::Reserved,
    }
}

/// The IPv4 address in two segments.
fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_has_its_class() {
        for (address, class) in [
            ("1.1.1.1", AddressClass::Public),
            ("2606:4700:4700::1111", AddressClass::Public),
            ("::ffff:1.1.1.1", AddressClass::Public),
            ("64:ff9b::808:808", AddressClass::Public),
            ("2002:808:808::", AddressClass::Public),
            ("126.255.255.255", AddressClass::Public),
            ("172.32.0.1", AddressClass::Public),
            ("100.128.0.1", AddressClass::Public),
            ("127.0.0.1", AddressClass::Loopback),
            ("127.255.255.254", AddressClass::Loopback),
            ("::1", AddressClass::Loopback),
            ("::ffff:127.0.0.1", AddressClass::Loopback),
            ("64:ff9b::7f00:1", AddressClass::Loopback),
            ("2002:7f00:1::", AddressClass::Loopback),
            ("10.1.2.3", AddressClass::Private),
            ("172.16.0.1", AddressClass::Private),
            ("172.31.255.255", AddressClass::Private),
            ("192.168.1.1", AddressClass::Private),
            ("::ffff:10.0.0.1", AddressClass::Private),
            ("2a00::5efe:a00:1", AddressClass::Private),
            ("100.64.0.1", AddressClass::Shared),
            ("169.254.1.1", AddressClass::LinkLocal),
            ("fe80::1", AddressClass::LinkLocal),
            ("fc00::1", AddressClass::UniqueLocal),
            ("fec0::1", AddressClass::SiteLocal),
            ("198.18.0.1", AddressClass::Benchmark),
            ("2001:2::1", AddressClass::Benchmark),
            ("192.0.2.1", AddressClass::Documentation),
            ("203.0.113.1", AddressClass::Documentation),
            ("2001:db8::1", AddressClass::Documentation),
            ("3fff::1", AddressClass::Documentation),
            ("169.254.169.254", AddressClass::Metadata),
            ("::ffff:169.254.169.254", AddressClass::Metadata),
            ("64:ff9b::a9fe:a9fe", AddressClass::Metadata),
            ("2002:a9fe:a9fe::1", AddressClass::Metadata),
            ("100.100.100.200", AddressClass::Metadata),
            ("fd00:ec2::254", AddressClass::Metadata),
            ("fd20:ce::254", AddressClass::Metadata),
            ("0.0.0.0", AddressClass::Unspecified),
            ("::", AddressClass::Unspecified),
            ("::ffff:0.0.0.0", AddressClass::Unspecified),
            ("224.0.0.1", AddressClass::Multicast),
            ("ff02::1", AddressClass::Multicast),
            ("0.1.2.3", AddressClass::Reserved),
            ("192.0.0.8", AddressClass::Reserved),
            ("192.88.99.1", AddressClass::Reserved),
            ("255.255.255.255", AddressClass::Reserved),
            ("100::1", AddressClass::Reserved),
            ("5f00::1", AddressClass::Reserved),
            ("2001::1", AddressClass::Tunnel),
            ("::7f00:1", AddressClass::Tunnel),
            ("64:ff9b:1::7f00:1", AddressClass::Tunnel),
            ("64:ff9b:1:a9fe:a9:fe00::", AddressClass::Tunnel),
        ] {
            assert_eq!(classify(address.parse().unwrap()), class, "{address}");
        }
    }

    #[test]
    fn what_is_neither_public_nor_local_is_for_nobody() {
        for class in [
            AddressClass::Metadata,
            AddressClass::Unspecified,
            AddressClass::Multicast,
            AddressClass::Reserved,
            AddressClass::Tunnel,
            AddressClass::Public,
        ] {
            assert!(!class.is_local(), "{class}");
        }
    }
}
