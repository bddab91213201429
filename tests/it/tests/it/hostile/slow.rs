//! Clients that take their time.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::raw::{connect, rest, status};
use super::{GROWTH_MAX, Target, over};

/// Between two bytes of who sends one at a time.
const BEAT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let target = Target::set().await;
    let port = target.port;
    let slow: Vec<_> = (0..200)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = connect(port).await;
                let head = b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: ";
                if stream.write_all(head).await.is_err() {
                    return;
                }
                while stream.write_all(b"y").await.is_ok() {
                    tokio::time::sleep(BEAT).await;
                }
            })
        })
        .collect();
    target.serves_others().await;
    for one in slow {
        over("a slow head ends", one).await;
    }
    target.holds(GROWTH_MAX).await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_not_waited_for() {
    let target = Target::set().await;
    let mut stream = connect(target.port).await;
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100000\r\n\r\n",
        target.token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(BEAT).await;
        }
    });
    target.serves_others().await;
    let mut answer = vec![0; 4096];
    let read = reader.read(&mut answer).await.unwrap();
    assert_eq!(status(&String::from_utf8_lossy(&answer[..read])), Some(408));
    drop(reader);
    over("the slow body ends", sending).await;
    target.holds(GROWTH_MAX).await;
}

#[tokio::test]
async fn who_reads_nothing_is_not_written_to_for_ever() {
    let target = Target::set().await;
    // Answers that are larger than what the kernel keeps for a client.
    let requests = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(target.port).await;
        let _ = stream.write_all(requests.as_bytes()).await;
        clients.push(stream);
    }
    target.holds(GROWTH_MAX).await;
    // The daemon ends it: what is read then is what the kernel had, and an end.
    let open = || format!("/proc/{}/net/tcp", target.daemon.pid());
    let port = format!(":{:04X} ", target.port);
    crate::wait::until("the daemon gives up on them", || async {
        let table = std::fs::read_to_string(open()).unwrap();
        // Local address, remote address, state 01: established.
        let established = table.lines().filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.len() > 3 && format!("{} ", fields[1]).ends_with(&port) && fields[3] == "01"
        });
        (established.count() < clients.len()).then_some(())
    })
    .await;
    for mut client in clients {
        rest(&mut client).await;
    }
    target.holds(GROWTH_MAX).await;
}
