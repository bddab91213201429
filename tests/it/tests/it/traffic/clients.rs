//! Clients that ask without pause, and count what they are told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::HOST;
use crate::wait::until;

/// So many answers that are all the same show that nginx has followed.
const SETTLED: u64 = 100;

/// What clients were told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// How often each version has answered.
    pub(super) versions: BTreeMap<String, u64>,
    /// Everything else.
    pub(super) failed: Vec<String>,
}

impl Told {
    pub(super) fn count(&self) -> u64 {
        let failed = u64::try_from(self.failed.len()).unwrap();
        self.versions.values().sum::<u64>() + failed
    }

    fn add(&mut self, answer: Result<String, String>) {
        match answer {
            Ok(version) => *self.versions.entry(version).or_default() += 1,
            Err(failed) => self.failed.push(failed),
        }
    }
}

/// What was told of what was asked since one moment, and until the next.
type Chapters = Arc<Mutex<Vec<Told>>>;

/// Ask until they are dropped, each one request after the other.
pub(super) struct Clients {
    chapters: Chapters,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(super) fn start(count: usize, at: SocketAddr) -> Self {
        let chapters = Chapters::new(Mutex::new(vec![Told::default()]));
        let client = |chapters: Chapters| async move {
            loop {
                let chapter = chapters.lock().unwrap().len() - 1;
                let answer = ask(at).await;
                chapters.lock().unwrap()[chapter].add(answer);
            }
        };
        let tasks = (0..count).map(|_| tokio::spawn(client(chapters.clone()))).collect();
        Self { chapters, tasks }
    }

    /// What was told since this was asked for last; what is asked from now on is
    /// counted anew.
    pub(super) fn turn(&self) -> Told {
        let mut chapters = self.chapters.lock().unwrap();
        chapters.push(Told::default());
        chapters[chapters.len() - 2].clone()
    }

    /// Waits until so many requests were answered that were asked from now on.
    pub(super) async fn next(&self, count: u64) -> Told {
        self.turn();
        until("requests are answered", || async {
            let told = self.chapters.lock().unwrap().last().unwrap().clone();
            (told.count() >= count).then_some(told)
        })
        .await
    }
}

impl Clients {
    /// Waits until only this version answers, and nothing fails: nginx is behind
    /// the cluster.
    pub(super) async fn settled(&self, version: &str) {
        until("nginx has followed", || async {
            let told = self.next(SETTLED).await;
            let only = told.versions.keys().all(|it| it == version);
            (only && told.failed.is_empty()).then_some(())
        })
        .await;
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Asks once, in a connection of its own; gives the version that has answered.
async fn ask(at: SocketAddr) -> Result<String, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = exchange.await.map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        // A version is one character: there is no less than all of it.
        Some((head, version)) if head.starts_with("HTTP/1.1 200 ") && version.len() == 1 => {
            Ok(version.to_owned())
        }
        _ => Err(answer),
    }
}
