//! Whether an object is ready: a pure question about what the API server says.

mod custom;
mod deployment;
mod job;
mod pod;
mod puller;
mod replicas;
mod serving;
mod statefulset;
mod stepped;

use std::collections::BTreeMap;

use deployd_core::config::PullerKind;
use serde_json::Value;

use crate::fields::{group_of, kind, text_or_empty};

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It does what it is for.
    Ready,
    /// It is on its way; how far, for a person.
    Progressing(String),
    /// It will not become ready by itself.
    Failed(Reason),
}

/// Why an object won't become ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// As in [`WorkloadFault::reason`](deployd_core::ports::WorkloadFault).
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

impl State {
    fn progressing(text: impl Into<String>) -> Self {
        Self::Progressing(text.into())
    }

    fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed(Reason { code, message: message.into() })
    }
}

/// Whether the object is ready. `pods` are those of its current version; they
/// explain what it waits for.
pub fn readiness(object: &Value, pods: &[&Value]) -> State {
    let state = match (group_of(text_or_empty(object, "/apiVersion")), kind(object)) {
        ("apps", "Deployment") => deployment::readiness(object),
        ("apps", "StatefulSet") => statefulset::readiness(object),
        ("apps", "DaemonSet") => replicas::daemon_set(object),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replicas::replica_set(object),
        ("batch", "Job") => job::readiness(object),
        ("", "Pod") => return pod::readiness(object),
        ("", "PersistentVolumeClaim") => serving::claim(object),
        ("", "Service") => serving::service(object),
        ("", "Namespace") => serving::namespace(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => serving::definition(object),
        ("apiregistration.k8s.io", "APIService") => serving::api_service(object),
        ("argoproj.io", "Rollout") => stepped::rollout(object),
        ("flagger.app", "Canary") => stepped::canary(object),
        ("argoproj.io", "Application") => puller::readiness(PullerKind::ArgoCd, object),
        ("kustomize.toolkit.fluxcd.io", "Kustomization") => {
            puller::readiness(PullerKind::FluxKustomization, object)
        }
        ("helm.toolkit.fluxcd.io", "HelmRelease") => {
            puller::readiness(PullerKind::FluxHelmRelease, object)
        }
        (group, kind) if is_there_enough(group, kind) => State::Ready,
        _ => custom::readiness(object),
    };
    match state {
        State::Progressing(text) => State::Progressing(match waiting(pods) {
            None => text,
            Some(waiting) => format!("{text} ({waiting})"),
        }),
        decided => decided,
    }
}

/// Built-in kinds that are ready when they are there: either they have no
/// status, or it says nothing about whether they can be used.
pub(crate) fn is_there_enough(group: &str, kind: &str) -> bool {
    match group {
        "" => !matches!(
            kind,
            "Pod" | "Service" | "Namespace" | "PersistentVolumeClaim" | "ReplicationController"
        ),
        "batch" => kind == "CronJob",
        "apps" => kind == "ControllerRevision",
        "apiextensions.k8s.io" | "apiregistration.k8s.io" => false,
        // An ingress works through its controller's own address as well; an
        // autoscaler without metrics does no harm to what it scales.
        "networking.k8s.io" | "autoscaling" | "policy" => true,
        "rbac.authorization.k8s.io"
        | "scheduling.k8s.io"
        | "storage.k8s.io"
        | "node.k8s.io"
        | "coordination.k8s.io"
        | "discovery.k8s.io"
        | "admissionregistration.k8s.io" => true,
        _ => false,
    }
}

/// What the pods that are not ready wait for: "2 pods ContainerCreating".
fn waiting(pods: &[&Value]) -> Option<String> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in pods.iter().filter_map(|pod| pod::waits_for(pod)) {
        *reasons.entry(reason).or_default() += 1;
    }
    let listed: Vec<String> = reasons
        .into_iter()
        .map(|(reason, pods)| format!("{pods} pod{} {reason}", if pods == 1 { "" } else { "s" }))
        .collect();
    (!listed.is_empty()).then(|| listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_without_readiness_are_ready_when_there() {
        for (version, kind) in [
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            ("v1", "ServiceAccount"),
            ("networking.k8s.io/v1", "Ingress"),
            ("batch/v1", "CronJob"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("example.com/v1", "Widget"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ] {
            let object =
                json!({"apiVersion": version, "kind": kind, "metadata": {"generation": 1}});
            assert_eq!(readiness(&object, &[]), State::Ready, "{kind}");
        }
    }

    #[test]
    fn pods_explain_the_wait() {
        let creating = json!({"kind": "Pod", "status": {"phase": "Pending", "containerStatuses": [
            {"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}}
        ]}});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2},
            "status": {"updatedReplicas": 2, "replicas": 2}});
        assert_eq!(
            readiness(&object, &[&creating, &creating]),
            State::progressing("2 of 2 replicas updated, 0 available (2 pods ContainerCreating)")
        );
    }
}
