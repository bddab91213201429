//! What a cluster says of objects that run pods, as checks are told it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ObjectRef;
use crate::Fault;

/// An object that runs pods, and the pods of its current version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ObservedWorkload {
    /// Which; with its namespace.
    pub object: ObjectRef,
    /// Pods that are wanted.
    pub replicas: u64,
    /// Pods that are ready.
    pub ready: u64,
    /// The conditions of its status.
    pub conditions: Vec<ObservedCondition>,
    /// The pods of its current version, those on their way out left out.
    pub pods: Vec<ObservedPod>,
}

/// What was observed of objects that all should be there, in their order; a fault that
/// names the first one that is not.
pub fn all_there(
    objects: &[ObjectRef],
    observed: Vec<Option<ObservedWorkload>>,
) -> Result<Vec<ObservedWorkload>, Fault> {
    let there = objects.iter().zip(observed).map(|(object, observed)| {
        observed.ok_or_else(|| {
            let message = format!("{object} is not in the cluster: something else has deleted it");
            Fault::invalid("not-found", message)
        })
    });
    there.collect()
}

/// A condition of a status, as Kubernetes has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ObservedCondition {
    /// `Available`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word for programs; may be empty.
    pub reason: String,
    /// A sentence for people; may be empty.
    pub message: String,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ObservedPod {
    /// Its name.
    pub name: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Whether it gets traffic.
    pub ready: bool,
    /// Its containers.
    pub containers: Vec<ObservedContainer>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ObservedContainer {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// `running`, `waiting` or `terminated`.
    pub state: String,
    /// Why it waits or has ended: `CrashLoopBackOff`, `OOMKilled`; may be empty.
    pub reason: String,
    /// Cores that it uses; none where the cluster has no metrics of it.
    pub cpu: Option<f64>,
    /// Cores that it may use; none without a limit.
    pub cpu_limit: Option<f64>,
    /// Bytes that it uses; none where the cluster has no metrics of it.
    pub memory: Option<f64>,
    /// Bytes that it may use; none without a limit.
    pub memory_limit: Option<f64>,
}
