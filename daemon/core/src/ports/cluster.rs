//! Kubernetes clusters, as the engine sees them.

use std::fmt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observed::ObservedWorkload;
use super::plugins::CallLog;
use crate::Fault;
use crate::drift::ObjectCheck;
use crate::secret::SecretValue;

/// The code of the fault when a cluster does not know who asks: its access may
/// have ended, or never was any.
pub const UNAUTHORIZED: &str = "cluster-unauthorized";

/// How to reach a cluster: what a `k8s-cluster` resource's outputs say, with
/// the secrets among them revealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterAccess {
    /// A kubeconfig's text; its current context is used.
    Kubeconfig(SecretValue),
    /// A server and a bearer token.
    Token {
        /// `https://host:port`.
        server: String,
        /// PEM of the authority that signed the server's certificate.
        ca: Option<String>,
        /// The token.
        token: SecretValue,
    },
    /// The service account of the pod that deployd runs in.
    InCluster,
}

/// A namespace of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Identifies the cluster in messages: the `k8s-cluster` resource's id.
    pub name: String,
    /// How to reach it. Implementations keep a client per access.
    pub access: ClusterAccess,
    /// Where objects that name no namespace go.
    pub namespace: String,
}

/// Names an object in a cluster.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// None for what has no namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, namespace, .. } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

impl ObjectRef {
    /// Whether it is one of Kubernetes' controllers of pods that are to run on.
    pub fn runs_pods(&self) -> bool {
        matches!(self.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
    }

    /// The reference of an object; `None` when it has no apiVersion, kind or name.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }
}

/// Objects with the values of secrets in them: on their way to a cluster and
/// nowhere else. Neither printable nor serialisable.
#[derive(Clone)]
pub struct SensitiveObjects(Vec<Value>);

impl SensitiveObjects {
    /// Wraps objects.
    pub fn new(objects: Vec<Value>) -> Self {
        Self(objects)
    }

    /// The objects, to be sent.
    pub fn expose(&self) -> &[Value] {
        &self.0
    }
}

impl fmt::Debug for SensitiveObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SensitiveObjects({})", self.0.len())
    }
}

/// Objects to apply.
#[derive(Debug, Clone)]
pub struct ApplyRequest {
    /// Where.
    pub target: Target,
    /// What, in any order: what others need goes first (namespaces, custom
    /// resource definitions, quotas, configuration, then what runs).
    pub objects: SensitiveObjects,
    /// Take fields over from other field managers instead of reporting a
    /// conflict.
    pub force: bool,
}

/// Who has applied objects that are in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applier {
    /// deployd.
    Deployd,
    /// Somebody who pulls them from a repository: Argo CD, Flux, or another.
    Puller,
    /// Whoever it was, before deployd does.
    Others,
}

/// Why a workload did not become ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadFault {
    /// The object that was waited for.
    pub object: ObjectRef,
    /// `image-pull-failed`, `crash-loop`, `out-of-memory`,
    /// `init-container-failed`, `create-container-config-error`, `evicted`,
    /// `unschedulable`, `quota-exceeded`, `pods-refused` (by admission),
    /// `progress-deadline`, `not-ready`, `job-failed`, `pod-failed`,
    /// `claim-lost`, `names-not-accepted`, `rollout-aborted`, `gone`.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// States of containers, `pod/container: state, reason, restarts`.
    pub containers: Vec<String>,
    /// Kubernetes events about it and what it owns, oldest first.
    pub events: Vec<String>,
    /// The last log lines of containers that failed.
    pub logs: Vec<LogLines>,
}

/// The last log lines of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLines {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Its last lines, oldest first.
    pub lines: Vec<String>,
}

/// How things were in a namespace at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// States of containers, `pod/container: state, reason, restarts`; those of
    /// pods that are not ready first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Kubernetes events, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// The last log lines of containers that fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLines>,
}

/// What came of waiting for objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Readiness {
    /// All are ready.
    Ready,
    /// Some are not, and won't be, or the deadline has passed.
    Failed(Vec<WorkloadFault>),
}

/// Applies, watches and removes objects in clusters.
///
/// Faults: `transient` when the API server can't be reached, throttles or fails
/// (after retries of its own); `conflict` with each field and its owner in the
/// detail; `denied`; `invalid` with what the API server said.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Applies objects with server-side apply. Waits where one is needed by
    /// another: namespaces until active, custom resource definitions until
    /// established. Returns references in the order of application, with
    /// namespaces filled in.
    async fn apply(&self, request: &ApplyRequest, log: &CallLog) -> Result<Vec<ObjectRef>, Fault>;

    /// Watches objects until all are ready, one fails for good, or the deadline
    /// passes, so many milliseconds from now. Objects of kinds that have no
    /// readiness are ready when they are there.
    async fn await_ready(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        deadline_ms: u64,
        log: &CallLog,
    ) -> Result<Readiness, Fault>;

    /// Watches objects that are there until one of them fails for good, by the
    /// same signs by which [`await_ready`](Self::await_ready) gives up; returns
    /// those that have. Without that it never ends: who has seen enough drops it.
    async fn await_failure(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<WorkloadFault>, Fault>;

    /// Removes objects that our field manager has applied, dependents first,
    /// and waits until they are gone. Objects that are gone already, or that
    /// carry the annotation `deployd.dev/prune: keep`, are passed over; so are
    /// persistent volume claims that don't carry `deployd.dev/prune: delete`.
    /// Returns what was removed.
    async fn prune(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault>;

    /// Compares objects with those that are there, and changes nothing: by what
    /// our field manager has applied, and by a server-side apply as a dry run where
    /// that does not settle it. Fields that the objects do not set are not
    /// compared; of values in Secrets only whether they differ is said.
    ///
    /// What `applier` has applied and the objects do not set any more differs as well,
    /// as far as the cluster tells who has applied what. Of what a puller or others apply it
    /// does not matter whose a field is, nor who has made the object; what others have set
    /// beside it stays, and is no difference.
    ///
    /// Returns each object in the order given. A fault is about all of them: the
    /// cluster can't be reached, or does not let us in.
    async fn compare(
        &self,
        target: &Target,
        objects: &SensitiveObjects,
        applier: Applier,
        log: &CallLog,
    ) -> Result<Vec<ObjectCheck>, Fault>;

    /// Whether the cluster answers, and which version it is; for `doctor`.
    async fn version(&self, target: &Target) -> Result<String, Fault>;

    /// The last `tail` log lines of the containers of a workload's pods.
    async fn logs(
        &self,
        target: &Target,
        object: &ObjectRef,
        tail: usize,
    ) -> Result<Vec<LogLines>, Fault>;

    /// How these objects are, which run pods, and the pods of their current version;
    /// what containers use, where the cluster has its metrics API. In a few requests,
    /// in the order given, and none of an object that is not there.
    async fn observe(
        &self,
        target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<ObservedWorkload>>, Fault>;

    /// These objects as they are, each with all that the API server has of it, in the
    /// order given; none of one that is not there, or whose kind the cluster does not
    /// know. Those that name no namespace are looked for in the target's. Values of
    /// Secrets are left out.
    async fn read(
        &self,
        target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<Value>>, Fault>;

    /// How the pods of these objects are, in the target's namespace, and what
    /// was said about them; in a few requests, however many there are. Values of
    /// Secrets that the pods use are taken out of the lines of their logs.
    async fn snapshot(&self, target: &Target, objects: &[ObjectRef]) -> Result<Snapshot, Fault>;
}
