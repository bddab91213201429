//! A receiver of webhooks that fails in every way a receiver can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// This status, with these header lines and nothing else.
    Status(&'static str, &'static str),
    /// The connection ends before an answer.
    Reset,
    /// The answer ends in its middle.
    Torn,
    /// What is sent is not HTTP.
    Garbage,
    /// Megabytes of headers.
    HeaderFlood,
    /// A status, and a body without end.
    EndlessBody,
}

/// All of them; messages meet one each.
pub(crate) const FAILURES: [Failure; 13] = [
    Failure::Status("500 Internal Server Error", ""),
    Failure::Status("503 Service Unavailable", "retry-after: 1\r\n"),
    Failure::Status("429 Too Many Requests", "retry-after: 1\r\n"),
    Failure::Status("302 Found", "location: http://127.0.0.1:9/elsewhere\r\n"),
    Failure::Status("404 Not Found", ""),
    GONE,
    Failure::Status("400 Bad Request", "retry-after: nonsense\r\n"),
    Failure::Status("199 Neither", ""),
    Failure::Reset,
    Failure::Torn,
    Failure::Garbage,
    Failure::HeaderFlood,
    Failure::EndlessBody,
];

/// Says that nothing more is wanted.
pub(crate) const GONE: Failure = Failure::Status("410 Gone", "");

/// More than any client should take.
const FLOOD: usize = 4 << 20;

/// Receives until it is dropped: every message fails once, in a way of its own,
/// and is accepted from then on.
pub(crate) struct Sink {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

/// What came, by `webhook-id`.
#[derive(Debug, Default)]
struct Seen {
    failed: BTreeMap<String, Failure>,
    accepted: BTreeSet<String>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/deployd", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = seen.clone();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { url, seen, server }
    }

    /// How each message failed.
    pub(crate) fn failed(&self) -> BTreeMap<String, Failure> {
        self.seen.lock().unwrap().failed.clone()
    }

    /// The messages that were accepted.
    pub(crate) fn accepted(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().accepted.clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Answers one request; errors are the client's going away.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    let Some(id) = request(&mut stream).await else { return };
    let failure = {
        let mut seen = seen.lock().unwrap();
        if seen.failed.contains_key(&id) {
            seen.accepted.insert(id);
            None
        } else {
            let failure = FAILURES[seen.failed.len() % FAILURES.len()];
            seen.failed.insert(id, failure);
            Some(failure)
        }
    };
    let _ = answer(&mut stream, failure).await;
}

async fn answer(stream: &mut TcpStream, failure: Option<Failure>) -> std::io::Result<()> {
    let whole = |status: &str, headers: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
    };
    match failure {
        None => stream.write_all(whole("204 No Content", "").as_bytes()).await,
        Some(Failure::Status(status, headers)) => {
            stream.write_all(whole(status, headers).as_bytes()).await
        }
        Some(Failure::Reset) => stream.set_zero_linger(),
        Some(Failure::Torn) => stream.write_all(b"HTTP/1.1 500 Inter").await,
        Some(Failure::Garbage) => stream.write_all(b"\x16\x03\x01\0\xff nonsense\r\n\r\n").await,
        Some(Failure::HeaderFlood) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-flood: ").await?;
            stream.write_all(&vec![b'x'; FLOOD]).await
        }
        Some(Failure::EndlessBody) => {
            stream.write_all(b"HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
    }
}

/// Reads a request whole; gives its `webhook-id`.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            if body.len() >= header("content-length")?.parse().ok()? {
                return header("webhook-id");
            }
        }
        let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
}
