//! The network of drivers: as granted, limited, and recorded on the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use deployd_core::config::{Grant, HostGrant, LimitOverrides, PluginKind};
use deployd_core::egress::find;
use deployd_core::ports::{
    Access, Call, CallLog, Connection, Destination, Drivers, Egress, EgressError, Exchange,
    Exchanged, Progress, Scheme, Security, TlsOptions, Use, UseOutcome, Uses,
};
use deployd_core::{Fault, FaultClass};

use crate::secrets::request;
use crate::support::{Stage, component, scope};

/// A way out on which everybody says what is said to them. What is not granted
/// is refused as the real one does; when told to, answers never come.
#[derive(Default)]
pub struct Loopback {
    pub opened: AtomicUsize,
    pub open: Arc<AtomicUsize>,
    pub hangs: AtomicBool,
}

struct Echo {
    heard: Vec<u8>,
    hangs: bool,
    destination: Destination,
    uses: Arc<dyn Uses>,
    open: Arc<AtomicUsize>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.uses.record(Use {
            destination: Some(self.destination.clone()),
            address: None,
            method: None,
            millis: 1,
            sent: 4,
            received: 4,
            outcome: UseOutcome::Closed,
        });
    }
}

#[async_trait]
impl Connection for Echo {
    async fn read(&mut self, max: usize) -> Result<Vec<u8>, EgressError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let many = max.min(self.heard.len());
        Ok(self.heard.drain(..many).collect())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), EgressError> {
        self.heard.extend_from_slice(bytes);
        Ok(())
    }

    async fn start_tls(&mut self, _: &TlsOptions) -> Result<(), EgressError> {
        Ok(())
    }
}

#[async_trait]
impl Egress for Loopback {
    async fn connect(
        &self,
        access: &Access,
        host: &str,
        port: u16,
        _: &Security,
    ) -> Result<Box<dyn Connection>, EgressError> {
        let host = host.parse().unwrap();
        let destination = Destination { scheme: Scheme::Tcp, host, port };
        find(&access.grants, &destination)?;
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Echo {
            heard: Vec::new(),
            hangs: self.hangs.load(Ordering::SeqCst),
            destination,
            uses: access.uses.clone(),
            open: self.open.clone(),
        }))
    }

    async fn exchange(&self, _: &Access, _: Exchange) -> Result<Exchanged, EgressError> {
        unreachable!("the tests of HTTP have a real broker")
    }
}

const ASKS: &str = "[asks]\nhosts = ['tcp://db.internal:5432']\n";

fn grant() -> Grant {
    let host = HostGrant {
        host: "db.internal".into(),
        port: 5432,
        scheme: "tcp".into(),
        private_address: true,
        ..HostGrant::default()
    };
    Grant { hosts: vec![host], ..Grant::default() }
}

pub async fn provisioned(
    stage: &Stage,
    fixture: &str,
    asks: &str,
    grant: &Grant,
) -> (Result<(), Fault>, Vec<String>) {
    let bytes = component(fixture);
    let info = stage.register(fixture, &bytes, PluginKind::Driver, asks, grant).await.unwrap();
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &info.plugin, scope: &scope, log: &log };
    let result = stage.host.provision(call, &request(), None).await;
    let lines = log.take().into_iter().map(|line| line.message).collect();
    let done = result.map(|progress| assert!(matches!(progress, Progress::Done(_))));
    (done, lines)
}

#[tokio::test]
async fn a_driver_speaks_to_whom_it_is_granted() {
    let stage = Stage::new();
    let (done, lines) = provisioned(&stage, "driver-connects", ASKS, &grant()).await;
    done.unwrap();
    let used = "tcp://db.internal:5432: 1 ms, 4 bytes sent, 4 received, closed";
    assert_eq!(lines, ["ping", used]);
    // What it leaves open is closed with its call.
    assert_eq!(stage.egress.open.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_host_is_asked_for_and_granted_both() {
    let stage = Stage::new();
    // Granted, and not asked for.
    let (refused, _) = provisioned(&stage, "driver-connects", "", &grant()).await;
    let fault = refused.unwrap_err();
    assert_eq!(fault.code, "plugin-denied");
    assert!(fault.message.ends_with("granted are: none"), "{fault}");
    // Asked for, and not granted.
    let bytes = component("driver-connects");
    let kind = PluginKind::Driver;
    let refused = stage.register("a", &bytes, kind, ASKS, &Grant::default()).await.unwrap_err();
    assert!(refused.to_string().contains("grant.hosts"), "{refused}");
    // Another one.
    let mut other = grant();
    other.hosts[0].host = "other.internal".into();
    let asks = "[asks]\nhosts = ['other.internal']\n";
    let (refused, _) = provisioned(&stage, "driver-connects", asks, &other).await;
    assert_eq!(refused.unwrap_err().code, "plugin-denied");
    assert_eq!(stage.egress.opened.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn connections_of_a_call_are_limited() {
    let stage = Stage::new();
    let (refused, lines) = provisioned(&stage, "driver-connects-often", ASKS, &grant()).await;
    let fault = refused.unwrap_err();
    assert_eq!(fault.code, "plugin-denied", "{fault}");
    assert!(fault.message.contains("a call may open 16 connections"), "{fault}");
    assert_eq!((stage.egress.opened.load(Ordering::SeqCst), lines.len()), (16, 16));
    assert_eq!(stage.egress.open.load(Ordering::SeqCst), 0);
}

/// A guest hears in time that its server says nothing, and is no worse for it.
#[tokio::test]
async fn a_server_that_says_nothing_is_no_strike() {
    let stage = Stage::new();
    stage.egress.hangs.store(true, Ordering::SeqCst);
    let limits = LimitOverrides { wall_ms: Some(200), ..LimitOverrides::default() };
    let grant = Grant { limits, ..grant() };
    let bytes = component("driver-connects");
    let kind = PluginKind::Driver;
    let info = stage.register("slow", &bytes, kind, ASKS, &grant).await.unwrap();
    let (scope, log) = (scope(), CallLog::default());
    for _ in 0..4 {
        let call = Call { plugin: &info.plugin, scope: &scope, log: &log };
        let fault = stage.host.provision(call, &request(), None).await.unwrap_err();
        assert_eq!(fault.code, "plugin-unavailable", "{fault}");
        assert_eq!(fault.class, FaultClass::Transient);
        assert!(fault.message.contains("the time of this call is over"), "{fault}");
    }
    let status = stage.host.status();
    assert_eq!((status[0].strikes, status[0].quarantined_until), (0, None));
}
