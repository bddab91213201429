//! Plays the ingress controller: nginx, configured by the route, the Services and
//! the pods that are in the practice cluster.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use deployd_practice::Practice;
use fixtures::nginx::Nginx;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::pods::{WORKLOAD, address};
use crate::daemon::free_port;
use crate::stage::NAMESPACE;

/// How far nginx is behind the cluster, at most: real controllers collect changes
/// for some time.
const BEHIND: Duration = Duration::from_millis(500);

/// The weights of all that a Service leads to are as whole numbers, for up to so
/// many pods.
const PARTS: u64 = 60;

/// Leads requests to pods until it is dropped.
pub(super) struct Gateway {
    pub(super) address: SocketAddr,
    controller: JoinHandle<()>,
}

impl Gateway {
    /// The servers of pods are at this port.
    pub(super) async fn start(practice: Practice, folder: &Path, pods: u16) -> Self {
        let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = folder.to_owned();
        let mut known = configuration(&practice, at, pods);
        let first = known.clone();
        let start = move || Nginx::start(&folder, at, &first).unwrap();
        let nginx = tokio::task::spawn_blocking(start).await.unwrap();
        let controller = tokio::spawn(async move {
            let mut look = tokio::time::interval(BEHIND);
            loop {
                look.tick().await;
                let wanted = configuration(&practice, at, pods);
                if wanted != known {
                    nginx.reload(&wanted).unwrap();
                    known = wanted;
                }
            }
        });
        Self { address: at, controller }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

/// What is inside of `http {}`. Nothing hides what fails: each request is sent
/// once, and no server is left out after a failure.
fn configuration(practice: &Practice, at: SocketAddr, pods: u16) -> String {
    let mut servers = String::new();
    for (service, weight) in backends(practice) {
        let ready = ready(practice, &service);
        for ip in &ready {
            let weight = weight * PARTS / u64::try_from(ready.len()).unwrap();
            if weight > 0 {
                let at = address(ip, pods);
                writeln!(servers, "server {at} weight={weight} max_fails=0;").unwrap();
            }
        }
    }
    if servers.is_empty() {
        return format!("server {{ listen {at}; location / {{ return 503; }} }}");
    }
    format!(
        "upstream pods {{\n{servers}}}\nserver {{ listen {at}; location / {{ proxy_pass \
         http://pods; proxy_next_upstream off; }} }}"
    )
}

/// The Services that the workload's route leads to, with their weights; by its
/// Ingress, where there is no route.
fn backends(practice: &Practice) -> Vec<(String, u64)> {
    let routes = practice.objects().list("httproutes.gateway.networking.k8s.io", NAMESPACE);
    let Some(route) = routes.first() else {
        let ingresses = practice.objects().list("ingresses.networking.k8s.io", NAMESPACE);
        return ingresses.iter().map(|_| (WORKLOAD.to_owned(), 1)).collect();
    };
    let references = route.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array);
    references
        .into_iter()
        .flatten()
        .map(|it| (it["name"].as_str().unwrap().to_owned(), it["weight"].as_u64().unwrap_or(1)))
        .collect()
}

/// The addresses of a Service's pods that are ready.
fn ready(practice: &Practice, service: &str) -> Vec<String> {
    let slices = practice.objects().list("endpointslices.discovery.k8s.io", NAMESPACE);
    let label = "/metadata/labels/kubernetes.io~1service-name";
    let its = slices.iter().filter(|it| it.pointer(label).is_some_and(|it| it == service));
    its.flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default())
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .map(|endpoint| endpoint["addresses"][0].as_str().unwrap().to_owned())
        .collect()
}
