//! The shipped driver `dns-cloudflare`, as a component, through the real broker,
//! against the stand-in of the API that its own tests have.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use deployd_core::config::{Grant, HostGrant};
use deployd_core::ports::{
    Call, CallLog, DriverRequest, Drivers as _, PluginRef, Progress, Provisioned,
};
use deployd_core::{Fault, FaultClass};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::http::{ToServer, whole_request};
use crate::secrets::request;
use crate::shipped::load_with;
use crate::support::{Stage, scope};

#[path = "../../../../plugins/dns-cloudflare/src/tests/stand_in.rs"]
#[allow(dead_code, reason = "used from two places")]
mod stand_in;

use stand_in::{Asked, StandIn, Trouble};

const TOKEN: &str = "cf-t0ken-of-the-operator";

type Cloud = Arc<Mutex<StandIn>>;

async fn serve(cloud: Cloud) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // How it ends is seen at the other side.
            tokio::spawn(answer(stream, cloud.clone()));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, cloud: Cloud) -> io::Result<()> {
    let Some(asked) = whole_request(&mut stream).await? else { return Ok(()) };
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let mut first = head.lines().next().unwrap().split(' ');
    let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: "));
    // Nowhere else.
    let elsewhere = asked.replace(&format!("authorization: Bearer {TOKEN}"), "");
    assert!(!elsewhere.contains(TOKEN), "{asked}");
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let asked = Asked { method, target, authorization, body: body.as_bytes() };
    let (status, headers, body) = cloud.lock().unwrap().answer(&asked);
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}

struct Scene {
    stage: Stage,
    plugin: PluginRef,
    cloud: Cloud,
}

async fn scene(credential: &Value) -> Scene {
    let cloud = Cloud::default();
    cloud.lock().unwrap().token = Some(TOKEN.to_owned());
    let stage = Stage::over(Arc::new(ToServer(serve(cloud.clone()).await)));
    stage.vault.set("operator", "cloudflare-token", TOKEN);
    stage.vault.set("operator", "other-token", "of-somebody-else");
    let host: HostGrant = serde_json::from_value(json!({
        "scheme": "http", "host": "api.cloudflare.test", "port": 80,
        "privateAddress": true, "credential": credential,
    }))
    .unwrap();
    let grant = Grant { hosts: vec![host], ..Grant::default() };
    let plugin = load_with(&stage, "dns-cloudflare", &grant).await;
    Scene { stage, plugin, cloud }
}

fn wanted(addresses: &[&str], state: Option<Value>) -> DriverRequest {
    let inputs = json!({
        "api": "http://api.cloudflare.test/client/v4",
        "zone": "example.com",
        "name": "web.example.com",
        "records": {"A": addresses},
    });
    DriverRequest { inputs, state, ..request() }
}

impl Scene {
    async fn provision(&self, request: &DriverRequest) -> (Result<Provisioned, Fault>, String) {
        let (scope, log) = (scope(), CallLog::default());
        let call = Call { plugin: &self.plugin, scope: &scope, log: &log };
        let done = self.stage.host.provision(call, request, None).await;
        let lines: Vec<_> = log.take().into_iter().map(|line| line.message).collect();
        let done = done.map(|progress| match progress {
            Progress::Done(done) => done,
            Progress::Pending { .. } => panic!("nothing to wait for"),
        });
        (done, lines.join("\n"))
    }

    fn all(&self) -> Vec<String> {
        self.cloud.lock().unwrap().all()
    }
}

#[tokio::test]
async fn names_are_made_observed_and_taken_away() {
    let scene = scene(&json!({"secret": "cloudflare-token"})).await;
    let (done, log) = scene.provision(&wanted(&["192.0.2.1", "192.0.2.2"], None)).await;
    let done = done.unwrap();
    assert_eq!(done.outputs["host"], "web.example.com");
    assert_eq!(scene.all().len(), 2);
    // Each request, and nothing of what went with it.
    assert_eq!(log.matches("GET http://api.cloudflare.test:80 (127.0.0.1): ").count(), 2, "{log}");
    assert_eq!(log.matches("POST http://api.cloudflare.test:80 (127.0.0.1): ").count(), 2, "{log}");
    assert!(!log.contains("zones") && !log.contains(TOKEN), "{log}");
    let request = wanted(&["192.0.2.1"], Some(done.state));
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &scene.plugin, scope: &scope, log: &log };
    let seen = scene.stage.host.observe(call, &request).await.unwrap().unwrap();
    assert_eq!(seen["records"]["A"], json!(["192.0.2.1", "192.0.2.2"]));
    let removed = scene.stage.host.destroy(call, &request, None).await.unwrap();
    assert!(matches!(removed, Progress::Done(())));
    assert_eq!(scene.all(), Vec::<String>::new());
}

#[tokio::test]
async fn what_broke_off_is_finished_by_the_next_attempt() {
    let scene = scene(&json!({"secret": "cloudflare-token"})).await;
    let request = wanted(&["192.0.2.1", "192.0.2.2"], None);
    let later = vec![("retry-after".to_owned(), "7".to_owned())];
    for (method, trouble, retry_after_ms) in [
        ("GET", Trouble::Instead(429, later.clone(), String::new()), Some(7_000)),
        ("GET", Trouble::Instead(503, Vec::new(), "<html>".to_owned()), None),
        ("GET", Trouble::Instead(200, Vec::new(), "{\"success\": tr".to_owned()), None),
        ("POST", Trouble::After(500, String::new()), None),
    ] {
        scene.cloud.lock().unwrap().trouble(method, trouble);
        let fault = scene.provision(&request).await.0.unwrap_err();
        assert_eq!(fault.class, FaultClass::Transient, "{fault}");
        assert_eq!(fault.retry_after_ms, retry_after_ms, "{fault}");
    }
    // The last one has made a record, and nobody heard of it.
    assert_eq!(scene.all().len(), 1);
    scene.provision(&request).await.0.unwrap();
    assert_eq!(scene.all().len(), 2);
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_token_that_may_not() {
    let scene = scene(&json!({"secret": "cloudflare-token"})).await;
    scene.cloud.lock().unwrap().foreign("A", "web.example.com", "192.0.2.9", None);
    let fault = scene.provision(&wanted(&["192.0.2.1"], None)).await.0.unwrap_err();
    assert_eq!(fault.class, FaultClass::Conflict, "{fault}");
    assert_eq!(scene.all(), ["A web.example.com 192.0.2.9 -"]);
    let other = self::scene(&json!({"secret": "other-token"})).await;
    let fault = other.provision(&wanted(&["192.0.2.1"], None)).await.0.unwrap_err();
    assert_eq!(fault.class, FaultClass::Denied, "{fault}");
    assert!(fault.message.contains("Authentication error (10000)"), "{fault}");
}
