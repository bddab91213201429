//! HTTP with servers that are what they should be, and others.

use std::time::Duration;

use deployd_core::FaultClass;
use deployd_core::ports::{
    Egress as _, EgressError, EgressLimits, Exchange, Exchanged, UseOutcome,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Stage, answering, grant, head, serve};

fn get(url: String) -> Exchange {
    Exchange { method: "GET".into(), url, headers: Vec::new(), body: Vec::new() }
}

/// Small limits, so that what exceeds them is small as well.
fn small() -> EgressLimits {
    EgressLimits { body_bytes: 1000, stream_bytes: 1_000_000, ..EgressLimits::default() }
}

async fn asked(stage: &Stage, port: u16) -> Result<Exchanged, EgressError> {
    let access = stage.access_within(&[grant("http", "api.internal", port)], small());
    stage.broker.exchange(&access, get(format!("http://api.internal:{port}/secret?token=t"))).await
}

async fn refused(answer: impl Into<Vec<u8>>) -> &'static str {
    let stage = Stage::with_name("api.internal");
    let port = answering(answer).await.port();
    let code = asked(&stage, port).await.unwrap_err().code();
    assert_eq!(stage.outcome(), UseOutcome::Failed(code));
    code
}

#[tokio::test]
async fn an_answer_is_read_and_recorded() {
    let stage = Stage::with_name("api.internal");
    let port =
        answering("HTTP/1.1 201 Created\r\nx-id: 7\r\ncontent-length: 2\r\n\r\nok").await.port();
    let answer = asked(&stage, port).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (201, b"ok".as_slice()));
    assert!(answer.headers.contains(&("x-id".into(), "7".into())));
    let used = stage.used().to_string();
    assert!(used.starts_with(&format!("GET http://api.internal:{port} (127.0.0.1): ")), "{used}");
    assert!(used.ends_with("status 201"), "{used}");
    // Neither path nor query.
    assert!(!used.contains("secret") && !used.contains("token"), "{used}");
}

#[tokio::test]
async fn bodies_are_sent_and_read_in_pieces() {
    let stage = Stage::with_name("api.internal");
    let address = serve(|mut stream| async move {
        let mut asked = Vec::new();
        while !asked.ends_with(b"end") {
            stream.read_buf(&mut asked).await?;
        }
        let asked = String::from_utf8_lossy(&asked).into_owned();
        let said = if asked.contains("content-length: 100003") { "yes" } else { "no" };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\
            {}\r\n{}\r\n{}\r\n0\r\n\r\n",
            &said[..1],
            said.len() - 1,
            &said[1..]
        );
        stream.write_all(answer.as_bytes()).await
    });
    let port = address.await.port();
    let access = stage.access(&[grant("http", "api.internal", port)]);
    let body = format!("{}end", "x".repeat(100_000)).into_bytes();
    let request =
        Exchange { method: "POST".into(), body, ..get(format!("http://api.internal:{port}/")) };
    let exchange = stage.broker.exchange(&access, request);
    let answer = tokio::time::timeout(Duration::from_secs(20), exchange).await.unwrap().unwrap();
    assert_eq!(answer.body, b"yes");
}

#[tokio::test]
async fn redirects_are_answers() {
    let stage = Stage::with_name("api.internal");
    for status in [301, 302, 303, 307, 308] {
        let port = answering(format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://169.254.169.254/latest/meta-data/\r\n\
             content-length: 0\r\n\r\n"
        ))
        .await
        .port();
        assert_eq!(asked(&stage, port).await.unwrap().status, status);
    }
    assert_eq!(stage.network.connected.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn methods_are_as_granted() {
    let stage = Stage::with_name("api.internal");
    let port = answering("HTTP/1.1 204 No Content\r\n\r\n").await.port();
    let mut granted = grant("http", "api.internal", port);
    granted.methods = vec!["GET".into()];
    let access = stage.access(&[granted]);
    let request = get(format!("http://api.internal:{port}/"));
    assert_eq!(stage.broker.exchange(&access, request.clone()).await.unwrap().status, 204);
    for (method, code) in [
        ("DELETE", "method-not-granted"),
        ("get", "method-not-granted"),
        ("CONNECT", "request-invalid"),
        ("GET / HTTP/1.1\r\nx: y", "request-invalid"),
        ("", "request-invalid"),
    ] {
        let request = Exchange { method: method.into(), ..request.clone() };
        let refused = stage.broker.exchange(&access, request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{method:?}");
    }
    assert_eq!(stage.network.connected.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_can_not_be_split() {
    let stage = Stage::with_name("api.internal");
    let access = stage.access(&[grant("http", "api.internal", 80)]);
    for (name, value) in
        [("x", "1\r\nevil: 1"), ("x\r\nevil", "1"), ("x", "a\0b"), ("", "1"), ("x y", "1")]
    {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let request = Exchange { headers, ..get("http://api.internal/".into()) };
        let refused = stage.broker.exchange(&access, request).await.unwrap_err();
        assert_eq!((refused.code(), refused.class()), ("request-invalid", FaultClass::Invalid));
        assert!(!refused.to_string().contains("evil: 1"));
    }
    assert!(stage.network.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn answers_that_are_none() {
    assert_eq!(refused("garbage\r\n\r\n").await, "answer-malformed");
    assert_eq!(refused(&b"\0\0\0\x04\xff"[..]).await, "answer-malformed");
    assert_eq!(refused("HTTP/9.9 200 OK\r\n\r\n").await, "answer-malformed");
    assert_eq!(refused("HTTP/1.1 99999 OK\r\n\r\n").await, "answer-malformed");
    assert_eq!(refused("HTTP/1.1 200 OK\r\nbad header\r\n\r\n").await, "answer-malformed");
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    assert_eq!(refused(two).await, "answer-malformed");
    assert_eq!(refused("").await, "connection-broken");
    assert_eq!(refused("HTTP/1.1 200 OK\r\n").await, "connection-broken");
    // Cut off: what came is not taken for the whole.
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes!";
    assert_eq!(refused(cut).await, "connection-broken");
    let cut = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab";
    assert_eq!(refused(cut).await, "connection-broken");
    let bad_chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let code = refused(bad_chunk).await;
    assert!(["answer-malformed", "connection-broken"].contains(&code), "{code}");
}

#[tokio::test]
async fn answers_that_are_too_large() {
    let said = "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n";
    assert_eq!(refused(said).await, "egress-too-large");
    let unsaid = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1001));
    assert_eq!(refused(unsaid).await, "egress-too-large");
    let one = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(200 * 1024));
    assert_eq!(refused(one).await, "egress-too-large");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(300));
    assert_eq!(refused(many).await, "egress-too-large");
    let exactly = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1000));
    let stage = Stage::with_name("api.internal");
    let port = answering(exactly).await.port();
    assert_eq!(asked(&stage, port).await.unwrap().body.len(), 1000);
}

/// Who never ends ends with the bytes that it may have.
#[tokio::test]
async fn answers_without_end() {
    for endless in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n"] {
        let stage = Stage::with_name("api.internal");
        let address = serve(move |mut stream| async move {
            head(&mut stream).await?;
            loop {
                stream.write_all(endless.repeat(100).as_bytes()).await?;
            }
        });
        let code = asked(&stage, address.await.port()).await.unwrap_err().code();
        assert_eq!(code, "egress-too-large");
        assert!(stage.used().received <= 2_000_000);
    }
}

#[tokio::test]
async fn every_phase_has_its_time() {
    let short = Duration::from_millis(50);
    let limits = EgressLimits::default();
    let slow = serve(|mut stream| async move {
        head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab").await?;
        std::future::pending().await
    });
    let slow = slow.await.port();
    let silent = serve(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let silent = silent.await.port();
    for (hangs, scheme, port, limits, phase) in [
        (
            (true, false),
            "http",
            80,
            EgressLimits { resolve: short, ..limits },
            "resolving the name",
        ),
        ((false, true), "http", 80, EgressLimits { connect: short, ..limits }, "connecting"),
        ((false, false), "https", silent, EgressLimits { tls: short, ..limits }, "TLS"),
        ((false, false), "http", silent, EgressLimits { answer: short, ..limits }, "the answer"),
        (
            (false, false),
            "http",
            slow,
            EgressLimits { idle: short, ..limits },
            "a part of the answer",
        ),
    ] {
        let stage = Stage::with_name("api.internal");
        *stage.network.hangs.lock().unwrap() = hangs;
        let access = stage.access_within(&[grant(scheme, "api.internal", port)], limits);
        let request = get(format!("{scheme}://api.internal:{port}/"));
        let error = stage.broker.exchange(&access, request).await.unwrap_err();
        assert_eq!(error.class(), FaultClass::Transient, "{error}");
        let told = error.to_string();
        assert!(told.contains(phase) || told.contains("all of it"), "{phase}: {told}");
        assert!(told.contains("took longer than"), "{told}");
    }
}

/// A slow trickle is never idle, and has an end all the same.
#[tokio::test]
async fn a_trickle_ends_with_the_whole_time() {
    let stage = Stage::with_name("api.internal");
    let address = serve(|mut stream| async move {
        head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n").await?;
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            stream.write_all(b"x").await?;
        }
    });
    let port = address.await.port();
    let limits = EgressLimits { total: Duration::from_millis(300), ..small() };
    let access = stage.access_within(&[grant("http", "api.internal", port)], limits);
    let request = get(format!("http://api.internal:{port}/"));
    let error = stage.broker.exchange(&access, request).await.unwrap_err();
    assert_eq!(error.code(), "egress-timeout");
}
