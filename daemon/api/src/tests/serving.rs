//! Over a socket: connections, streams, shutdown.

use std::time::Duration;

use deployd_core::views::TokenScope;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::stage::Stage;
use crate::Limits;

/// Far longer than anything here takes: a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "ended before {wanted:?}: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

#[tokio::test]
async fn requests_are_served_until_shutdown_and_streams_end_with_it() {
    let stage = Stage::shop().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let serving =
        tokio::spawn(crate::serve(listener, stage.api.clone(), shutdown, Limits::default()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let text = read_until(&mut client, "\"ok\"").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");

    // A head above its limit is refused before it is read whole.
    let mut large = TcpStream::connect(address).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(128 << 10));
    let _ = large.write_all(head.as_bytes()).await;
    let text = read_until(&mut large, "\r\n").await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");

    // A body that says it is too large is refused before it is sent.
    let token = stage.token(TokenScope::Admin).to_owned();
    let mut body = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 99999999\r\n\r\n"
    );
    body.write_all(head.as_bytes()).await.unwrap();
    let text = read_until(&mut body, "\r\n").await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");

    // A deployment that goes on for as long as nobody looks: its stream ends
    // with the daemon.
    let id = stage.waiting().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /v1/deployments/{id}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, "event: update").await;
    stop.send(()).unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
