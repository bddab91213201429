//! What a cluster says of the pods of what is checked.

use serde::Deserialize;

/// An object that runs pods, such as a Deployment, and the pods of its current
/// version.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Observed {
    /// Which.
    pub object: Object,
    /// Pods that are wanted.
    #[serde(default)]
    pub replicas: u64,
    /// Pods that are ready.
    #[serde(default)]
    pub ready: u64,
    /// The conditions of its status.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Its pods, those on their way out left out.
    #[serde(default)]
    pub pods: Vec<Pod>,
}

/// Names an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// `Deployment`.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// A condition of a status, as Kubernetes has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Condition {
    /// `Available`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    #[serde(default)]
    pub status: String,
    /// A word for programs; may be empty.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people; may be empty.
    #[serde(default)]
    pub message: String,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(default)]
    pub phase: String,
    /// Whether it gets traffic.
    #[serde(default)]
    pub ready: bool,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<Container>,
}

/// A container of a pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    #[serde(default)]
    pub ready: bool,
    /// How often it was started again.
    #[serde(default)]
    pub restarts: u64,
    /// `running`, `waiting` or `terminated`.
    #[serde(default)]
    pub state: String,
    /// Why it waits or has ended: `CrashLoopBackOff`; may be empty.
    #[serde(default)]
    pub reason: String,
    /// Cores that it uses; none where the cluster has no metrics of it.
    #[serde(default)]
    pub cpu: Option<f64>,
    /// Cores that it may use; none without a limit.
    #[serde(default)]
    pub cpu_limit: Option<f64>,
    /// Bytes that it uses; none where the cluster has no metrics of it.
    #[serde(default)]
    pub memory: Option<f64>,
    /// Bytes that it may use; none without a limit.
    #[serde(default)]
    pub memory_limit: Option<f64>,
}
