//! Bytes to a daemon, and bytes from it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wait::GUARD;

/// A connection.
pub(super) async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Sends, and gives what comes until the daemon ends the connection.
pub(super) async fn sent(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port).await;
    // It may end the connection before it has taken all of it.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    rest(&mut stream).await
}

/// All that comes until the connection ends.
pub(super) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too; what came before it counts.
    let read = timeout(GUARD, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the daemon keeps the connection: {}", String::from_utf8_lossy(&bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status of the first answer in what came; none where there is no answer.
pub(super) fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}
