//! Plays the kubelet of the practice cluster, whose pods have no processes: each
//! pod of the frontend gets a server of its own, is ready when that listens, and
//! gone when it is told to end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use deployd_practice::{Behaviour, PodMatch, Practice};
use fixtures::nginx::Nginx;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::app::{App, Manners};
use crate::stage::NAMESPACE;

/// The label that says which workload a pod is of.
const NAME: &str = "/metadata/labels/app.kubernetes.io~1name";

/// The workload whose pods have servers.
pub(super) const WORKLOAD: &str = "frontend";

/// Between two looks at the pods.
const LOOK: Duration = Duration::from_millis(10);

/// What runs in pods.
#[derive(Clone)]
pub(super) enum Kind {
    /// A process that says which version it is; its files are below this folder.
    Process(PathBuf),
    /// A server that tells Prometheus what it does, and where it is by this file.
    Measured(Manners, PathBuf),
}

/// What runs in one pod. Dropped, it ends once all is answered that was begun.
enum Running {
    Process { _it: Nginx },
    Measured { _it: App },
}

impl Kind {
    async fn start(&self, pod: &Value, at: SocketAddr) -> Running {
        let version = version(pod);
        match self {
            Self::Process(folder) => {
                let folder = folder.join(pod["metadata"]["name"].as_str().unwrap());
                let inside =
                    format!("server {{ listen {at}; location / {{ return 200 {version}; }} }}");
                let start = move || Nginx::start(&folder, at, &inside).unwrap();
                Running::Process { _it: tokio::task::spawn_blocking(start).await.unwrap() }
            }
            Self::Measured(manners, _) => {
                Running::Measured { _it: App::start(at, version, manners.clone()).await }
            }
        }
    }

    /// Tells Prometheus which pods there are, with the labels that its own discovery
    /// gives them in a cluster, which Debian leaves out.
    fn tell(&self, pods: &BTreeMap<&str, &Value>, port: u16) {
        let Self::Measured(_, file) = self else { return };
        let target = |(name, pod): (&&str, &&Value)| {
            let ip = pod["status"]["podIP"].as_str()?;
            Some(json!({"targets": [address(ip, port)], "labels": {
                "namespace": NAMESPACE, "app": WORKLOAD, "pod": name,
                "track": pod["metadata"]["labels"]["deployd.dev/track"],
            }}))
        };
        let targets: Vec<Value> = pods.iter().filter_map(target).collect();
        // Whole or not at all, whenever it is read.
        let new = file.with_extension("new");
        std::fs::write(&new, json!(targets).to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }
}

/// Which of the sample's images runs in a pod: the digit that its digest consists of.
fn version(pod: &Value) -> char {
    let image = pod.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap();
    image.chars().last().unwrap()
}

/// Where the server of the pod with this address in the cluster really is: all of
/// 127.0.0.0/8 is the loopback interface.
pub(super) fn address(pod: &str, port: u16) -> SocketAddr {
    let [_, rest @ ..] = pod.parse::<Ipv4Addr>().unwrap().octets();
    let [second, third, fourth] = rest;
    SocketAddr::from(([127, second, third, fourth], port))
}

/// Runs pods until it is dropped.
pub(super) struct Node(JoinHandle<()>);

impl Node {
    /// The servers listen at this port, each at an address of its own.
    pub(super) fn start(practice: Practice, port: u16, kind: Kind) -> Self {
        let ours = PodMatch::any().label("app.kubernetes.io/name", WORKLOAD);
        practice.behaviours().set(ours, Behaviour::NeverReady);
        Self(tokio::spawn(async move {
            let mut running: BTreeMap<String, Running> = BTreeMap::new();
            let mut look = tokio::time::interval(LOOK);
            loop {
                look.tick().await;
                let pods: Vec<_> = practice.objects().list("pods", NAMESPACE);
                let wanted: BTreeMap<&str, &Value> = pods
                    .iter()
                    .filter(|pod| pod.pointer(NAME).is_some_and(|name| name == WORKLOAD))
                    .filter(|pod| pod["status"]["phase"] == "Running")
                    .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
                    .map(|pod| (pod["metadata"]["name"].as_str().unwrap(), &**pod))
                    .collect();
                let known: BTreeSet<String> = running.keys().cloned().collect();
                if !known.iter().eq(wanted.keys()) {
                    kind.tell(&wanted, port);
                }
                for name in known.iter().filter(|name| !wanted.contains_key(name.as_str())) {
                    let ended = running.remove(name);
                    // It may have to wait for the last request.
                    tokio::task::spawn_blocking(move || drop(ended));
                }
                for (name, pod) in wanted.iter().filter(|(name, _)| !known.contains(**name)) {
                    let Some(ip) = pod["status"]["podIP"].as_str() else { continue };
                    let started = kind.start(pod, address(ip, port)).await;
                    running.insert((*name).to_owned(), started);
                    let ready = Behaviour::Ready { after: Duration::ZERO };
                    practice.behaviours().set(PodMatch::any().name(*name), ready);
                }
            }
        }))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.0.abort();
    }
}
