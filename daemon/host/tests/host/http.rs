//! Drivers that speak `wasi:http`, through the real broker, with servers on
//! loopback: all names are this machine, and all ports the server's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::config::{Grant, HostGrant, LimitOverrides, PluginKind};
use deployd_core::ports::{Call, CallLog, Drivers as _};
use deployd_egress::Network;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::net::provisioned;
use crate::secrets::request;
use crate::support::{Stage, component, scope};

const ASKS: &str = "[asks]\nhosts = ['*']\n";
const TOKEN: &str = "t0ken-of-the-operator";

/// A server that answers each request with the same, or never, and remembers them.
#[derive(Default)]
struct Server {
    asked: Mutex<Vec<String>>,
    open: AtomicUsize,
    most: AtomicUsize,
    changed: Notify,
}

impl Server {
    async fn start(answer: Option<Vec<u8>>) -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Self::default());
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, answer) = (serving.clone(), answer.clone());
                let open = server.open.fetch_add(1, Ordering::SeqCst) + 1;
                server.most.fetch_max(open, Ordering::SeqCst);
                tokio::spawn(async move {
                    // How it ends is seen at the other side.
                    let _ = server.serve(stream, answer).await;
                    server.open.fetch_sub(1, Ordering::SeqCst);
                    server.changed.notify_waiters();
                });
            }
        });
        (server, address)
    }

    async fn serve(&self, mut stream: TcpStream, answer: Option<Vec<u8>>) -> io::Result<()> {
        let Some(asked) = whole_request(&mut stream).await? else { return Ok(()) };
        self.asked.lock().unwrap().push(asked);
        self.changed.notify_waiters();
        match answer {
            Some(answer) => {
                stream.write_all(&answer).await?;
                stream.shutdown().await
            }
            // Until the other side has gone.
            None => stream.read_buf(&mut Vec::new()).await.map(drop),
        }
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if holds(self) {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), changed).await;
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A request with its body; none when the other side goes before it is whole.
pub async fn whole_request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut read = Vec::new();
    let whole = |read: &[u8]| {
        let text = String::from_utf8_lossy(read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().unwrap())
    };
    while !whole(&read) {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&read).into_owned()))
}

/// Every name is this machine, and every port the server's.
pub struct ToServer(pub SocketAddr);

#[async_trait]
impl Network for ToServer {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.0.ip()])
    }

    async fn connect(&self, _: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }
}

async fn answering(answer: impl Into<Vec<u8>>) -> (Stage, Arc<Server>) {
    let (server, address) = Server::start(Some(answer.into())).await;
    (stage(address), server)
}

async fn silent() -> (Stage, Arc<Server>) {
    let (server, address) = Server::start(None).await;
    (stage(address), server)
}

fn stage(address: SocketAddr) -> Stage {
    let stage = Stage::over(Arc::new(ToServer(address)));
    stage.vault.set("operator", "api-token", TOKEN);
    stage
}

/// A grant of `http://api.internal`, with these fields beside.
fn granted(fields: &Value) -> Grant {
    let mut host =
        json!({"scheme": "http", "host": "api.internal", "port": 80, "privateAddress": true});
    host.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let host: HostGrant = serde_json::from_value(host).unwrap();
    Grant { hosts: vec![host], ..Grant::default() }
}

fn grant() -> Grant {
    granted(&json!({}))
}

async fn call(stage: &Stage, fixture: &str, grant: &Grant) -> (Result<(), Fault>, Vec<String>) {
    provisioned(stage, fixture, ASKS, grant).await
}

/// The lines of a call that has come to its end.
async fn told(stage: &Stage, fixture: &str, grant: &Grant) -> Vec<String> {
    let (done, lines) = call(stage, fixture, grant).await;
    done.unwrap_or_else(|fault| panic!("{fault} {lines:?}"));
    lines
}

#[tokio::test]
async fn a_driver_speaks_http_to_whom_it_is_granted() {
    let (stage, server) = answering("HTTP/1.1 201 Created\r\nx-id: 7\r\n\r\npong").await;
    let lines = told(&stage, "driver-http", &grant()).await;
    assert_eq!(lines[..4], ["status 201", "x-id", "7", "pong"]);
    // Where to, how long, how much and what came of it: nothing of the path.
    assert!(lines[4].starts_with("POST http://api.internal:80 (127.0.0.1): "), "{lines:?}");
    assert!(lines[4].ends_with("status 201") && lines.len() == 5, "{lines:?}");
    let asked = &server.asked()[0];
    assert!(asked.starts_with("POST /things?q=1 HTTP/1.1\r\n"), "{asked}");
    for part in ["\r\nhost: api.internal\r\n", "\r\ncontent-length: 4\r\n", "\r\n\r\nping"] {
        assert!(asked.contains(part), "{asked}");
    }
}

#[tokio::test]
async fn what_is_not_granted_is_refused_and_told() {
    let (stage, server) = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    for (fields, error, sentence) in [
        (json!({"host": "other.internal"}), "error 015", "is not granted; granted are: http://o"),
        (json!({"scheme": "https"}), "error 015", "http://api.internal:80 is not granted"),
        (json!({"port": 8080}), "error 015", "http://api.internal:80 is not granted"),
        (json!({"methods": ["GET"]}), "error 015", "is not granted; granted are: GET"),
        (json!({"privateAddress": false}), "error 004", "needs privateAddress: true"),
    ] {
        let lines = told(&stage, "driver-http", &granted(&fields)).await;
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        assert!(has(error) && has(sentence) && lines.len() == 3, "{fields}: {lines:?}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let moved =
        "HTTP/1.1 302 Found\r\nlocation: http://api.internal/b\r\ncontent-length: 0\r\n\r\n";
    let (stage, server) = answering(moved).await;
    let lines = told(&stage, "driver-http", &grant()).await;
    assert_eq!(lines[0], "status 302");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn i16_a_credential_arrives_and_the_guest_never_sees_it() {
    let (stage, server) = answering("HTTP/1.1 200 OK\r\n\r\nfine").await;
    let with = granted(&json!({"credential": {"secret": "api-token"}}));
    let lines = told(&stage, "driver-http", &with).await;
    assert!(server.asked()[0].contains(&format!("\r\nauthorization: Bearer {TOKEN}\r\n")));
    assert!(!lines.iter().any(|line| line.contains(TOKEN)), "{lines:?}");
    // Who sets it by itself, where it is the host's, and `host`, which always is.
    let lines = told(&stage, "driver-http-header", &with).await;
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("error 101") && has("error 015") && has("must be left out"), "{lines:?}");
    assert_eq!(server.asked().len(), 1);
    // Without a credential it is the guest's.
    let lines = told(&stage, "driver-http-header", &grant()).await;
    assert!(lines.contains(&"status 200".to_owned()), "{lines:?}");
    assert!(server.asked()[1].contains("\r\nauthorization: Bearer mine\r\n"));
}

/// A server that shows what it was asked shows it to nobody.
#[tokio::test]
async fn cve_2025_55190_an_answer_with_the_credential_reaches_no_guest() {
    let (stage, _server) = answering(format!("HTTP/1.1 200 OK\r\n\r\nyou sent {TOKEN}")).await;
    let with = granted(&json!({"credential": {"secret": "api-token"}}));
    let lines = told(&stage, "driver-http", &with).await;
    assert!(lines.contains(&"error 037".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(TOKEN)), "{lines:?}");
}

#[tokio::test]
async fn bodies_and_heads_have_limits() {
    let large = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(4 * 1024 * 1024 + 1));
    let many = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(33 * 1024));
    for (answer, error) in [(large, "error 028"), (many, "error 026")] {
        let (stage, _server) = answering(answer).await;
        let lines = told(&stage, "driver-http", &grant()).await;
        assert!(lines.contains(&error.to_owned()), "{error}: {lines:?}");
    }
    let (stage, server) = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let lines = told(&stage, "driver-http-endless-body", &grant()).await;
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("error 017") && has("the body of an HTTP request may have 4 MiB"), "{lines:?}");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_slow_server_costs_as_long_as_the_guest_waits() {
    let (stage, server) = silent().await;
    let lines = told(&stage, "driver-http-hurries", &grant()).await;
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("error 033") && has("the answer took longer than 100 ms"), "{lines:?}");
    server.until(|server| server.open.load(Ordering::SeqCst) == 0).await;
}

/// Sends a byte of an answer now and then, for ever, and says when somebody was there.
async fn trickling() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut pace = tokio::time::interval(Duration::from_millis(20));
                let head = b"HTTP/1.1 200 OK\r\n\r\n".iter();
                for byte in head.chain(std::iter::repeat(&b'x')) {
                    pace.tick().await;
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Each part comes in time, and the whole never does.
#[tokio::test]
async fn a_server_that_trickles_is_no_strike() {
    let stage = stage(trickling().await);
    let limits = LimitOverrides { wall_ms: Some(400), ..LimitOverrides::default() };
    let grant = Grant { limits, ..grant() };
    for _ in 0..4 {
        let lines = told(&stage, "driver-http", &grant).await;
        assert!(lines.iter().any(|line| line.starts_with("error ")), "{lines:?}");
    }
    let status = stage.host.status();
    assert_eq!((status[0].strikes, status[0].quarantined_until), (0, None));
}

#[tokio::test]
async fn requests_of_a_call_are_limited() {
    let (stage, server) = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let lines = told(&stage, "driver-http-often", &grant()).await;
    assert_eq!(server.asked().len(), 64);
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("error 011"), count("a call may make 64 HTTP requests")), (36, 1));
}

#[tokio::test]
async fn what_a_guest_forgets_ends_with_its_call() {
    let (stage, server) = silent().await;
    let lines = told(&stage, "driver-http-forgets", &grant()).await;
    server.until(|server| server.open.load(Ordering::SeqCst) == 0).await;
    assert!(server.most.load(Ordering::SeqCst) <= 4);
    assert!(!lines.iter().any(|line| line.contains("status")), "{lines:?}");
}

#[tokio::test]
async fn a_body_that_is_never_finished_ends_with_the_call() {
    let (stage, server) = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let limits = LimitOverrides { wall_ms: Some(300), ..LimitOverrides::default() };
    let lines = told(&stage, "driver-http-unfinished", &Grant { limits, ..grant() }).await;
    assert!(lines.iter().any(|line| line.contains("the time of this call is over")), "{lines:?}");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn bodies_that_are_opened_without_end_are_too_many_handles() {
    let (stage, _server) = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let (done, _) = call(&stage, "driver-http-bodies", &grant()).await;
    let fault = done.unwrap_err();
    assert_eq!(fault.code, "plugin-too-many-handles", "{fault}");
}

/// A host panicked when a guest made too many header fields.
#[tokio::test]
async fn cve_2026_27572_header_fields_without_end_are_a_fault() {
    let (stage, _server) = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let (done, _) = call(&stage, "driver-http-many-fields", &grant()).await;
    let fault = done.unwrap_err();
    assert_eq!(fault.code, "plugin-too-many-fields", "{fault}");
    assert!(fault.message.contains("32 KiB"), "{fault}");
}

/// A host panicked when the future of a call was dropped.
#[tokio::test]
async fn cve_2026_27195_a_call_that_is_dropped_takes_its_requests_with_it() {
    let (stage, server) = silent().await;
    let bytes = component("driver-http");
    let kind = PluginKind::Driver;
    let info = stage.register("dropped", &bytes, kind, ASKS, &grant()).await.unwrap();
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &info.plugin, scope: &scope, log: &log };
    let request = request();
    tokio::select! {
        _ = stage.host.provision(call, &request, None) => panic!("nobody answered"),
        () = server.until(|server| server.asked().len() == 1) => {}
    }
    server.until(|server| server.open.load(Ordering::SeqCst) == 0).await;
    // And it can be called again.
    let call = Call { plugin: &info.plugin, scope: &scope, log: &log };
    assert!(stage.host.plan(call, &request).await.is_ok());
}
