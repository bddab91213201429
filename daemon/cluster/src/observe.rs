//! How objects that run pods are, for checks: a handful of requests, whatever
//! there is.

use std::collections::HashMap;
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{
    ObjectRef, ObservedCondition, ObservedContainer, ObservedPod, ObservedWorkload,
};
use serde_json::Value;

use crate::client::Session;
use crate::discovery::Resource;
use crate::faults::{self, Doing};
use crate::fields::{count, holds, items, name, text_or_empty};
use crate::ownership::family;
use crate::quantity::quantity;
use crate::request::{Ask, with_query};

/// Pods and replica sets that are asked for: those of the largest namespaces that
/// one application has.
const LIST_MAX: &str = "500";

/// Each request is tried again for so long. A check that can't be measured is
/// measured again later.
const BUDGET: Duration = Duration::from_secs(3);

/// What a container uses: cores and bytes.
type Usage = HashMap<(String, String), (Option<f64>, Option<f64>)>;

impl Session {
    /// See [`Cluster::observe`](deployd_core::ports::Cluster::observe).
    pub(crate) async fn observe(
        &self,
        namespace: &str,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<ObservedWorkload>>, Fault> {
        let list = async |resource: Resource| {
            let path = with_query(&resource.path(Some(namespace)), &[("limit", LIST_MAX)]);
            let listed = self.ask_within(&Ask::get(path), BUDGET).await;
            let doing = Doing { cluster: &self.cluster, verb: "list", object: None };
            let answer: Value = listed.map_err(|failure| faults::fault(&failure, doing))?.body;
            Ok::<Vec<Value>, Fault>(items(&answer, "/items").to_vec())
        };
        let (pods, sets, usage) = tokio::join!(
            list(Resource::core("Pod", "pods")),
            list(Resource::apps("ReplicaSet", "replicasets")),
            self.usage(namespace),
        );
        let (pods, sets) = (pods?, sets?);
        let mut observed = Vec::with_capacity(objects.len());
        for object in objects {
            let mut object = object.clone();
            object.namespace.get_or_insert_with(|| namespace.to_owned());
            let resource = self.known_resource(&object.api_version, &object.kind).await?;
            let found = self.ask_within(&Ask::get(resource.item(&object)), BUDGET).await;
            let doing = Doing { cluster: &self.cluster, verb: "read", object: Some(&object) };
            let found: Value = match found {
                Ok(found) => found.body,
                Err(failure) if failure.is_not_found() => {
                    observed.push(None);
                    continue;
                }
                Err(failure) => return Err(faults::fault(&failure, doing)),
            };
            let family = family(&found, sets.iter(), pods.iter());
            let pods: Vec<ObservedPod> = family.pods.iter().map(|it| pod(it, &usage)).collect();
            observed.push(Some(ObservedWorkload {
                object,
                replicas: replicas(&found),
                ready: u64::try_from(pods.iter().filter(|pod| pod.ready).count()).unwrap_or(0),
                conditions: items(&found, "/status/conditions").iter().map(condition).collect(),
                pods,
            }));
        }
        Ok(observed)
    }

    /// What containers of a namespace use, by pod and container; nothing where the
    /// cluster has no metrics API, or does not let us ask it.
    async fn usage(&self, namespace: &str) -> Usage {
        let metrics = Resource {
            api_version: "metrics.k8s.io/v1beta1".to_owned(),
            kind: "PodMetrics".to_owned(),
            plural: "pods".to_owned(),
            namespaced: true,
        };
        let path = metrics.path(Some(namespace));
        let Ok(listed) = self.ask_within(&Ask::get(path), Duration::ZERO).await else {
            return Usage::new();
        };
        let mut usage = Usage::new();
        for pod in items(&listed.body, "/items") {
            for container in items(pod, "/containers") {
                let of = |pointer| quantity(text_or_empty(container, pointer));
                let place = (name(pod).to_owned(), text_or_empty(container, "/name").to_owned());
                usage.insert(place, (of("/usage/cpu"), of("/usage/memory")));
            }
        }
        usage
    }
}

/// Wanted pods: a daemon set's are as many as there are nodes for them.
fn replicas(object: &Value) -> u64 {
    let wanted = object
        .pointer("/spec/replicas")
        .or_else(|| object.pointer("/status/desiredNumberScheduled"))
        .and_then(Value::as_u64);
    wanted.unwrap_or(1)
}

fn condition(condition: &Value) -> ObservedCondition {
    let text = |pointer| text_or_empty(condition, pointer).to_owned();
    ObservedCondition {
        r#type: text("/type"),
        status: text("/status"),
        reason: text("/reason"),
        message: text("/message"),
    }
}

fn pod(pod: &Value, usage: &Usage) -> ObservedPod {
    let statuses = items(pod, "/status/containerStatuses");
    let containers = items(pod, "/spec/containers").iter().map(|spec| {
        let own = text_or_empty(spec, "/name");
        let status = statuses.iter().find(|status| text_or_empty(status, "/name") == own);
        container(name(pod), spec, status.unwrap_or(&Value::Null), usage)
    });
    ObservedPod {
        name: name(pod).to_owned(),
        phase: text_or_empty(pod, "/status/phase").to_owned(),
        ready: holds(pod, "Ready"),
        containers: containers.collect(),
    }
}

fn container(pod: &str, spec: &Value, status: &Value, usage: &Usage) -> ObservedContainer {
    let own = text_or_empty(spec, "/name").to_owned();
    let state = status.pointer("/state").and_then(Value::as_object);
    let state = state.and_then(|state| state.iter().next());
    let limit = |of| quantity(text_or_empty(spec, of));
    let (cpu, memory) = usage.get(&(pod.to_owned(), own.clone())).copied().unwrap_or_default();
    ObservedContainer {
        name: own,
        ready: status.pointer("/ready").and_then(Value::as_bool).unwrap_or_default(),
        restarts: u64::try_from(count(status, "/restartCount")).unwrap_or(0),
        state: state.map_or_else(|| "waiting".to_owned(), |(state, _)| state.clone()),
        reason: state
            .map(|(_, detail)| text_or_empty(detail, "/reason").to_owned())
            .unwrap_or_default(),
        cpu,
        cpu_limit: limit("/resources/limits/cpu"),
        memory,
        memory_limit: limit("/resources/limits/memory"),
    }
}
