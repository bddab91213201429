//! The handle of a practice cluster.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{Api, PATH_TOKEN, Pages};
use crate::behaviour::Behaviours;
use crate::cluster::Cluster;
use crate::faults::Faults;
use crate::objects::Objects;
use crate::options::PracticeOptions;
use crate::requests::SeenRequest;
use crate::{bootstrap, controllers, listeners};

/// Why a practice cluster did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PracticeError {
    /// A port could not be opened.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running practice cluster. Cloning the handle is cheap; the cluster ends
/// with [`Practice::shutdown`], or when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Practice {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cluster: Arc<Cluster>,
    api: SocketAddr,
    gateway: SocketAddr,
    served: Arc<Api>,
    tasks: Vec<JoinHandle<()>>,
}

/// The address of what listens nowhere.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Inner {
    /// A cluster whose controllers run, and that nobody listens for yet.
    fn run(options: PracticeOptions, api: SocketAddr, gateway: SocketAddr) -> Self {
        let cluster = Arc::new(Cluster::new(options));
        // Both are set once, here.
        let _ = cluster.api.set(api);
        let _ = cluster.gateway.set(gateway);
        bootstrap::fill(&cluster);
        let served = Arc::new(Api { cluster: cluster.clone(), pages: Pages::default() });
        let tasks = vec![
            tokio::spawn(controllers::run(cluster.clone())),
            tokio::spawn(listeners::expiries(served.clone())),
        ];
        Self { cluster, api, gateway, served, tasks }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(port: u16) -> Result<(TcpListener, SocketAddr), PracticeError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let fail = |source| PracticeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

impl Practice {
    /// Starts a cluster on loopback ports.
    ///
    /// # Errors
    ///
    /// When a port cannot be opened.
    pub async fn start(options: PracticeOptions) -> Result<Self, PracticeError> {
        let (api_listener, api_address) = listen(options.port).await?;
        let (gateway_listener, gateway_address) = listen(options.gateway_port).await?;
        let mut inner = Inner::run(options, api_address, gateway_address);
        let (served, cluster) = (inner.served.clone(), inner.cluster.clone());
        inner.tasks.extend([
            tokio::spawn(listeners::api(served, api_listener, api_address)),
            tokio::spawn(listeners::gateway(cluster, gateway_listener)),
        ]);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Starts a cluster that has no address: its API is reached by
    /// [`Practice::connect`] alone, and nobody asks its gateway. It needs a runtime
    /// with time and no input or output, which may be a paused one.
    #[must_use]
    pub fn within(options: PracticeOptions) -> Self {
        Self { inner: Arc::new(Inner::run(options, NOWHERE, NOWHERE)) }
    }

    /// Whether the API knows objects of a kind.
    #[must_use]
    pub fn serves(&self, api_version: &str, kind: &str) -> bool {
        let is_it = |known: &Arc<crate::resources::Resource>| {
            known.api_version() == api_version && known.kind == kind
        };
        self.inner.cluster.registry(|registry| registry.all().iter().any(is_it))
    }

    /// A receiver that wakes whenever an object has changed; its value is the newest
    /// resource version.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.cluster.versions()
    }

    /// The address of the API: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.inner.api)
    }

    /// A connection to the API that never leaves the process: no socket keeps a
    /// test in simulated time from knowing that nothing goes on.
    ///
    /// # Errors
    ///
    /// While the API is away, as at its address: the connection is refused.
    pub fn connect(&self) -> std::io::Result<DuplexStream> {
        if *self.inner.cluster.faults.away().borrow() {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        Ok(listeners::piped(self.inner.served.clone()))
    }

    /// The address of the gateway, for requests with the host of an ingress rule.
    #[must_use]
    pub fn gateway_addr(&self) -> SocketAddr {
        self.inner.gateway
    }

    /// The bearer token that clients must send.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.inner.cluster.token
    }

    /// A kubeconfig for the cluster, as JSON, which is YAML too. The server's
    /// path holds the token as well, because `kubectl` sends no credentials
    /// over plain HTTP; a bearer token that is sent must still be right.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let server = format!("{}{PATH_TOKEN}{}", self.url(), self.token());
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "practice", "cluster": {"server": server}}],
            "users": [{"name": "practice-admin", "user": {"token": self.token()}}],
            "contexts": [{"name": "practice", "context": {"cluster": "practice",
                "user": "practice-admin", "namespace": "default"}}],
            "current-context": "practice",
            "preferences": {},
        });
        format!("{config:#}\n")
    }

    /// The faults of the API.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.cluster.faults
    }

    /// The behaviours of pods.
    #[must_use]
    pub fn behaviours(&self) -> &Behaviours {
        &self.inner.cluster.behaviours
    }

    /// The objects, for assertions.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects::new(&self.inner.cluster)
    }

    /// The last requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.inner.cluster.requests.all()
    }

    /// Forgets the requests that came so far.
    pub fn forget_requests(&self) {
        self.inner.cluster.requests.clear();
    }

    /// Ends the cluster, for all its handles.
    pub fn shutdown(&self) {
        for task in &self.inner.tasks {
            task.abort();
        }
    }

    /// The text that a container wrote, for assertions; none if it never ran.
    #[must_use]
    pub fn log_of(&self, pod: &Value, container: &str) -> Option<String> {
        let uid = crate::json::uid(pod);
        let lines = self.inner.cluster.logs.lines(uid, container, false)?;
        Some(lines.iter().map(|line| format!("{}\n", line.text)).collect())
    }
}
