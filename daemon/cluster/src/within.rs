//! A cluster in the same process: reached without a socket, so that whoever plays
//! in simulated time knows when nothing goes on.

use std::io;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use tokio::io::{AsyncRead, AsyncWrite};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A client that takes a connection of its own for each request.
pub(crate) fn client<C>(
    token: &str,
    connect: impl Fn() -> io::Result<C> + Send + Sync + 'static,
) -> Result<Client, Failed>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut token = HeaderValue::try_from(format!("Bearer {token}"))?;
    token.set_sensitive(true);
    let connect = Arc::new(connect);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (connect, token) = (connect.clone(), token.clone());
        async move { send(request, connect(), token).await }
    });
    Ok(Client::new(service, "default"))
}

async fn send<C>(
    mut request: Request<Body>,
    connection: io::Result<C>,
    token: HeaderValue,
) -> Result<Response<Incoming>, Failed>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(connection?)).await?;
    // Ends with the answer, or when nobody reads it any more.
    tokio::spawn(connection);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, token);
    headers.insert(HOST, HeaderValue::from_static("practice"));
    Ok(sender.send_request(request).await?)
}
