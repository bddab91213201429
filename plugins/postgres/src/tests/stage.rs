//! What the tests share: one server for all of them, requests, and a host whose
//! connections break.

use crate::{Postgres, State};
use deployd_plugin_sdk::driver::{Driver, Planned, Progress, Provisioned, Removal, Request};
use deployd_plugin_sdk::net::{Connection, Security, TlsOptions};
use deployd_plugin_sdk::testing::{self, FakeConnection, FakeHost, FakeSecret};
use deployd_plugin_sdk::{Fault, Host, Level, Log, Recipe, http};
use postgresql_server::{Options, PASSWORD, Server};
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

/// The server. It ends with the process.
pub(super) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&Options::default()).unwrap())
}

/// A host that knows the server and the password of its superuser.
pub(super) fn host() -> FakeHost {
    host_of(server().port(), PASSWORD)
}

pub(super) fn host_of(port: u16, password: &str) -> FakeHost {
    FakeHost::new().grant_host("127.0.0.1", port).grant_secret("admin", password)
}

/// Inputs for the server, and these.
pub(super) fn inputs(more: &Value) -> Value {
    let mut inputs = json!({
        "host": "127.0.0.1",
        "port": server().port(),
        "admin_password": "admin",
        "tls": "disable",
    });
    let fields = inputs.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    inputs
}

/// A request for a resource of its own, whose uid is the test's name.
pub(super) fn request(uid: &str, more: &Value) -> Request<Postgres> {
    let mut request = testing::request::<Postgres>(&json!({}), &inputs(more)).unwrap();
    uid.clone_into(&mut request.uid);
    request
}

/// The same resource in a later deployment.
pub(super) fn later(request: &Request<Postgres>, state: &State, more: &Value) -> Request<Postgres> {
    let mut later = self::request(&request.uid, more);
    later.state = Some(state.clone());
    later
}

pub(super) fn plan(request: &Request<Postgres>, host: &impl Host) -> Planned {
    Postgres::plan(request, host).unwrap()
}

pub(super) fn provision(request: &Request<Postgres>, host: &impl Host) -> Provisioned<State> {
    try_provision(request, host).unwrap()
}

pub(super) fn try_provision(
    request: &Request<Postgres>,
    host: &impl Host,
) -> Result<Provisioned<State>, Fault> {
    match Postgres::provision(request, None, host)? {
        Progress::Done(provisioned) => Ok(provisioned),
        Progress::Pending(_) => panic!("nothing to wait for"),
    }
}

pub(super) fn destroy(request: &Request<Postgres>, host: &impl Host) -> Result<(), Fault> {
    match Postgres::destroy(request, None, host)? {
        Removal::Done => Ok(()),
        Removal::Pending(_) => panic!("nothing to wait for"),
    }
}

pub(super) fn observe(request: &Request<Postgres>, host: &impl Host) -> Option<Value> {
    Postgres::observe(request, host).unwrap()
}

/// Again, as the engine does, while it is said that it may help.
pub(super) fn until_done<T>(mut attempt: impl FnMut() -> Result<T, Fault>) -> T {
    for _ in 0..100 {
        match attempt() {
            Ok(done) => return done,
            Err(Fault::Unavailable { .. }) => {}
            Err(fault) => panic!("{fault}"),
        }
    }
    panic!("it never works")
}

/// The password that a provision has set.
pub(super) fn password(made: &Provisioned<State>) -> &str {
    &made.secret_outputs.last().unwrap().1
}

/// What a statement gives whoever the outputs are for.
pub(super) fn as_workload(
    made: &Provisioned<State>,
    password: &str,
    statement: &str,
) -> std::io::Result<String> {
    let State { database, role, .. } = &made.state;
    server().sql_as((role, password), database, statement)
}

/// How many roles and databases have this resource's mark, or its names.
pub(super) fn marked(uid: &str) -> (String, String) {
    let count = |table: &str, catalogue: &str| {
        let statement = format!(
            "select count(*) from {table} where \
             shobj_description(oid, '{catalogue}') like '%\"resource\":\"{uid}\"%'"
        );
        server().sql("postgres", &statement).unwrap()
    };
    (count("pg_roles", "pg_authid"), count("pg_database", "pg_database"))
}

/// A host whose connections break after the nth write of all: the server does
/// what it was told, and nobody hears of it. That it was never told is the same
/// as a break after the write before.
pub(super) struct Breaking {
    inner: FakeHost,
    at: usize,
    /// Nobody waits for the answer to what has this text in it.
    deaf_after: Option<&'static str>,
    writes: Rc<Cell<usize>>,
}

impl Breaking {
    pub(super) fn at(at: usize) -> Self {
        Self { inner: host(), at, deaf_after: None, writes: Rc::default() }
    }

    /// The connection goes while the server still works on such a statement.
    pub(super) fn during(statement: &'static str) -> Self {
        Self { deaf_after: Some(statement), ..Self::at(usize::MAX) }
    }

    /// Whether it came so far.
    pub(super) fn has_broken(&self) -> bool {
        self.writes.get() >= self.at
    }
}

pub(super) struct BreakingConnection {
    inner: FakeConnection,
    at: usize,
    deaf_after: Option<&'static str>,
    writes: Rc<Cell<usize>>,
}

fn broke() -> Fault {
    Fault::unavailable("the connection broke")
}

impl Connection for BreakingConnection {
    fn read(&mut self, max: u32) -> Result<Vec<u8>, Fault> {
        if self.writes.get() >= self.at {
            return Err(broke());
        }
        self.inner.read(max)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.writes.set(self.writes.get() + 1);
        let of = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        if self.deaf_after.is_some_and(of) {
            self.inner.write(bytes)?;
            return Err(broke());
        }
        if self.writes.get() < self.at {
            return self.inner.write(bytes);
        }
        if self.writes.get() == self.at {
            self.inner.write(bytes)?;
            // Until its answer begins, the server works.
            self.inner.read(1)?;
        }
        Err(broke())
    }

    fn start_tls(&mut self, options: &TlsOptions) -> Result<(), Fault> {
        self.inner.start_tls(options)
    }
}

impl Log for Breaking {
    fn line(&self, level: Level, message: &str) {
        self.inner.line(level, message);
    }
}

impl Host for Breaking {
    type Secret = FakeSecret;
    type Connection = BreakingConnection;

    fn now_ms(&self) -> u64 {
        self.inner.now_ms()
    }

    fn elapsed(&self) -> Duration {
        self.inner.elapsed()
    }

    fn generate_secret(&self, name: &str, recipe: &Recipe) -> Result<String, Fault> {
        self.inner.generate_secret(name, recipe)
    }

    fn open_secret(&self, name: &str) -> Result<FakeSecret, Fault> {
        self.inner.open_secret(name)
    }

    fn connect(
        &self,
        host: &str,
        port: u16,
        security: &Security,
    ) -> Result<BreakingConnection, Fault> {
        let inner = self.inner.connect(host, port, security)?;
        let (at, writes) = (self.at, Rc::clone(&self.writes));
        Ok(BreakingConnection { inner, at, deaf_after: self.deaf_after, writes })
    }

    fn http(&self, request: &http::Request) -> Result<http::Response, Fault> {
        self.inner.http(request)
    }

    fn random(&self, count: usize) -> Vec<u8> {
        self.inner.random(count)
    }
}
