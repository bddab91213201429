//! A way to servers on which the daemon can be killed: at a message to them of a
//! certain number, which they still get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// More than a message of these tests has.
const MESSAGE_MAX: usize = 64 * 1024;

/// Whom to kill, and when. One for all ways that are counted together.
#[derive(Debug, Default)]
pub(super) struct Trap {
    messages: AtomicU64,
    /// The number of the message; 0 is none.
    at: AtomicU64,
    process: AtomicU32,
}

impl Trap {
    /// Counts from the beginning, and kills at this message.
    pub(super) fn set(&self, process: u32, at: u64) {
        self.process.store(process, Ordering::SeqCst);
        self.messages.store(0, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
    }

    fn message(&self) {
        let number = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.at.load(Ordering::SeqCst) {
            let process = self.process.load(Ordering::SeqCst).try_into().unwrap();
            kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
        }
    }
}

/// Leads to this port of the loopback interface; gives the port that does. Ends
/// with the test.
pub(super) async fn to(port: u16, trap: Arc<Trap>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(lead(client, port, trap.clone()));
        }
    });
    own
}

/// Ends when either side does, as connections do.
async fn lead(client: TcpStream, port: u16, trap: Arc<Trap>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    });
    let mut message = vec![0; MESSAGE_MAX];
    loop {
        match from_client.read(&mut message).await? {
            0 => break,
            length => {
                to_server.write_all(&message[..length]).await?;
                trap.message();
            }
        }
    }
    to_server.shutdown().await?;
    back.await.map_err(std::io::Error::other)?
}
