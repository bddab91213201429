//! The daemon: opened, started, served, stopped.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deployd_api::{Api, Limits};
use deployd_cluster::KubeCluster;
use deployd_core::ports::{Egress, Store};
use deployd_core::views::TokenScope;
use deployd_core::{Actor, Name};
use deployd_egress::{Broker, System};
use deployd_engine::{Caller, Engine, EngineError, Ports};
use deployd_forge::HttpForges;
use deployd_git::GitRepositories;
use deployd_host::compiler::Supervisor;
use deployd_host::{Backoff, HostOptions, PluginHost};
use deployd_store::{RedbStore, StoreOptions};
use deployd_vault::{KeyError, StoreVault};
use reqwest::Url;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::attestations::SigstoreAttestations;
use crate::audit::JournalAudit;
use crate::catalog::Catalog;
use crate::issuers::EgressIssuers;
use crate::metrics;
use crate::references::EgressReferences;
use crate::registries::EgressRegistries;
use crate::rehearsal::PracticeRehearsals;
use crate::secrets;
use crate::sender::{EgressSender, Logged};
use crate::settings::{Settings, SettingsError};
use crate::world::{SystemClock, SystemRandom};

/// Where the first token is written, below the data directory.
pub(crate) const ADMIN_TOKEN: &str = "admin-token";
/// The store's file, below the data directory.
pub(crate) const STORE: &str = "deployd.redb";
/// The name of the first token.
const ADMIN: &str = "admin";

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or directory.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] deployd_store::OpenError),
    /// The key of secrets.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The plugin host.
    #[error("the plugin host: {0}")]
    Host(#[from] deployd_host::EngineError),
    /// A name of our own that is none.
    #[error(transparent)]
    Name(#[from] deployd_core::ids::InvalidName),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The address.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A daemon that runs.
pub struct Daemon {
    engine: Engine,
    store: Arc<RedbStore>,
    address: SocketAddr,
    admin_token: PathBuf,
    shutdown: watch::Sender<bool>,
    server: JoinHandle<()>,
    settling: JoinHandle<()>,
}

impl Daemon {
    /// Opens everything, goes on with what was interrupted, and serves. Without
    /// a supervisor, plugins are compiled in this process.
    pub async fn start(
        settings: &Settings,
        compiler: Option<Arc<Supervisor>>,
    ) -> Result<Self, StartError> {
        let data = &settings.data_dir;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .map_err(|source| StartError::Io { path: data.clone(), source })?;
        let redb = Arc::new(RedbStore::open(data.join(STORE), &StoreOptions::default())?);
        let store: Arc<dyn Store> = redb.clone();
        #[cfg(feature = "crash-points")]
        let store = crate::crash::store(store);
        let clock = Arc::new(SystemClock);
        let random = Arc::new(SystemRandom);
        let cluster = Arc::new(KubeCluster::new(deployd_cluster::ClusterOptions::default()));
        let kept = (store.clone(), random.clone(), cluster.clone());
        let vault = secrets::vault(&settings.secrets, data, kept.0, kept.1, kept.2).await?;
        let vault = Arc::new(vault);
        let egress: Arc<dyn Egress> = Arc::new(Broker::new(Arc::new(System), vault.clone()));
        let host = Arc::new(PluginHost::new(HostOptions {
            state_dir: data.clone(),
            vault: vault.clone(),
            audit: Arc::new(JournalAudit { store: store.clone(), clock: clock.clone() }),
            egress: Some(egress.clone()),
            backoff: Backoff::default(),
            compiler,
        })?);
        let ports = Ports {
            store: store.clone(),
            vault: vault.clone(),
            vault_admin: vault.clone(),
            catalog: Arc::new(Catalog::new(host.clone(), store.clone())),
            drivers: host.clone(),
            templaters: host.clone(),
            strategies: host.clone(),
            checks: host.clone(),
            notifiers: host.clone(),
            receivers: host.clone(),
            policies: host.clone(),
            repositories: Arc::new(GitRepositories::new(
                egress.clone(),
                Arc::new(Logged),
                random.clone(),
            )),
            forges: Arc::new(HttpForges::new(egress.clone(), Arc::new(Logged))),
            cluster,
            sender: Arc::new(EgressSender { egress: egress.clone(), vault: vault.clone() }),
            issuers: Arc::new(EgressIssuers::new(egress.clone())),
            attestations: Arc::new(SigstoreAttestations::new()),
            registries: Arc::new(EgressRegistries { egress: egress.clone() }),
            references: Arc::new(EgressReferences {
                egress,
                private: settings.references.private.clone(),
            }),
            clock,
            random,
            rehearsals: Arc::new(PracticeRehearsals::new(host.clone())),
        };
        #[cfg(feature = "crash-points")]
        let ports = crate::crash::effects(ports);
        let engine = Engine::new(ports);
        let admin_token = first_token(&engine, data).await?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|source| StartError::Listen { address: settings.listen, source })?;
        let address = listener
            .local_addr()
            .map_err(|source| StartError::Listen { address: settings.listen, source })?;
        let listening = || format!("http://{address}");
        engine.reached_at(settings.public_url.as_ref().map_or_else(listening, Url::to_string));
        engine.start().await?;
        let settling = tokio::spawn(settle(vault));
        let (shutdown, stopping) = watch::channel(false);
        let server = serve(settings, &engine, &redb, &host, listener, stopping);
        tracing::info!(%address, data = %data.display(), "deployd serves");
        Ok(Self { engine, store: redb, address, admin_token, shutdown, server, settling })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with the token that was made at the first start.
    pub fn admin_token(&self) -> &Path {
        &self.admin_token
    }

    /// Waits until the store accepts nothing any more; returns why.
    pub async fn broken(&self) -> String {
        self.store.stopped().await
    }

    /// Stops: requests that are being answered are answered, effects that run
    /// end within a bound or are resumed by the next start, the file is closed.
    pub async fn stop(self) {
        // Nobody listens any more when the server has ended by itself.
        let _ = self.shutdown.send(true);
        let _ = self.server.await;
        // The next start goes on with it.
        self.settling.abort();
        self.engine.stop().await;
        self.store.close().await;
        tracing::info!("deployd has stopped");
    }
}

/// Wraps secrets with the newest key that are not, beside everything else.
async fn settle(vault: Arc<StoreVault>) {
    if let Err(error) = vault.settle().await {
        tracing::error!(%error, "not all secrets are wrapped with the newest key; the next start goes on");
    }
}

/// Creates the admin's token at the first start.
///
/// The file is made empty before the token, and filled after it: an empty file
/// at a later start means that the process ended in between, and that nobody
/// ever saw the token, so that a new one takes its place.
async fn first_token(engine: &Engine, data: &Path) -> Result<PathBuf, StartError> {
    let path = data.join(ADMIN_TOKEN);
    let io = |source| StartError::Io { path: path.clone(), source };
    let unseen = std::fs::metadata(&path).is_ok_and(|file| file.len() == 0);
    let tokens = engine.tokens().await?;
    if !tokens.is_empty() && !unseen {
        return Ok(path);
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    file.sync_all().map_err(io)?;
    let name: Name = ADMIN.parse()?;
    let caller = Caller::new(Actor::deployd());
    if tokens.iter().any(|token| token.name == name) {
        engine.revoke_token(&caller, &name).await?;
    }
    let token = engine.create_token(&caller, &name, TokenScope::Admin).await?;
    file.write_all(token.secret.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    tracing::info!(file = %path.display(), "an admin's token was made");
    Ok(path)
}

/// How many files and connections this process may have open: as many as it may
/// ask for, which is what it asks for.
fn descriptors() -> u64 {
    let most = getrlimit(Resource::Nofile);
    let Some(maximum) = most.maximum else { return most.current.unwrap_or(u64::MAX) };
    match setrlimit(Resource::Nofile, Rlimit { current: Some(maximum), maximum: Some(maximum) }) {
        Ok(()) => maximum,
        Err(_) => most.current.unwrap_or(maximum),
    }
}

/// Serves the HTTP interface until told to stop.
fn serve(
    settings: &Settings,
    engine: &Engine,
    store: &Arc<RedbStore>,
    host: &Arc<PluginHost>,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let (of, store, host) = (engine.clone(), store.clone(), host.clone());
    let options = deployd_api::Options {
        metrics: Arc::new(move || metrics::text(&of, &store, &host)),
        open_metrics: settings.open_metrics,
        rates: settings.limits.rates(),
    };
    let api = Api::new(engine.clone(), options);
    tokio::spawn(async move {
        let stop = async move {
            // An error means that the daemon is gone, and nobody can tell.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let limits = Limits::default().within_descriptors(descriptors());
        if let Err(error) = deployd_api::serve(listener, api, stop, limits).await {
            tracing::error!(%error, "the HTTP interface has ended");
        }
    })
}
