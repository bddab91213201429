//! The port: every call gets a session and goes where its subject lives.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::drift::ObjectCheck;
use deployd_core::ports::{
    Applier, ApplyRequest, CallLog, Cluster, LogLines, ObjectRef, ObservedWorkload, Readiness,
    SensitiveObjects, Snapshot, Target, WorkloadFault,
};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::{Clients, Session};
use crate::faults::{self, Doing};
use crate::fields::text;
use crate::options::ClusterOptions;
use crate::request::Ask;
use crate::within;

/// Whoever asks for the version wants to know how it is now, not how it will be
/// in a while; a kept connection that broke meanwhile is forgiven.
const VERSION_BUDGET: Duration = Duration::from_secs(3);

/// Kubernetes clusters, reached through their API servers.
///
/// One for all clusters: a client per access is kept. Belongs to the tokio
/// runtime in which it is first used.
pub struct KubeCluster {
    options: Arc<ClusterOptions>,
    clients: Clients,
}

impl KubeCluster {
    /// With these settings; connects to nothing yet.
    pub fn new(options: ClusterOptions) -> Self {
        Self { options: Arc::new(options), clients: Clients::default() }
    }

    /// The same, with every access leading to this client: for tests, whose
    /// clusters need not be reachable by a network.
    pub fn over(options: ClusterOptions, client: kube::Client) -> Self {
        Self { options: Arc::new(options), clients: Clients::over(client) }
    }

    /// The same, with every access leading to an API server in this process, which
    /// lets in who has the token. Each request takes a connection of its own.
    ///
    /// # Errors
    ///
    /// When the token can't stand in a header.
    pub fn within<C>(
        options: ClusterOptions,
        token: &str,
        connect: impl Fn() -> std::io::Result<C> + Send + Sync + 'static,
    ) -> Result<Self, Fault>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let client = within::client(token, connect).map_err(|error| {
            Fault::invalid("cluster-token", format!("the token can't be sent: {error}"))
        })?;
        Ok(Self::over(options, client))
    }
}

impl KubeCluster {
    /// A session with a target's cluster.
    pub(crate) async fn session(&self, target: &Target) -> Result<Session, Fault> {
        self.clients.session(target, &self.options).await
    }
}

impl Default for KubeCluster {
    fn default() -> Self {
        Self::new(ClusterOptions::default())
    }
}

impl std::fmt::Debug for KubeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeCluster").field("options", &self.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    async fn apply(&self, request: &ApplyRequest, log: &CallLog) -> Result<Vec<ObjectRef>, Fault> {
        let session = self.session(&request.target).await?;
        session.apply(request, log).await
    }

    async fn await_ready(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        deadline_ms: u64,
        log: &CallLog,
    ) -> Result<Readiness, Fault> {
        let session = self.session(target).await?;
        session.await_ready(&target.namespace, objects, deadline_ms, log).await
    }

    async fn await_failure(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<WorkloadFault>, Fault> {
        let session = self.session(target).await?;
        session.await_failure(&target.namespace, objects, log).await
    }

    async fn prune(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault> {
        let session = self.session(target).await?;
        session.prune(&target.namespace, objects, log).await
    }

    async fn compare(
        &self,
        target: &Target,
        objects: &SensitiveObjects,
        applier: Applier,
        log: &CallLog,
    ) -> Result<Vec<ObjectCheck>, Fault> {
        let session = self.clients.session(target, &self.options).await?;
        session.compare(&target.namespace, objects, applier, log).await
    }

    async fn version(&self, target: &Target) -> Result<String, Fault> {
        let session = self.session(target).await?;
        let doing = Doing { cluster: &target.name, verb: "ask", object: None };
        let answer = session
            .ask_within(&Ask::get("/version"), VERSION_BUDGET)
            .await
            .map_err(|failure| faults::fault(&failure, doing))?;
        match text(&answer.body, "/gitVersion") {
            Some(version) => Ok(version.to_owned()),
            None => Err(Fault::permanent(
                "cluster-answer-unreadable",
                format!("What answers as cluster {} is no Kubernetes API server.", target.name),
            )),
        }
    }

    async fn logs(
        &self,
        target: &Target,
        object: &ObjectRef,
        tail: usize,
    ) -> Result<Vec<LogLines>, Fault> {
        let session = self.session(target).await?;
        session.logs(&target.namespace, object, tail).await
    }

    async fn observe(
        &self,
        target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<ObservedWorkload>>, Fault> {
        let session = self.session(target).await?;
        session.observe(&target.namespace, objects).await
    }

    async fn read(
        &self,
        target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<Value>>, Fault> {
        let session = self.session(target).await?;
        session.read(&target.namespace, objects).await
    }

    async fn snapshot(&self, target: &Target, objects: &[ObjectRef]) -> Result<Snapshot, Fault> {
        let session = self.session(target).await?;
        session.snapshot(&target.namespace, objects).await
    }
}
