//! Serves connections: HTTP/1.1, and HTTP/2 without TLS.

mod first_bytes;
mod idle;
mod stalled;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Layer as _;

use crate::api::Api;
use crate::limits::Limits;
use crate::source::Peer;
use first_bytes::FirstBytes;
use idle::Requests;
use stalled::Stalled;

/// Between two attempts to accept a connection after one failed: the process
/// has no file descriptors left, and a loop would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Between signs of life on an HTTP/2 connection, whose client would otherwise
/// hold it for ever without asking anything.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// For an answer to a sign of life.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the interface until `shutdown`, then lets requests end within
/// [`Limits::shutdown_timeout`]. Event streams end at once.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
    limits: Limits,
) -> io::Result<()> {
    let router = crate::router(api.clone());
    let builder = builder(&limits);
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            // Before the connection is accepted: the kernel's queue is where
            // those wait for whom there is no room.
            let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            io::Result::Ok((permit, stream, peer))
        };
        let (permit, stream, peer) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let requests = Requests::default();
        let service = Extension(Peer(peer)).layer(router.clone());
        let service = TowerToHyperService::new(requests.counted(service));
        let io = TokioIo::new(bounded(stream, &limits));
        let connection = builder.serve_connection(io, service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // Errors are the client's: it went away, or speaks no HTTP.
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(error = %error, "a connection ended");
                },
                () = requests.idle(limits.idle_timeout) => {
                    tracing::debug!("a connection was idle for too long");
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    api.close();
    if tokio::time::timeout(limits.shutdown_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time, and are dropped");
    }
    Ok(())
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.concurrent_requests)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.faulty_resets)
        .initial_stream_window_size(limits.window_bytes)
        .initial_connection_window_size(limits.window_bytes)
        .max_send_buf_size(limits.send_bytes);
    builder
}

/// A connection with its deadlines.
fn bounded(stream: TcpStream, limits: &Limits) -> FirstBytes<Stalled<TcpStream>> {
    // Answers are small and complete; waiting to fill packets only delays them.
    let _ = stream.set_nodelay(true);
    FirstBytes::new(Stalled::new(stream, limits.write_timeout), limits.header_timeout)
}
