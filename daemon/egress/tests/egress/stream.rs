//! Byte streams, and which address they go to.

use deployd_core::FaultClass;
use deployd_core::ports::{Egress as _, EgressLimits, Exchange, Security, UseOutcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Stage, answering, grant, serve};

const PLAIN: Security = Security::Plaintext;

async fn echo() -> u16 {
    let address = serve(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.map(drop)
    });
    address.await.port()
}

#[tokio::test]
async fn what_is_said_is_heard_and_counted() {
    let stage = Stage::with_name("db.internal");
    let port = echo().await;
    let access = stage.access(&[grant("tcp", "db.internal", port)]);
    let mut connection = stage.broker.connect(&access, "DB.internal.", port, &PLAIN).await.unwrap();
    connection.write(b"hello").await.unwrap();
    assert_eq!(connection.read(2).await.unwrap(), b"he");
    assert_eq!(connection.read(100).await.unwrap(), b"llo");
    assert_eq!(connection.read(0).await.unwrap(), b"");
    assert!(stage.uses.0.lock().unwrap().is_empty());
    drop(connection);
    let used = stage.used();
    assert_eq!((used.sent, used.received, used.outcome), (5, 5, UseOutcome::Closed));
}

#[tokio::test]
async fn what_is_not_granted_is_not_even_resolved() {
    let stage = Stage::with_name("db.internal");
    let access = stage.access(&[grant("tcp", "db.internal", 5432)]);
    for (host, port) in [
        ("db.internal", 5433),
        ("evil.internal", 5432),
        ("127.0.0.1", 5432),
        ("db.internal.evil", 5432),
    ] {
        let refused = stage.broker.connect(&access, host, port, &PLAIN).await.err().unwrap();
        assert_eq!((refused.code(), refused.class()), ("host-not-granted", FaultClass::Denied));
        assert!(refused.to_string().contains("granted are: tcp://db.internal:5432"), "{refused}");
    }
    let nothing = stage.access(&[]);
    let refused = stage.broker.connect(&nothing, "db.internal", 5432, &PLAIN).await.err().unwrap();
    assert!(refused.to_string().ends_with("granted are: none"), "{refused}");
    assert!(stage.network.asked.lock().unwrap().is_empty());
    assert!(stage.network.connected.lock().unwrap().is_empty());
    // And each attempt stands in the record.
    assert_eq!(stage.uses.0.lock().unwrap().len(), 5);
}

/// The first answer is public, the next would be this machine: there is no next.
#[tokio::test]
async fn dns_rebinding_gains_nothing() {
    let stage = Stage::new();
    stage.name("rebind.test", &["93.184.215.14"]);
    stage.name("rebind.test", &["127.0.0.1"]);
    let port = answering("HTTP/1.1 204 No Content\r\n\r\n").await.port();
    *stage.network.instead.lock().unwrap() = Some(([127, 0, 0, 1], port).into());
    let mut granted = grant("http", "rebind.test", 80);
    granted.private_address = false;
    let access = stage.access(&[granted]);
    let request = Exchange {
        method: "GET".into(),
        url: "http://rebind.test/".into(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    stage.broker.exchange(&access, request.clone()).await.unwrap();
    assert_eq!(stage.network.asked.lock().unwrap().len(), 1);
    let connected = stage.network.connected.lock().unwrap().clone();
    assert_eq!(connected, ["93.184.215.14:80".parse().unwrap()]);
    // Asked anew, it is checked anew.
    let refused = stage.broker.exchange(&access, request).await.unwrap_err();
    assert_eq!(refused.code(), "address-not-allowed");
    assert_eq!(stage.network.connected.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn of_several_addresses_the_allowed_ones_are_tried_in_order() {
    let stage = Stage::new();
    stage.name("mixed.test", &["127.0.0.1", "93.184.215.14", "::ffff:10.0.0.1", "93.184.215.15"]);
    let port = echo().await;
    *stage.network.instead.lock().unwrap() = Some(([127, 0, 0, 1], port).into());
    let mut granted = grant("tcp", "mixed.test", 7);
    granted.private_address = false;
    let access = stage.access(&[granted]);
    drop(stage.broker.connect(&access, "mixed.test", 7, &PLAIN).await.unwrap());
    let connected = stage.network.connected.lock().unwrap().clone();
    assert_eq!(connected, ["93.184.215.14:7".parse().unwrap()]);
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_refuses() {
    let stage = Stage::new();
    let port = echo().await;
    // Nobody listens at the first.
    stage.name("two.internal", &["127.0.0.2", "127.0.0.1"]);
    let access = stage.access(&[grant("tcp", "two.internal", port)]);
    drop(stage.broker.connect(&access, "two.internal", port, &PLAIN).await.unwrap());
    assert_eq!(stage.used().address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(stage.network.connected.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_there() {
    let stage = Stage::with_name("db.internal");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let access = stage.access(&[grant("tcp", "db.internal", port)]);
    let refused = stage.broker.connect(&access, "db.internal", port, &PLAIN).await.err().unwrap();
    assert_eq!((refused.code(), refused.class()), ("connect-failed", FaultClass::Transient));
    stage.name("nowhere.internal", &[]);
    let access = stage.access(&[grant("tcp", "nowhere.internal", port)]);
    let refused = stage.broker.connect(&access, "nowhere.internal", port, &PLAIN).await;
    assert_eq!(refused.err().unwrap().code(), "name-unresolved");
}

#[tokio::test]
async fn a_stream_has_so_many_bytes_and_no_more() {
    let stage = Stage::with_name("db.internal");
    let address = serve(|mut stream| async move {
        loop {
            stream.write_all(&[7; 4096]).await?;
        }
    });
    let port = address.await.port();
    let limits = EgressLimits { stream_bytes: 100_000, ..EgressLimits::default() };
    let access = stage.access_within(&[grant("tcp", "db.internal", port)], limits);
    let mut connection = stage.broker.connect(&access, "db.internal", port, &PLAIN).await.unwrap();
    let mut read = 0;
    let error = loop {
        match connection.read(10_000).await {
            Ok(bytes) => read += bytes.len(),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.class()), ("egress-too-large", FaultClass::Permanent));
    assert!(read <= 100_000, "{read}");
}

#[tokio::test]
async fn the_other_side_goes_away() {
    let stage = Stage::with_name("db.internal");
    let address = serve(|mut stream| async move {
        stream.read_exact(&mut [0; 1]).await?;
        stream.shutdown().await
    });
    let port = address.await.port();
    let access = stage.access(&[grant("tcp", "db.internal", port)]);
    let mut connection = stage.broker.connect(&access, "db.internal", port, &PLAIN).await.unwrap();
    connection.write(b"x").await.unwrap();
    assert_eq!(connection.read(10).await.unwrap(), b"");
}
