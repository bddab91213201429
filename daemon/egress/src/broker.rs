//! From a destination to a connection: granted, resolved, checked, connected.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use deployd_core::egress::{Host, Passage, find};
use deployd_core::ports::{
    Access, Connection, Destination, Egress, EgressError, Exchange, Exchanged, Scheme, Security,
    UseOutcome, Vault,
};

use crate::credential::Secrets;
use crate::exchange;
use crate::network::Network;
use crate::stream::Stream;
use crate::tls::Tls;
use crate::usage::OpenUse;
use crate::wire::Wire;

/// Addresses of a name that are tried. More than two of each family are a
/// round robin, of which one works or none.
const ADDRESSES: usize = 4;

/// How much of a host that is none stands in an error.
const SHOWN_CHARACTERS: usize = 80;

/// Connects for everybody in the daemon.
pub struct Broker {
    network: Arc<dyn Network>,
    tls: Arc<Tls>,
    secrets: Secrets,
}

impl Broker {
    /// A broker over this network. Credentials that grants name are the
    /// operator's secrets in this vault.
    pub fn new(network: Arc<dyn Network>, vault: Arc<dyn Vault>) -> Self {
        let secrets = Secrets(vault);
        Self { network, tls: Arc::new(Tls::new(secrets.clone())), secrets }
    }

    async fn stream(
        &self,
        access: &Access,
        host: &str,
        port: u16,
        security: &Security,
        open: &mut OpenUse,
    ) -> Result<Stream, EgressError> {
        let scheme = match security {
            Security::Plaintext => Scheme::Tcp,
            Security::Tls(_) => Scheme::Tls,
        };
        let destination = Destination { scheme, host: parsed(host)?, port };
        open.destination = Some(destination.clone());
        let passage = find(&access.grants, &destination)?;
        let wire = self.wire(access, passage, &destination, open).await?;
        let mut stream =
            Stream::plain(wire, Arc::clone(&self.tls), passage, destination, access.limits);
        if let Security::Tls(options) = security {
            stream.upgrade(options, open).await?;
        }
        Ok(stream)
    }

    /// A connection to a destination that is granted.
    pub(crate) async fn wire(
        &self,
        access: &Access,
        passage: Passage<'_>,
        destination: &Destination,
        open: &mut OpenUse,
    ) -> Result<Wire, EgressError> {
        let addresses = self.addresses(access, passage, destination, open).await?;
        let begun = Instant::now();
        let mut refused = String::new();
        let count = addresses.len();
        for (index, address) in addresses.into_iter().enumerate() {
            open.address = Some(address);
            // Who does not answer leaves time for those after it.
            let left = access.limits.connect.saturating_sub(begun.elapsed());
            let share = u32::try_from(count.saturating_sub(index)).unwrap_or(1).max(1);
            let connecting = self.network.connect(SocketAddr::new(address, destination.port));
            match open.within(destination, "connecting", left / share, connecting).await {
                Ok(Ok(stream)) => return Ok(Wire::new(stream, Arc::clone(&open.counters))),
                Ok(Err(error)) => refused = error.to_string(),
                Err(timed_out) => refused = timed_out_reason(&timed_out, left / share),
            }
        }
        Err(EgressError::Unreachable { destination: destination.clone(), reason: refused })
    }

    /// The addresses that may be connected to, in the resolver's order.
    async fn addresses(
        &self,
        access: &Access,
        passage: Passage<'_>,
        destination: &Destination,
        open: &OpenUse,
    ) -> Result<Vec<IpAddr>, EgressError> {
        let host = &destination.host;
        passage
            .allows_name(host)
            .map_err(|class| EgressError::Address { host: host.clone(), class })?;
        let unresolved = |reason: String| EgressError::Unresolved { host: host.clone(), reason };
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => open
                .within(
                    destination,
                    "resolving the name",
                    access.limits.resolve,
                    self.network.resolve(name),
                )
                .await?
                .map_err(|error| unresolved(error.to_string()))?,
        };
        let mut forbidden = None;
        let mut allowed = Vec::new();
        for address in found {
            match passage.allows(address) {
                Ok(()) if allowed.len() < ADDRESSES => allowed.push(address),
                Ok(()) => {}
                Err(class) => {
                    forbidden.get_or_insert(class);
                }
            }
        }
        match forbidden {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(class) => Err(EgressError::Address { host: host.clone(), class }),
            None => Err(unresolved("it has no address".to_owned())),
        }
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }
}

fn timed_out_reason(error: &EgressError, limit: Duration) -> String {
    match error {
        EgressError::TimedOut { phase, .. } => {
            format!("{phase} took longer than {} ms", limit.as_millis())
        }
        other => other.to_string(),
    }
}

/// The host that a text means.
pub(crate) fn parsed(host: &str) -> Result<Host, EgressError> {
    host.parse().map_err(|reason| EgressError::Host {
        host: host.chars().take(SHOWN_CHARACTERS).collect(),
        reason,
    })
}

#[async_trait]
impl Egress for Broker {
    async fn connect(
        &self,
        access: &Access,
        host: &str,
        port: u16,
        security: &Security,
    ) -> Result<Box<dyn Connection>, EgressError> {
        let mut open = OpenUse::begin(access);
        match self.stream(access, host, port, security, &mut open).await {
            Ok(stream) => {
                open.came_to(UseOutcome::Closed);
                Ok(Box::new(stream.recorded_by(open)))
            }
            Err(error) => Err(open.failed(error)),
        }
    }

    async fn exchange(&self, access: &Access, request: Exchange) -> Result<Exchanged, EgressError> {
        let mut open = OpenUse::begin(access);
        match exchange::make(self, access, request, &mut open).await {
            Ok(answer) => {
                open.came_to(UseOutcome::Status(answer.status));
                Ok(answer)
            }
            Err(error) => Err(open.failed(error)),
        }
    }
}
