//! The driver before a pair of BIND 9.

use super::bind::{KEYS, Named, Pair, ZONE};
use crate::{Dns, State};
use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::testing::{self, FakeHost};
use deployd_plugin_sdk::{Fault, Pending};
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// How often a test asks again before it gives up; it waits as it is told,
/// though no longer than this.
const ASKS: usize = 600;
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What a test stands on.
pub(super) struct Stage {
    pub(super) pair: Pair,
    pub(super) inputs: Value,
    pub(super) params: Value,
    pub(super) state: Option<State>,
    pub(super) uid: &'static str,
    /// Where updates go, if not to the primary.
    pub(super) through: Option<u16>,
    /// Seconds that our clock is ahead.
    pub(super) ahead: i64,
    pub(super) secret: &'static str,
    _folder: TempDir,
}

impl Stage {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = Pair::start(folder.path()).unwrap();
        let (primary, secondary) = (pair.primary.port, pair.secondary.port);
        let inputs = json!({
            "server": "127.0.0.1",
            "zone": ZONE,
            "key": {"name": KEYS[0].0, "algorithm": KEYS[0].1, "secret": "key"},
            "name": "shop.apps.example.com",
            "records": {"A": ["192.0.2.10"]},
            "authoritative_servers": [
                {"server": "127.0.0.1", "port": primary},
                {"server": "127.0.0.1", "port": secondary},
            ],
        });
        Self {
            pair,
            inputs,
            params: json!({}),
            state: None,
            uid: "0123456789abcdef",
            through: None,
            ahead: 0,
            secret: KEYS[0].2,
            _folder: folder,
        }
    }

    /// Another definition.
    pub(super) fn with(&mut self, key: &str, value: Value) -> &mut Self {
        self.inputs[key] = value;
        self
    }

    pub(super) fn host(&self) -> FakeHost {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let now = i64::try_from(now).unwrap() + self.ahead * 1000;
        let mut host =
            FakeHost::new().grant_secret("key", self.secret).at_ms(u64::try_from(now).unwrap());
        for port in [Some(self.pair.primary.port), Some(self.pair.secondary.port), self.through] {
            host = port.into_iter().fold(host, |host, port| host.grant_host("127.0.0.1", port));
        }
        host
    }

    pub(super) fn request(&self) -> Request<Dns> {
        let mut inputs = self.inputs.clone();
        inputs["port"] = json!(self.through.unwrap_or(self.pair.primary.port));
        let mut request = testing::request::<Dns>(&self.params, &inputs).unwrap();
        request.uid = self.uid.to_owned();
        request.state = self.state.clone();
        request
    }

    pub(super) fn plan(&self) -> Result<Planned, Fault> {
        Dns::plan(&self.request(), &self.host())
    }

    /// What a plan says that it would do.
    pub(super) fn action(&self) -> Action {
        self.plan().unwrap().action
    }

    /// One call.
    pub(super) fn call(&self, token: Option<&str>) -> Result<Progress<State>, Fault> {
        Dns::provision(&self.request(), token, &self.host())
    }

    /// Calls until it is there everywhere, as the daemon does, and keeps the state.
    pub(super) fn provision(&mut self) -> Result<Provisioned<State>, Fault> {
        let mut token = None;
        for _ in 0..ASKS {
            match self.call(token.as_deref())? {
                Progress::Done(provisioned) => {
                    self.state = Some(provisioned.state.clone());
                    return Ok(provisioned);
                }
                Progress::Pending(pending) => token = Some(wait(pending)),
            }
        }
        panic!("it is never there");
    }

    pub(super) fn destroy(&mut self) -> Result<(), Fault> {
        let mut token = None;
        for _ in 0..ASKS {
            match Dns::destroy(&self.request(), token.as_deref(), &self.host())? {
                Removal::Done => {
                    self.state = None;
                    return Ok(());
                }
                Removal::Pending(pending) => token = Some(wait(pending)),
            }
        }
        panic!("it is never gone");
    }

    pub(super) fn observe(&self) -> Result<Option<Value>, Fault> {
        Dns::observe(&self.request(), &self.host())
    }

    /// What both servers say; they have to say the same.
    pub(super) fn dig(&self, name: &str, kind: &str) -> Vec<String> {
        let dig = |server: &Named| server.dig(&[name, kind]).unwrap();
        let told = dig(&self.pair.primary);
        assert_eq!(told, dig(&self.pair.secondary), "{name} {kind}");
        told
    }

    /// The same of the primary alone.
    pub(super) fn primary(&self, name: &str, kind: &str) -> Vec<String> {
        self.pair.primary.dig(&[name, kind]).unwrap()
    }
}

fn wait(pending: Pending) -> String {
    assert!(pending.poll_after >= Duration::from_secs(1), "{pending:?}");
    thread::sleep(pending.poll_after.min(PAUSE_MAX));
    pending.token
}

/// What a provision is refused with.
pub(super) fn refused(result: Result<impl Sized, Fault>) -> Fault {
    result.err().expect("it should be refused")
}
