//! Everything that leaves the daemon, but the cluster client: byte streams and
//! HTTP to hosts that a grant names.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::HostGrant;
use crate::egress::{AddressClass, Host, HostError, NotGranted};
use crate::{Fault, FaultClass};

/// How a destination is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// A byte stream.
    Tcp,
    /// A byte stream in TLS.
    Tls,
    /// HTTP.
    Http,
    /// HTTP in TLS.
    Https,
}

impl Scheme {
    /// As grants and URLs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.as_str();
        match self.host {
            Host::Address(IpAddr::V6(v6)) => write!(f, "{scheme}://[{v6}]:{}", self.port),
            _ => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// What TLS is checked against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The name that the server's certificate must have; the host by default.
    pub server_name: Option<String>,
}

/// How a byte stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// In plain text.
    Plaintext,
    /// With TLS.
    Tls(TlsOptions),
}

/// Limits of one use. Each phase has its own, and all together have `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EgressLimits {
    /// For the name's addresses.
    pub resolve: Duration,
    /// For a connection.
    pub connect: Duration,
    /// For the TLS handshake.
    pub tls: Duration,
    /// For the head of an answer, from the moment that the connection is there.
    pub answer: Duration,
    /// For one read or write, and for each part of an answer.
    pub idle: Duration,
    /// For all of it, from the name to the end of the connection.
    pub total: Duration,
    /// Bytes on the wire in each direction, TLS included.
    pub stream_bytes: u64,
    /// Bytes of an answer's body.
    pub body_bytes: usize,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            // Resolvers ask again after 5 s; the second answer is still in time.
            resolve: Duration::from_secs(8),
            // Three packets lost, each asked for again.
            connect: Duration::from_secs(10),
            // Two round trips, and a server that is busy.
            tls: Duration::from_secs(10),
            // Standard Webhooks gives receivers 15 to 30 s.
            answer: Duration::from_secs(25),
            // A server that says nothing for so long has forgotten us.
            idle: Duration::from_secs(20),
            // No part of it may take longer.
            total: Duration::from_secs(25),
            // A dump of a small database; nothing that fills a disk.
            stream_bytes: 64 * 1024 * 1024,
            // Answers of APIs are some KiB, their lists some MiB.
            body_bytes: 4 * 1024 * 1024,
        }
    }
}

/// What one use of the network may do, and who is told of it.
#[derive(Clone)]
pub struct Access {
    /// What is allowed. Nothing, when empty.
    pub grants: Arc<[HostGrant]>,
    /// How much, and for how long.
    pub limits: EgressLimits,
    /// Is told of every use, those that were refused among them.
    pub uses: Arc<dyn Uses>,
}

/// One use of the network, when it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Where to; none when it was no destination. Without path, query and user.
    pub destination: Option<Destination>,
    /// The address that was connected to.
    pub address: Option<IpAddr>,
    /// The HTTP method.
    pub method: Option<String>,
    /// From the first look at the name to the end.
    pub millis: u64,
    /// Bytes on the wire, TLS included.
    pub sent: u64,
    /// The same, from the other side.
    pub received: u64,
    /// What came of it.
    pub outcome: UseOutcome,
}

/// What came of a use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UseOutcome {
    /// A stream was closed in order.
    Closed,
    /// An HTTP answer with this status.
    Status(u16),
    /// It failed; the code of the fault.
    Failed(&'static str),
}

impl fmt::Display for Use {
    /// One line: where to, address, how long, bytes, outcome.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        match &self.destination {
            Some(destination) => destination.fmt(f)?,
            None => f.write_str("(no destination)")?,
        }
        if let Some(address) = self.address {
            write!(f, " ({address})")?;
        }
        write!(f, ": {} ms, {} bytes sent, {} received, ", self.millis, self.sent, self.received)?;
        match self.outcome {
            UseOutcome::Closed => f.write_str("closed"),
            UseOutcome::Status(status) => write!(f, "status {status}"),
            UseOutcome::Failed(code) => f.write_str(code),
        }
    }
}

/// Is told of every use of the network.
pub trait Uses: Send + Sync + 'static {
    /// Notes one.
    fn record(&self, used: Use);
}

/// An HTTP request with its whole body.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// `http` or `https`, without user and password.
    pub url: String,
    /// Headers, in order; the host's own (`host`, `content-length`,
    /// `connection`, `transfer-encoding` and their like) are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An HTTP answer with its whole body. A redirect is an answer like others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// The status.
    pub status: u16,
    /// Headers, in order; values that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why the network was not used, or not to the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// The host is none.
    #[error("{host:?} is no host: {reason}")]
    Host {
        /// What it is, cut.
        host: String,
        /// Why it is none.
        reason: HostError,
    },
    /// The request is none.
    #[error("the request can't be made: {0}")]
    Request(String),
    /// No grant for it.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// The grant is for other methods.
    #[error("{method} to {destination} is not granted; granted are: {}", granted.join(", "))]
    Method {
        /// Which was asked for.
        method: String,
        /// Where to.
        destination: Destination,
        /// Which are granted.
        granted: Vec<String>,
    },
    /// The name, or all its addresses, lead where the grant does not.
    #[error("{host} leads to {class}; if it is meant, the grant needs privateAddress: true{}",
        if *class == AddressClass::Metadata { " and the address itself as its host" } else { "" })]
    Address {
        /// Which host.
        host: Host,
        /// What its first address is.
        class: AddressClass,
    },
    /// The name has no address.
    #[error("{host} can't be resolved: {reason}")]
    Unresolved {
        /// Which host.
        host: Host,
        /// What the resolver says.
        reason: String,
    },
    /// Nobody there.
    #[error("{destination} can't be connected to: {reason}")]
    Unreachable {
        /// Where to.
        destination: Destination,
        /// What the system says.
        reason: String,
    },
    /// The server is not who it should be, or does not trust us.
    #[error("{destination} is not trusted: {reason}")]
    Untrusted {
        /// Where to.
        destination: Destination,
        /// What TLS says.
        reason: String,
    },
    /// TLS came to nothing.
    #[error("TLS with {destination} failed: {reason}")]
    Tls {
        /// Where to.
        destination: Destination,
        /// What TLS says.
        reason: String,
    },
    /// A credential that the grant names can't be used.
    #[error("the {what} that the grant for {destination} names can't be used: {reason}")]
    Credential {
        /// Which.
        what: &'static str,
        /// For where.
        destination: Destination,
        /// Why.
        reason: String,
    },
    /// The request has a header that is the host's.
    #[error(
        "the header {header} of requests to {destination} is the host's: \
         the grant says what stands in it, so it must be left out"
    )]
    CredentialHeader {
        /// Where to.
        destination: Destination,
        /// Which header.
        header: String,
    },
    /// A credential would be read by everybody on the way.
    #[error(
        "no credential is sent to {destination} in plain text: \
         expected https, a loopback address, or plaintext: true in the grant"
    )]
    CredentialInPlainText {
        /// Where to.
        destination: Destination,
    },
    /// The answer has the credential in it that went out with the request.
    #[error("{destination} answered with the credential that it was sent; nobody gets that answer")]
    CredentialReturned {
        /// Where to.
        destination: Destination,
    },
    /// It took too long.
    #[error("{destination}: {phase} took longer than {} ms", limit.as_millis())]
    TimedOut {
        /// Where to.
        destination: Destination,
        /// In what.
        phase: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// It was too much.
    #[error("{destination}: {what} has more than {limit} bytes")]
    TooLarge {
        /// Where to.
        destination: Destination,
        /// What of it.
        what: &'static str,
        /// How much it may have.
        limit: u64,
    },
    /// What was received makes no sense.
    #[error("{destination} answered what is no HTTP: {reason}")]
    Malformed {
        /// Where to.
        destination: Destination,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection to {destination} broke: {reason}")]
    Broken {
        /// Where to.
        destination: Destination,
        /// What the system says.
        reason: String,
    },
    /// The stream is in plain text, and granted for TLS only.
    #[error("{destination} is granted for TLS: start-tls must come before more than {limit} bytes")]
    PlainText {
        /// Where to.
        destination: Destination,
        /// How much may be said before it.
        limit: u64,
    },
    /// The stream can't do this any more.
    #[error("the connection to {destination} can't be used: {reason}")]
    State {
        /// Where to.
        destination: Destination,
        /// Why.
        reason: &'static str,
    },
}

impl EgressError {
    /// Stable and kebab-case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Host { .. } => "host-invalid",
            Self::Request(_) => "request-invalid",
            Self::NotGranted(_) => "host-not-granted",
            Self::Method { .. } => "method-not-granted",
            Self::Address { .. } => "address-not-allowed",
            Self::Unresolved { .. } => "name-unresolved",
            Self::Unreachable { .. } => "connect-failed",
            Self::Untrusted { .. } => "tls-untrusted",
            Self::Tls { .. } => "tls-failed",
            Self::Credential { .. } => "credential-unusable",
            Self::CredentialHeader { .. } => "credential-header",
            Self::CredentialInPlainText { .. } => "credential-plaintext",
            Self::CredentialReturned { .. } => "credential-returned",
            Self::TimedOut { .. } => "egress-timeout",
            Self::TooLarge { .. } => "egress-too-large",
            Self::Malformed { .. } => "answer-malformed",
            Self::Broken { .. } => "connection-broken",
            Self::PlainText { .. } => "plaintext-not-granted",
            Self::State { .. } => "connection-unusable",
        }
    }

    /// What may be done about it.
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Host { .. } | Self::Request(_) => FaultClass::Invalid,
            Self::NotGranted(_)
            | Self::Method { .. }
            | Self::Address { .. }
            | Self::CredentialHeader { .. }
            | Self::CredentialInPlainText { .. }
            | Self::PlainText { .. } => FaultClass::Denied,
            Self::Untrusted { .. }
            | Self::Credential { .. }
            | Self::CredentialReturned { .. }
            | Self::TooLarge { .. }
            | Self::State { .. } => FaultClass::Permanent,
            Self::Unresolved { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::TimedOut { .. }
            | Self::Malformed { .. }
            | Self::Broken { .. } => FaultClass::Transient,
        }
    }
}

impl From<EgressError> for Fault {
    fn from(error: EgressError) -> Self {
        Self::new(error.class(), error.code(), error.to_string())
    }
}

/// A byte stream to a granted host. Closed, and recorded, when it is dropped.
#[async_trait]
pub trait Connection: Send + Sync {
    /// At most so many bytes; none at the end of the stream. A read that is given up while it
    /// waits has taken nothing.
    async fn read(&mut self, max: usize) -> Result<Vec<u8>, EgressError>;

    /// Writes all of them.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), EgressError>;

    /// Goes on in TLS. What is not trusted ends the connection.
    async fn start_tls(&mut self, options: &TlsOptions) -> Result<(), EgressError>;
}

/// The one way out.
#[async_trait]
pub trait Egress: Send + Sync + 'static {
    /// Opens a byte stream. The name is resolved once, each address is checked,
    /// and only a checked one is connected to.
    async fn connect(
        &self,
        access: &Access,
        host: &str,
        port: u16,
        security: &Security,
    ) -> Result<Box<dyn Connection>, EgressError>;

    /// Makes one HTTP request, over a connection that is opened in the same way.
    /// Follows no redirects and knows no proxy.
    async fn exchange(&self, access: &Access, request: Exchange) -> Result<Exchanged, EgressError>;
}
