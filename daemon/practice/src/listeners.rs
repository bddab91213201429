//! The listeners of the API and the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{Api, serve};
use crate::cluster::Cluster;
use crate::gateway::{self, Turns};

/// Connections to the gateway at a time; a client that opens more waits.
const GATEWAY_CONNECTIONS: usize = 1024;

/// Between attempts to listen at an address that is still taken.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Serves the API until the cluster ends. While it is told to be away,
/// nothing listens.
pub(crate) async fn api(api: Arc<Api>, listener: TcpListener, address: SocketAddr) {
    let mut away = api.cluster.faults.away();
    let most = api.cluster.options.connections.max(1);
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *away.borrow_and_update() {
            listener = None;
            connections.shutdown().await;
            if away.wait_for(|is_away| !is_away).await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(address).await {
                Ok(new) => listener = Some(new),
                Err(_) => tokio::time::sleep(TRY_AGAIN).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept(), if connections.len() < most => {
                if let Ok((stream, _)) = accepted {
                    // Small answers must not wait for each other.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(api.clone(), stream));
                }
            }
            changed = away.changed() => if changed.is_err() { return },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// What is on its way within the process, each way.
const PIPE_BYTES: usize = 64 << 10;

/// A connection that never leaves the process. It ends when the API goes away.
pub(crate) fn piped(api: Arc<Api>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let mut away = api.cluster.faults.away();
    tokio::spawn(async move {
        tokio::select! {
            () = connection(api, ours) => {}
            _ = away.wait_for(|is_away| *is_away) => {}
        }
    });
    theirs
}

async fn connection(api: Arc<Api>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(move |request| serve(api.clone(), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::trace!(%error, "a connection to the practice API broke");
    }
}

/// Serves the gateway until the cluster ends.
pub(crate) async fn gateway(cluster: Arc<Cluster>, listener: TcpListener) {
    let turns = Arc::new(Turns::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < GATEWAY_CONNECTIONS => {
                let Ok((stream, _)) = accepted else { continue };
                let (cluster, turns) = (cluster.clone(), turns.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = gateway::answer(&cluster, &turns, &request);
                        async move { answer }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // A browser that goes away is nothing to tell.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Obeys orders that concern the store: expired watches lose their history.
pub(crate) async fn expiries(api: Arc<Api>) {
    let mut orders: watch::Receiver<_> = api.cluster.faults.watch_orders();
    let mut served = orders.borrow_and_update().expiries;
    while orders.changed().await.is_ok() {
        let now = orders.borrow_and_update().expiries;
        if now != served {
            served = now;
            api.cluster.write(crate::storage::Store::compact);
            api.pages.expire();
        }
    }
}
