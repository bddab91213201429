//! What canaries are checked by: a server that is always well, and counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The beginning of a request: its path is in there.
const REQUEST_BYTES_MAX: usize = 4096;

/// Answers until the process ends.
#[derive(Clone)]
pub(crate) struct Checked {
    pub(crate) port: u16,
    /// How often each path was asked.
    asked: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Checked {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let checked = Self { port: listener.local_addr()?.port(), asked: Arc::default() };
        let server = checked.clone();
        tokio::spawn(async move {
            loop {
                // A connection that is gone before it is taken is nobody's.
                let Ok((mut stream, _)) = listener.accept().await else { continue };
                let server = server.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; REQUEST_BYTES_MAX];
                    let Ok(read) = stream.read(&mut request).await else { return };
                    request.truncate(read);
                    let text = String::from_utf8_lossy(&request);
                    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    server.count(path);
                    let answer =
                        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    // Who does not wait for the answer has not asked.
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Ok(checked)
    }

    fn count(&self, path: String) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked.entry(path).or_default() += 1;
    }

    /// Paths that were asked, and how often all of them.
    pub(crate) fn asked(&self) -> (usize, u64) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        (asked.len(), asked.values().sum())
    }
}
