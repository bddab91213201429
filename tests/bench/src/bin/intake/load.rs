//! Clients over HTTP/1.1, as cheap as can be: on a machine of two processors, what
//! they take is missing to who serves them. The same for all who speak HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{BLOCK, CONNECTIONS};

/// What came of a block.
pub(crate) struct Intake {
    /// Answers per second.
    pub(crate) rate: f64,
    /// Half of the answers took no longer.
    pub(crate) p50: Duration,
    /// 99 of 100 took no longer.
    pub(crate) p99: Duration,
    /// Answers.
    pub(crate) count: usize,
}

/// A connection that is used again and again.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request and reads its answer: status and body.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the connection has ended: {:?}", self.text());
            let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default());
            let head = head.to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.unwrap_or("0").trim().parse()?;
            let begin = end + 4;
            while self.buffer.len() < begin + length {
                ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "an answer was cut off");
            }
            let body = self.buffer.get(begin..begin + length).unwrap_or_default().to_vec();
            return Ok((status.context("no status")?, body));
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

/// Asks from all connections for as long as a block is. `request` is given the
/// connection's number and a number that is used once.
pub(crate) async fn block(
    port: u16,
    first: usize,
    expected: u16,
    request: impl Fn(usize, usize) -> Vec<u8> + Send + Sync + 'static,
) -> anyhow::Result<Intake> {
    let request = Arc::new(request);
    let mut clients = Vec::new();
    for client in 0..CONNECTIONS {
        clients.push((client, Connection::open(port).await?));
    }
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (client, mut connection) in clients {
        let request = request.clone();
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < BLOCK {
                let asked = request(client, first + times.len() * CONNECTIONS + client);
                let sent = Instant::now();
                let (status, body) = connection.ask(&asked).await?;
                if status != expected {
                    bail!("{status}: {}", String::from_utf8_lossy(&body));
                }
                times.push(sent.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let took = begun.elapsed();
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    let rate = times.len() as f64 / took.as_secs_f64();
    Ok(Intake { rate, p50: at(50), p99: at(99), count: times.len() })
}
