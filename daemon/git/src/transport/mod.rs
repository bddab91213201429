//! How a server is reached. A session asks one of the two programs that serve a
//! repository, over HTTP or SSH, through the one way out.

mod http;
mod pump;
mod ssh;

use std::sync::Arc;
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::config::HostGrant;
use deployd_core::ports::{Access, Egress, EgressLimits, SshLogin, Uses};

use crate::address::Address;

/// The most bytes of one answer: a pack with all files of a repository of manifests, or
/// the trees of a large one; and the names of a million branches. It is held in memory.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most bytes of one pack that we send.
pub(crate) const PUSH_BYTES_MAX: usize = 64 * 1024 * 1024;

const LIMITS: EgressLimits = EgressLimits {
    resolve: Duration::from_secs(8),
    connect: Duration::from_secs(10),
    tls: Duration::from_secs(10),
    // Servers of large repositories count objects, and their hooks look at what is pushed.
    answer: Duration::from_secs(90),
    // Over SSH, nothing is heard meanwhile.
    idle: Duration::from_secs(90),
    total: Duration::from_secs(240),
    // A pack in each direction, with what frames and encrypts it.
    stream_bytes: 160 * 1024 * 1024,
    body_bytes: ANSWER_BYTES_MAX,
};

/// Which program is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Reads, by version 2 of the protocol.
    UploadPack,
    /// Writes.
    ReceivePack,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    /// What it does, for messages.
    fn verb(self) -> &'static str {
        match self {
            Self::UploadPack => "read from",
            Self::ReceivePack => "write to",
        }
    }
}

/// The way to a repository.
pub(crate) struct Route {
    pub(crate) address: Address,
    egress: Arc<dyn Egress>,
    access: Access,
    login: Option<SshLogin>,
}

impl Route {
    pub(crate) fn new(
        address: Address,
        grants: &[HostGrant],
        login: Option<SshLogin>,
        egress: Arc<dyn Egress>,
        uses: Arc<dyn Uses>,
    ) -> Self {
        let grants = address.grants(grants).into();
        Self { address, egress, access: Access { grants, limits: LIMITS, uses }, login }
    }

    /// Whether nothing is left open between two questions.
    pub(crate) fn is_stateless(&self) -> bool {
        matches!(self.address, Address::Http { .. })
    }

    /// Begins a session, and gives what the server tells of itself.
    pub(crate) async fn open(&self, service: Service) -> Result<(Session<'_>, Vec<u8>), Fault> {
        match &self.address {
            Address::Http { .. } => {
                let session = http::HttpSession { route: self, service };
                let told = session.advertisement().await?;
                Ok((Session::Http(session), told))
            }
            Address::Ssh { user, host, port, path } => {
                let target = ssh::Target { user, host, port: *port, path };
                let (session, told) = ssh::SshSession::open(self, target, service).await?;
                Ok((Session::Ssh(Box::new(session)), told))
            }
        }
    }

    /// Begins a session with a server of which is known already what it tells of itself.
    pub(crate) fn resume(&self, service: Service) -> Option<Session<'_>> {
        self.is_stateless().then_some(Session::Http(http::HttpSession { route: self, service }))
    }
}

/// One session.
pub(crate) enum Session<'a> {
    Http(http::HttpSession<'a>),
    Ssh(Box<ssh::SshSession>),
}

impl Session<'_> {
    /// Asks, and gives the whole answer. After a failure it is not known whether the server
    /// has done what it was asked for.
    pub(crate) async fn ask(&mut self, request: Vec<u8>) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Http(session) => session.ask(request).await,
            Self::Ssh(session) => session.ask(request).await,
        }
    }
}
