//! Which grant allows a destination, and which addresses come with it.

use std::net::IpAddr;

use super::address::{AddressClass, classify};
use super::host::Host;
use crate::config::HostGrant;
use crate::ports::{Destination, Scheme};

/// A grant that allows a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage<'a> {
    /// Which.
    pub grant: &'a HostGrant,
    /// Whether the connection must become TLS: it begins in plain text, and the
    /// grant is for TLS.
    pub must_upgrade: bool,
}

/// No grant allows a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{destination} is not granted; granted are: {}",
    if granted.is_empty() { "none".to_owned() } else { granted.join(", ") }
)]
pub struct NotGranted {
    /// Where to.
    pub destination: Destination,
    /// What is granted.
    pub granted: Vec<String>,
}

/// Why an HTTP request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No grant for its destination.
    Destination(NotGranted),
    /// Its destination is granted, for these methods.
    Method(Vec<String>),
}

/// The grant that allows a destination: the same scheme, host and port. What is
/// granted as `tls` may begin in plain text where a protocol asks for that, but
/// not stay so.
pub fn find<'a>(
    grants: &'a [HostGrant],
    destination: &Destination,
) -> Result<Passage<'a>, NotGranted> {
    let with = |scheme: Scheme| {
        grants.iter().find(|grant| is_for(grant, scheme, &destination.host, destination.port))
    };
    if let Some(grant) = with(destination.scheme) {
        return Ok(Passage { grant, must_upgrade: false });
    }
    if destination.scheme == Scheme::Tcp
        && let Some(grant) = with(Scheme::Tls)
    {
        return Ok(Passage { grant, must_upgrade: true });
    }
    Err(not_granted(grants, destination))
}

/// The grant that allows a request. Of several for one destination, one that
/// names the method goes before one that is for all: each may have a credential
/// of its own.
pub fn find_for_method<'a>(
    grants: &'a [HostGrant],
    destination: &Destination,
    method: &str,
) -> Result<Passage<'a>, Refused> {
    let Destination { scheme, host, port } = destination;
    let there = || grants.iter().filter(|grant| is_for(grant, *scheme, host, *port));
    let naming = there().find(|grant| grant.methods.iter().any(|allowed| allowed == method));
    if let Some(grant) = naming.or_else(|| there().find(|grant| grant.methods.is_empty())) {
        return Ok(Passage { grant, must_upgrade: false });
    }
    let granted: Vec<_> = there().flat_map(|grant| grant.methods.iter().cloned()).collect();
    Err(if granted.is_empty() {
        Refused::Destination(not_granted(grants, destination))
    } else {
        Refused::Method(granted)
    })
}

fn is_for(grant: &HostGrant, scheme: Scheme, host: &Host, port: u16) -> bool {
    grant.scheme == scheme.as_str()
        && grant.port == port
        && grant.host.parse::<Host>().is_ok_and(|granted| granted == *host)
}

fn not_granted(grants: &[HostGrant], destination: &Destination) -> NotGranted {
    NotGranted {
        destination: destination.clone(),
        granted: grants
            .iter()
            .map(|grant| format!("{}://{}:{}", grant.scheme, grant.host, grant.port))
            .collect(),
    }
}

impl Passage<'_> {
    /// Whether an address of the granted host may be connected to; what it is,
    /// when not.
    pub fn allows(&self, address: IpAddr) -> Result<(), AddressClass> {
        let class = classify(address);
        let by_address =
            || self.grant.host.parse::<Host>().is_ok_and(|host| host == Host::Address(address));
        let allowed = match class {
            AddressClass::Public => true,
            // A name could come to mean it: only an address is meant.
            AddressClass::Metadata => self.grant.private_address && by_address(),
            class => self.grant.private_address && class.is_local(),
        };
        if allowed { Ok(()) } else { Err(class) }
    }

    /// Whether the host may be asked for at all, before it is resolved; what its
    /// name says that it is, when not.
    pub fn allows_name(&self, host: &Host) -> Result<(), AddressClass> {
        match host.local_name() {
            Some(class) if !self.grant.private_address => Err(class),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(scheme: &str, host: &str, port: u16) -> HostGrant {
        HostGrant { host: host.into(), port, scheme: scheme.into(), ..HostGrant::default() }
    }

    fn to(scheme: Scheme, host: &str, port: u16) -> Destination {
        Destination { scheme, host: host.parse().unwrap(), port }
    }

    #[test]
    fn a_grant_is_for_one_scheme_host_and_port() {
        let grants = [grant("https", "API.example.com.", 443), grant("tcp", "db", 5432)];
        assert!(find(&grants, &to(Scheme::Https, "api.example.com", 443)).is_ok());
        for other in [
            to(Scheme::Http, "api.example.com", 443),
            to(Scheme::Https, "api.example.com", 8443),
            to(Scheme::Https, "example.com", 443),
            to(Scheme::Https, "api.example.com.evil.example", 443),
            to(Scheme::Tls, "db", 5432),
        ] {
            let refused = find(&grants, &other).unwrap_err().to_string();
            assert!(refused.contains("https://API.example.com.:443, tcp://db:5432"), "{refused}");
        }
    }

    #[test]
    fn plain_text_under_a_grant_for_tls_must_not_stay() {
        let grants = [grant("tls", "db", 5432)];
        assert!(find(&grants, &to(Scheme::Tcp, "db", 5432)).unwrap().must_upgrade);
        let grants = [grant("tls", "db", 5432), grant("tcp", "db", 5432)];
        assert!(!find(&grants, &to(Scheme::Tcp, "db", 5432)).unwrap().must_upgrade);
    }

    #[test]
    fn methods_are_as_granted() {
        let to = to(Scheme::Https, "api", 443);
        let all = grant("https", "api", 443);
        assert!(find_for_method(std::slice::from_ref(&all), &to, "DELETE").is_ok());
        let some = HostGrant { methods: vec!["GET".into(), "POST".into()], ..all };
        let some = [some];
        assert!(find_for_method(&some, &to, "POST").is_ok());
        for method in ["DELETE", "post"] {
            let granted = vec!["GET".to_owned(), "POST".to_owned()];
            assert_eq!(find_for_method(&some, &to, method), Err(Refused::Method(granted)));
        }
        let elsewhere = [grant("https", "api", 8443)];
        let refused = find_for_method(&elsewhere, &to, "GET").unwrap_err();
        assert!(matches!(refused, Refused::Destination(_)));
    }

    #[test]
    fn the_grant_that_names_a_method_goes_first() {
        let to = to(Scheme::Https, "api", 443);
        let with = |methods: &[&str], secret: &str| HostGrant {
            methods: methods.iter().map(ToString::to_string).collect(),
            client_certificate: Some(secret.to_owned()),
            ..grant("https", "api", 443)
        };
        let grants = [with(&[], "any"), with(&["GET"], "read"), with(&["POST", "PUT"], "write")];
        for (method, chosen) in [("GET", "read"), ("PUT", "write"), ("DELETE", "any")] {
            let passage = find_for_method(&grants, &to, method).unwrap();
            assert_eq!(passage.grant.client_certificate.as_deref(), Some(chosen), "{method}");
        }
    }

    #[test]
    fn metadata_services_are_granted_by_address_only() {
        let address: IpAddr = "169.254.169.254".parse().unwrap();
        let by_name = HostGrant { private_address: true, ..grant("http", "metadata.internal", 80) };
        let by_address =
            HostGrant { private_address: true, ..grant("http", "169.254.169.254", 80) };
        let passage = |grant| Passage { grant, must_upgrade: false };
        assert_eq!(passage(&by_name).allows(address), Err(AddressClass::Metadata));
        assert_eq!(passage(&by_address).allows(address), Ok(()));
        assert_eq!(passage(&by_name).allows("10.0.0.1".parse().unwrap()), Ok(()));
        for never in ["0.0.0.0", "224.0.0.1", "::7f00:1", "2001::1"] {
            assert!(passage(&by_address).allows(never.parse().unwrap()).is_err(), "{never}");
        }
    }
}
