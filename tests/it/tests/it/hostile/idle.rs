//! Connections that are opened and not used.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Target;
use super::raw::{connect, rest};

const CONNECTIONS: u64 = 10_000;

/// Descriptors of this process for everything else.
const OTHERS: u64 = 1_000;

/// What ten thousand connections may take: 16 KiB each.
const GROWTH_MAX: u64 = CONNECTIONS * (16 << 10);

/// Has this process open as many connections as it needs.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = CONNECTIONS + OTHERS;
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
}

#[tokio::test]
async fn i13_ten_thousand_idle_connections_leave_room_for_others() {
    raise_limit();
    let target = Target::set().await;
    let mut connections: Vec<TcpStream> = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = connect(target.port).await;
        // Half of them begin something and never end it.
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nx-").await;
        }
        connections.push(stream);
        if number % 1_000 == 0 {
            target.serves_others().await;
        }
    }
    target.holds(GROWTH_MAX).await;
    // They don't stay.
    for stream in &mut connections {
        rest(stream).await;
    }
    target.holds(GROWTH_MAX).await;
}
