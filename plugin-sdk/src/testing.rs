//! A host to run plugins against in native tests.
//!
//! ```
//! # use deployd_plugin_sdk::{Host, Log};
//! use deployd_plugin_sdk::testing::FakeHost;
//!
//! let host = FakeHost::new().grant_secret("token", "s3cr3t");
//! host.info("hello");
//! assert_eq!(host.lines(), ["info: hello"]);
//! assert!(host.open_secret("other").is_err());
//! ```

use crate::check::{self, Check};
use crate::driver::{Driver, RawRequest, Request};
use crate::http;
use crate::net::{Connection, Security, TlsOptions};
use crate::templater::{RawInput, Templater};
use crate::{Fault, Host, Level, Log, Recipe, Scope, Secret, secret, strategy, templater};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A host that grants what a test says and remembers what a plugin did.
#[derive(Debug, Default)]
pub struct FakeHost {
    now_ms: u64,
    slowness: Duration,
    elapsed: Cell<Duration>,
    granted: BTreeMap<String, String>,
    hosts: BTreeSet<(String, u16)>,
    generated: RefCell<BTreeMap<String, Recipe>>,
    lines: RefCell<Vec<String>>,
    drawn: RefCell<u64>,
    server: Option<Server>,
    requests: RefCell<Vec<http::Request>>,
}

/// Answers instead of a server.
struct Server(Box<Answer>);

type Answer = dyn Fn(&http::Request) -> Result<http::Response, Fault>;

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

impl FakeHost {
    /// A host that grants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants a secret, `reveal` included.
    #[must_use]
    pub fn grant_secret(mut self, name: &str, value: &str) -> Self {
        self.granted.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Grants a host and port, which are connected to in plain text: where the
    /// plugin wants TLS, too, which is the daemon's work.
    #[must_use]
    pub fn grant_host(mut self, host: &str, port: u16) -> Self {
        self.hosts.insert((host.to_owned(), port));
        self
    }

    /// Has HTTP requests answered by this function, whichever host they are for.
    #[must_use]
    pub fn answer(
        mut self,
        server: impl Fn(&http::Request) -> Result<http::Response, Fault> + 'static,
    ) -> Self {
        self.server = Some(Server(Box::new(server)));
        self
    }

    /// Has every HTTP request take so long, by [`Host::elapsed`].
    #[must_use]
    pub fn slow(mut self, each: Duration) -> Self {
        self.slowness = each;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn at_ms(mut self, now_ms: u64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// What was logged, as `level: message`.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The HTTP requests that were made, those that failed among them.
    pub fn requests(&self) -> Vec<http::Request> {
        self.requests.borrow().clone()
    }

    /// The secrets that were generated, by name.
    pub fn generated(&self) -> BTreeMap<String, Recipe> {
        self.generated.borrow().clone()
    }
}

impl Log for FakeHost {
    fn line(&self, level: Level, message: &str) {
        let level = format!("{level:?}").to_lowercase();
        self.lines.borrow_mut().push(format!("{level}: {message}"));
    }
}

impl Host for FakeHost {
    type Secret = FakeSecret;
    type Connection = FakeConnection;

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }

    fn generate_secret(&self, name: &str, recipe: &Recipe) -> Result<String, Fault> {
        if !(8..=256).contains(&recipe.length) {
            return Err(Fault::invalid("/length", "8 to 256 characters"));
        }
        // The first recipe stays, as with the real host.
        self.generated.borrow_mut().entry(name.to_owned()).or_insert_with(|| recipe.clone());
        Ok(format!("{}generated/{name}{}", secret::OPEN, secret::CLOSE))
    }

    fn open_secret(&self, name: &str) -> Result<FakeSecret, Fault> {
        let value = self
            .granted
            .get(name)
            .ok_or_else(|| Fault::denied(format!("the grant names no secret {name:?}")))?;
        Ok(FakeSecret { name: name.to_owned(), value: value.clone() })
    }

    fn connect(&self, host: &str, port: u16, _: &Security) -> Result<FakeConnection, Fault> {
        if !self.hosts.contains(&(host.to_owned(), port)) {
            return Err(Fault::denied(format!("{host}:{port} is not granted")));
        }
        let connected = TcpStream::connect((host, port)).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        connected.map(FakeConnection).map_err(|error| unavailable(&error))
    }

    fn http(&self, request: &http::Request) -> Result<http::Response, Fault> {
        http::Target::of(&request.url)?;
        self.requests.borrow_mut().push(request.clone());
        self.elapsed.set(self.elapsed.get() + self.slowness);
        match &self.server {
            Some(Server(answer)) => answer(request),
            None => Err(Fault::denied("no host is granted; FakeHost::answer has a test answer")),
        }
    }

    fn random(&self, count: usize) -> Vec<u8> {
        // Not the same twice, and the same in each run of a test.
        let mut drawn = self.drawn.borrow_mut();
        (0..count)
            .map(|_| {
                *drawn = drawn.wrapping_mul(LCG_FACTOR).wrapping_add(1);
                drawn.to_be_bytes()[0]
            })
            .collect()
    }
}

/// How long a test waits for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Knuth's multiplier (MMIX) of a linear congruential generator.
const LCG_FACTOR: u64 = 6_364_136_223_846_793_005;

fn unavailable(error: &std::io::Error) -> Fault {
    Fault::Unavailable { message: error.to_string(), after: None }
}

/// A byte stream of a [`FakeHost`].
#[derive(Debug)]
pub struct FakeConnection(TcpStream);

impl Connection for FakeConnection {
    fn read(&mut self, max: u32) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; usize::try_from(max).unwrap_or(usize::MAX)];
        let read = self.0.read(&mut bytes).map_err(|error| unavailable(&error))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.write_all(bytes).map_err(|error| unavailable(&error))
    }

    fn start_tls(&mut self, _: &TlsOptions) -> Result<(), Fault> {
        Ok(())
    }
}

/// A secret of a [`FakeHost`].
#[derive(Debug, Clone)]
pub struct FakeSecret {
    name: String,
    value: String,
}

impl Secret for FakeSecret {
    fn reference(&self) -> String {
        format!("{}granted/{}{}", secret::OPEN, self.name, secret::CLOSE)
    }

    fn reveal(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.value.clone().into_bytes())
    }
}

/// The scope of the requests that this module makes.
pub fn scope() -> Scope {
    Scope {
        application: "shop".to_owned(),
        environment: "staging-1".to_owned(),
        environment_type: "staging".to_owned(),
        deployment: "dep-1".to_owned(),
    }
}

/// A request for a new resource, read as the host's would be.
pub fn request<D: Driver>(params: &Value, inputs: &Value) -> Result<Request<D>, Fault> {
    Request::read(RawRequest {
        uid: "res-0001".to_owned(),
        r#type: "thing".to_owned(),
        class: "default".to_owned(),
        id: "main".to_owned(),
        params: params.to_string(),
        inputs: inputs.to_string(),
        state: None,
        idempotency_key: "key-1".to_owned(),
        scope: scope(),
    })
}

/// What a check is asked, read as the host's would be. What `input` does not say
/// is a canary of one workload that got traffic ten minutes ago.
pub fn check_request<C: Check>(
    config: &Value,
    input: &Value,
    token: Option<&str>,
) -> Result<check::Request<C::Config>, Fault> {
    let mut whole = serde_json::json!({
        "deployment": "dep-1",
        "namespace": "shop-staging-1",
        "workloads": ["web"],
        "track": "canary",
        "baseline": null,
        "since-ms": 1_700_000_000_000_u64,
        "now-ms": 1_700_000_600_000_u64,
        "idempotency-key": "key-1",
    });
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), input.as_object()) {
        whole.extend(more.clone());
    }
    let (config, input) = (config.to_string(), whole.to_string());
    check::Request::read(&config, scope(), &input, token.map(str::to_owned))
}

/// What a templater is given, read as the host's would be.
pub fn input<T: Templater>(
    workloads: &[Value],
    values: &Value,
    config: &Value,
    baseline: &str,
) -> Result<templater::Input<T::Config>, Fault> {
    templater::Input::read(RawInput {
        workloads: workloads.iter().map(Value::to_string).collect(),
        values: values.to_string(),
        baseline: baseline.to_owned(),
        config: config.to_string(),
        scope: scope(),
        target: r#"{"namespace": "shop-staging-1"}"#.to_owned(),
    })
}

/// The context of a rollout, read as the host's would be.
pub fn context<C: DeserializeOwned>(
    config: &Value,
    workloads: &Value,
) -> Result<strategy::Context<C>, Fault> {
    strategy::Context::read(&config.to_string(), &workloads.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_secret_stays_the_same() {
        let host = FakeHost::new();
        let first = host.generate_secret("password", &Recipe::default()).unwrap();
        let second = host.generate_secret("password", &Recipe::default()).unwrap();
        assert_eq!(first, second);
        assert!(secret::contains_reference(&first));
    }

    #[test]
    fn a_test_answers_requests_and_sees_them() {
        let host = FakeHost::new().answer(|request| match request.url.as_str() {
            "https://api.example/things" => Ok(http::Response::new(201).with_body("made")),
            _ => Err(Fault::unavailable("nobody there")),
        });
        let request = http::Request::post("https://api.example/things").body("a thing");
        assert_eq!(host.http(&request).unwrap().body, b"made");
        assert_eq!(host.requests(), [request]);
    }

    #[test]
    fn a_revealed_text_has_no_line_break_at_its_end() {
        let host = FakeHost::new().grant_secret("token", " t0ken\r\n").grant_secret("empty", "\n");
        assert_eq!(host.reveal_text("/inputs/token", "token").unwrap(), "t0ken");
        let fault = host.reveal_text("/inputs/token", "empty").unwrap_err().to_string();
        assert!(fault.contains("/inputs/token: the value of the secret \"empty\""), "{fault}");
    }

    #[test]
    fn what_is_not_granted_is_denied() {
        assert!(matches!(FakeHost::new().open_secret("token"), Err(Fault::Denied(_))));
        let request = http::Request::get("https://api.example/");
        assert!(matches!(FakeHost::new().http(&request), Err(Fault::Denied(_))));
    }
}
