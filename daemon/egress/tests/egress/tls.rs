//! TLS: whom to trust, under which name, and as whom to appear.

use deployd_core::FaultClass;
use deployd_core::config::CaSource;
use deployd_core::ports::{
    Connection, Egress as _, EgressError, Exchange, Security, TlsOptions, UseOutcome,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::support::{Authority, Stage, grant, head, serve};

const HOST: &str = "db.internal";

/// Says over TLS what it hears.
async fn echo(acceptor: TlsAcceptor) -> u16 {
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            let mut buffer = [0; 64];
            let read = stream.read(&mut buffer).await?;
            stream.write_all(&buffer[..read]).await?;
            stream.shutdown().await
        }
    });
    address.await.port()
}

fn tls() -> Security {
    Security::Tls(TlsOptions::default())
}

async fn said(connection: &mut Box<dyn Connection>) -> Result<Vec<u8>, EgressError> {
    connection.write(b"hello").await?;
    let heard = connection.read(1024).await?;
    assert_eq!(connection.read(1024).await?, b"");
    Ok(heard)
}

#[tokio::test]
async fn a_granted_authority_is_trusted() {
    let (authority, stage) = (Authority::new(), Stage::with_name(HOST));
    let port = echo(authority.acceptor(HOST, None)).await;
    let mut granted = grant("tls", HOST, port);
    granted.ca = authority.source();
    let access = stage.access(std::slice::from_ref(&granted));
    let mut connection = stage.broker.connect(&access, HOST, port, &tls()).await.unwrap();
    assert_eq!(said(&mut connection).await.unwrap(), b"hello");
    drop(connection);
    let used = stage.used();
    assert_eq!(used.outcome, UseOutcome::Closed);
    assert_eq!(used.address, Some("127.0.0.1".parse().unwrap()));
    // TLS takes more than what is said in it.
    assert!(used.sent > 100 && used.received > 100, "{used}");
    assert!(used.to_string().starts_with(&format!("tls://{HOST}:{port} (127.0.0.1): ")), "{used}");

    // The same from the operator's secrets.
    stage.secrets.0.lock().unwrap().insert("db-ca".into(), authority.pem.clone());
    granted.ca = Some(CaSource { pem: None, secret: Some("db-ca".into()) });
    let access = stage.access(&[granted]);
    let mut connection = stage.broker.connect(&access, HOST, port, &tls()).await.unwrap();
    assert_eq!(said(&mut connection).await.unwrap(), b"hello");
}

#[tokio::test]
async fn who_is_not_trusted_is_not_spoken_to() {
    let (authority, stage) = (Authority::new(), Stage::with_name(HOST));
    let port = echo(authority.acceptor(HOST, None)).await;
    // Only the system's authorities; and another one.
    let mut other = grant("tls", HOST, port);
    other.ca = Authority::new().source();
    for granted in [grant("tls", HOST, port), other] {
        let access = stage.access(&[granted]);
        let refused = stage.broker.connect(&access, HOST, port, &tls()).await.err().unwrap();
        assert_eq!((refused.code(), refused.class()), ("tls-untrusted", FaultClass::Permanent));
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (authority, stage) = (Authority::new(), Stage::with_name(HOST));
    let port = echo(authority.acceptor("other.internal", None)).await;
    let mut granted = grant("tls", HOST, port);
    granted.ca = authority.source();
    let access = stage.access(&[granted]);
    let refused = stage.broker.connect(&access, HOST, port, &tls()).await.err().unwrap();
    assert_eq!(refused.code(), "tls-untrusted");
    assert_eq!(stage.outcome(), UseOutcome::Failed("tls-untrusted"));
    // Unless that is the name that is asked for.
    let named = Security::Tls(TlsOptions { server_name: Some("other.internal".into()) });
    let mut connection = stage.broker.connect(&access, HOST, port, &named).await.unwrap();
    assert_eq!(said(&mut connection).await.unwrap(), b"hello");
    let nonsense = Security::Tls(TlsOptions { server_name: Some("no name".into()) });
    let refused = stage.broker.connect(&access, HOST, port, &nonsense).await.err().unwrap();
    assert_eq!(refused.code(), "request-invalid");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let (authority, clients, stage) = (Authority::new(), Authority::new(), Stage::with_name(HOST));
    let port = echo(authority.acceptor(HOST, Some(&clients))).await;
    let mut granted = grant("tls", HOST, port);
    granted.ca = authority.source();
    let (certificate, key) = clients.issue("deployd");
    stage.secrets.0.lock().unwrap().insert("db-client".into(), format!("{certificate}{key}"));
    granted.client_certificate = Some("db-client".into());
    let access = stage.access(std::slice::from_ref(&granted));
    let mut connection = stage.broker.connect(&access, HOST, port, &tls()).await.unwrap();
    assert_eq!(said(&mut connection).await.unwrap(), b"hello");

    // Without one, the server says no; in TLS 1.3 only after the handshake.
    granted.client_certificate = None;
    let access = stage.access(std::slice::from_ref(&granted));
    let refused = match stage.broker.connect(&access, HOST, port, &tls()).await {
        Ok(mut connection) => said(&mut connection).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused.code(), "tls-untrusted", "{refused}");
}

#[tokio::test]
async fn i16_credentials_that_are_no_use_are_named_and_not_shown() {
    let (authority, stage) = (Authority::new(), Stage::with_name(HOST));
    let port = echo(authority.acceptor(HOST, None)).await;
    let (certificate, key) = authority.issue("deployd");
    for (name, value) in [
        ("no-pem", "hunter2-hunter2".to_owned()),
        ("no-key", certificate),
        ("no-certificate", key.clone()),
        ("half-a-key", key.replace("-----END", "----")),
    ] {
        stage.secrets.0.lock().unwrap().insert(name.into(), value);
        for as_ca in [true, false] {
            let mut granted = grant("tls", HOST, port);
            if as_ca && name == "no-key" {
                continue;
            } else if as_ca {
                granted.ca = Some(CaSource { pem: None, secret: Some(name.into()) });
            } else {
                granted.client_certificate = Some(name.into());
            }
            let access = stage.access(&[granted]);
            let refused = stage.broker.connect(&access, HOST, port, &tls()).await.err().unwrap();
            assert_eq!(refused.code(), "credential-unusable", "{name}: {refused}");
            let told = format!("{refused:?} {refused}");
            assert!(!told.contains("hunter2") && !told.contains(&key[40..80]), "{told}");
        }
    }
    let mut granted = grant("tls", HOST, port);
    granted.client_certificate = Some("not-there".into());
    let refused = stage.broker.connect(&stage.access(&[granted]), HOST, port, &tls()).await;
    assert!(refused.err().unwrap().to_string().contains("there is no secret operator/not-there"));
}

/// PostgreSQL's way: eight bytes, an answer of one, then TLS.
#[tokio::test]
async fn tls_can_start_in_the_middle() {
    let (authority, stage) = (Authority::new(), Stage::with_name(HOST));
    let acceptor = authority.acceptor(HOST, None);
    let address = serve(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await?;
            stream.write_all(b"S").await?;
            let mut stream = acceptor.accept(stream).await?;
            stream.read_exact(&mut request).await?;
            stream.write_all(b"ready").await?;
            stream.shutdown().await
        }
    });
    let port = address.await.port();
    // Also where the grant is for TLS alone.
    for scheme in ["tcp", "tls"] {
        let mut granted = grant(scheme, HOST, port);
        granted.ca = authority.source();
        let access = stage.access(&[granted]);
        let plain = Security::Plaintext;
        let mut connection = stage.broker.connect(&access, HOST, port, &plain).await.unwrap();
        connection.write(b"SSLplea!").await.unwrap();
        assert_eq!(connection.read(1).await.unwrap(), b"S");
        connection.start_tls(&TlsOptions::default()).await.unwrap();
        connection.write(b"startup!").await.unwrap();
        assert_eq!(connection.read(100).await.unwrap(), b"ready");
        let twice = connection.start_tls(&TlsOptions::default()).await.unwrap_err();
        assert_eq!(twice.code(), "connection-unusable");
    }
}

#[tokio::test]
async fn what_is_granted_for_tls_does_not_stay_in_plain_text() {
    let stage = Stage::with_name(HOST);
    let address = serve(|mut stream| async move {
        let mut first = [0; 8];
        stream.read_exact(&mut first).await?;
        // A server that says no, and would take a password.
        stream.write_all(b"N").await?;
        stream.read_exact(&mut [0; 64]).await.map(drop)
    });
    let port = address.await.port();
    let access = stage.access(&[grant("tls", HOST, port)]);
    let mut connection =
        stage.broker.connect(&access, HOST, port, &Security::Plaintext).await.unwrap();
    connection.write(b"SSLplea!").await.unwrap();
    assert_eq!(connection.read(1).await.unwrap(), b"N");
    let refused = connection.write(&[b'p'; 40]).await.unwrap_err();
    assert_eq!((refused.code(), refused.class()), ("plaintext-not-granted", FaultClass::Denied));
    // Bytes that never left are not counted, and the stream is of no use any more.
    assert_eq!(connection.read(1).await.unwrap_err().code(), "connection-unusable");
    drop(connection);
    let used = stage.used();
    assert_eq!((used.sent, used.received), (8, 1));
    assert_eq!(used.outcome, UseOutcome::Failed("plaintext-not-granted"));
}

#[tokio::test]
async fn no_tls_where_tls_should_be() {
    let stage = Stage::with_name(HOST);
    let address = serve(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        stream.shutdown().await
    });
    let port = address.await.port();
    let access = stage.access(&[grant("tls", HOST, port)]);
    let refused = stage.broker.connect(&access, HOST, port, &tls()).await.err().unwrap();
    assert_eq!((refused.code(), refused.class()), ("tls-failed", FaultClass::Transient));
}

#[tokio::test]
async fn http_over_tls() {
    let (authority, stage) = (Authority::new(), Stage::with_name("api.internal"));
    let acceptor = authority.acceptor("api.internal", None);
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            let asked = head(&mut stream).await?;
            let length = asked.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{asked}");
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }
    });
    let port = address.await.port();
    let mut granted = grant("https", "api.internal", port);
    granted.ca = authority.source();
    let request = Exchange {
        method: "GET".into(),
        url: format!("https://api.internal:{port}/v1/zones?page=2#here"),
        headers: vec![("x-token".into(), "t".into()), ("Host".into(), "other".into())],
        body: Vec::new(),
    };
    let access = stage.access(&[granted]);
    let answer = stage.broker.exchange(&access, request.clone()).await.unwrap();
    let asked = String::from_utf8(answer.body).unwrap();
    assert!(asked.starts_with("GET /v1/zones?page=2 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: api.internal:{port}\r\n")) && !asked.contains("other"));
    let access = stage.access(&[grant("https", "api.internal", port)]);
    let refused = stage.broker.exchange(&access, request).await.unwrap_err();
    assert_eq!(refused.code(), "tls-untrusted");
}
