//! Requests that are too large, too many, or none.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::raw::{connect, rest, sent, status};
use super::{GROWTH_MAX, Target, over};
use crate::wait::{GUARD, until};

/// What an endless body sends before it gives up by itself.
const ENDLESS: usize = 1 << 30;

fn head(token: &str, target: &str, more: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\n{more}\r\n"
    )
}

/// Sends a body in chunks until the daemon does not take any more; gives what it
/// answers, and how much it took.
async fn endless(port: u16, head: String) -> (String, usize) {
    let stream = connect(port).await;
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        let mut taken = 0;
        while taken < ENDLESS && writer.write_all(chunk.as_bytes()).await.is_ok() {
            taken += 0x10000;
        }
        (taken, writer)
    });
    let mut answer = vec![0; 4096];
    let read = timeout(GUARD, reader.read(&mut answer)).await.unwrap().unwrap_or(0);
    let (taken, _writer) = over("an endless body ends", sending).await;
    (String::from_utf8_lossy(&answer[..read]).into_owned(), taken)
}

#[tokio::test]
async fn i13_endless_bodies_are_refused_while_they_come() {
    let target = Target::set().await;
    let token = target.token();
    let chunked = "transfer-encoding: chunked\r\n";
    // What is allowed, and what the kernel has on the way.
    for (path, token, expected, most) in [
        ("/v1/tokens", token.as_str(), 413, 16 << 20),
        ("/v1/plugins", token.as_str(), 413, 64 << 20),
        ("/v1/plugins", "dpl_none", 401, 16 << 20),
        ("/v1/none", token.as_str(), 404, 16 << 20),
    ] {
        let (answer, taken) = endless(target.port, head(token, path, chunked)).await;
        assert!(taken <= most, "{path}: {taken} bytes were taken");
        assert_eq!(status(&answer), Some(expected), "{path}: {answer}");
        target.serves_others().await;
    }
    // One plugin as large as is allowed was in memory for a moment.
    target.holds(GROWTH_MAX + (80 << 20)).await;
}

#[tokio::test]
async fn i13_bodies_of_many_clients_share_a_bounded_memory() {
    let target = Target::set().await;
    let body = 1 << 20;
    let head = head(&target.token(), "/v1/tokens", &format!("content-length: {body}\r\n"));
    // All but the last byte, of three times as many as there is room for.
    let mut clients = Vec::new();
    for _ in 0..400 {
        let mut stream = connect(target.port).await;
        let head = head.clone();
        clients.push(tokio::spawn(async move {
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b' '; body - 1]).await;
            stream
        }));
    }
    target.client.get("/readyz").await.ok();
    let mut streams = Vec::new();
    for client in clients {
        streams.push(over("a client has sent", client).await);
    }
    let mut refused = 0;
    for mut stream in streams {
        let mut answer = [0; 64];
        if let Ok(read) = stream.try_read(&mut answer) {
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            refused += usize::from(status(&answer) == Some(503));
        }
        let _ = stream.shutdown().await;
    }
    assert!(refused >= 100, "{refused} of 400 were refused");
    // Others are refused, too, until the daemon has seen who has gone.
    until("there is room again", || async {
        let written = target.client.put("/v1/secrets/other", "value").await;
        (written.status != 503).then_some(())
    })
    .await;
    target.holds((128 << 20) + GROWTH_MAX).await;
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let target = Target::set().await;
    let many: String = (0..10_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    for headers in [many, long] {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let mut stream = connect(target.port).await;
        let (mut reader, mut writer) = stream.split();
        let answered = async {
            let mut answer = vec![0; 4096];
            let read = timeout(GUARD, reader.read(&mut answer)).await.unwrap().unwrap_or(0);
            String::from_utf8_lossy(&answer[..read]).into_owned()
        };
        let (_, answer) = tokio::join!(writer.write_all(request.as_bytes()), answered);
        assert_eq!(status(&answer), Some(431), "{answer}");
    }
    target.holds(GROWTH_MAX).await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_a_row() {
    let target = Target::set().await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut stream = connect(target.port).await;
    let (mut reader, mut writer) = stream.split();
    let all = request.repeat(1_000) + last;
    let mut answers = String::new();
    let (_, _) =
        tokio::join!(writer.write_all(all.as_bytes()), reader.read_to_string(&mut answers),);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 1_000);
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 1);
    target.holds(GROWTH_MAX).await;
}

#[tokio::test]
async fn nonsense_is_refused_and_never_a_failure() {
    let target = Target::set().await;
    let token = target.token();
    let get = |path: &[u8]| {
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(path);
        let rest = format!(" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        request.extend_from_slice(rest.as_bytes());
        request
    };
    let deep = |open: &str, close: &str| {
        let body = format!("{}{}", open.repeat(200_000), close.repeat(200_000));
        let length = format!("content-length: {}\r\n", body.len());
        (head(&token, "/v1/documents:apply", &length) + &body).into_bytes()
    };
    let mut requests: Vec<Vec<u8>> = [
        &b"/v1/deployments/%ff"[..],
        b"/v1/deployments/%",
        b"/v1/deployments/%zz",
        b"/v1/deployments/%00",
        b"/v1/deployments/\xff\xfe",
        b"/v1/deployments/..%2f..%2ftokens",
        b"/v1/deployments?environment=%ff%fe",
        b"/v1/deployments?environment=%",
        b"/v1/deployments?limit=99999999999999999999999999",
        b"/v1/deployments?limit=1&limit=2",
        b"/v1/documents/%C3%28/x",
        b"//",
        b"*",
        b"http://[::1/",
    ]
    .into_iter()
    .map(get)
    .collect();
    requests.extend([
        deep("[", "]"),
        deep(r#"{"files":"#, "}"),
        deep(r#"{"files":[{"text":"#, "}]}"),
        head(&token, "/v1/tokens", "content-length: 2\r\ncontent-length: 3\r\n").into_bytes(),
        head(&token, "/v1/tokens", "content-length: -1\r\n").into_bytes(),
        head(&token, "/v1/tokens", "content-length: 99999999999999999999\r\n").into_bytes(),
        (head(&token, "/v1/tokens", "transfer-encoding: chunked\r\n") + "zz\r\n").into_bytes(),
        (head(&token, "/v1/tokens", "transfer-encoding: chunked\r\n") + "ffffffffffffffffff\r\n")
            .into_bytes(),
        head(&token, "/v1/tokens", "transfer-encoding: gzip, nonsense\r\n").into_bytes(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ]);
    for request in requests {
        let answer = sent(target.port, &request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        match status(&answer) {
            Some(status) => assert!((400..500).contains(&status), "{shown}: {answer}"),
            // Not even HTTP, or cut off: an end says as much.
            None => assert_eq!(answer, "", "{shown}"),
        }
    }
    let mut stream = connect(target.port).await;
    drop(stream.write_all(b"GET").await);
    drop(stream.shutdown().await);
    rest(&mut stream).await;
    target.holds(GROWTH_MAX).await;
}
