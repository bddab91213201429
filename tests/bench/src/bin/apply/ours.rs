//! The daemon's client of clusters.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use deployd_cluster::{ClusterOptions, KubeCluster};
use deployd_core::Fault;
use deployd_core::ports::{
    ApplyRequest, CallLog, Cluster, ClusterAccess, ObjectRef, SensitiveObjects, Target,
};
use deployd_core::secret::SecretValue;
use serde_json::{Value, json};

pub(crate) struct Ours {
    kubeconfig: Vec<u8>,
    objects: Vec<Value>,
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn failed(fault: Fault) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", fault.code, fault.message)
}

impl Ours {
    pub(crate) fn new(kubeconfig: &Path, objects: Vec<Value>) -> anyhow::Result<Self> {
        let kubeconfig = std::fs::read(kubeconfig).context("reading the kubeconfig")?;
        Ok(Self { kubeconfig, objects })
    }

    fn target(&self, namespace: &str) -> Target {
        Target {
            name: "bench".to_owned(),
            access: ClusterAccess::Kubeconfig(SecretValue::new(self.kubeconfig.clone())),
            namespace: namespace.to_owned(),
        }
    }

    /// Which version the API server says it is.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        KubeCluster::default().version(&self.target("default")).await.map_err(failed)
    }

    /// Makes a namespace.
    pub(crate) async fn begin(&self, namespace: &str) -> anyhow::Result<()> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace}});
        self.send(&KubeCluster::default(), namespace, vec![object]).await
    }

    /// Removes it with all that is in it.
    pub(crate) async fn end(&self, namespace: &str) -> anyhow::Result<()> {
        let object = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: namespace.to_owned(),
        };
        let target = self.target(namespace);
        let removed = KubeCluster::default().prune(&target, &[object], &CallLog::default()).await;
        removed.map(|_| ()).map_err(failed)
    }

    /// Applies all, with a client that knows nothing yet.
    pub(crate) async fn apply(&self, namespace: &str) -> anyhow::Result<Duration> {
        let objects = self.objects.clone();
        let begun = Instant::now();
        self.send(&KubeCluster::default(), namespace, objects).await?;
        Ok(begun.elapsed())
    }

    /// The same, as new objects, one request at a time.
    pub(crate) async fn apply_in_turn(&self, namespace: &str) -> anyhow::Result<Duration> {
        let mut objects = self.objects.clone();
        for object in &mut objects {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let name = format!("{name}-again");
            if let Some(place) = object.pointer_mut("/metadata/name") {
                *place = json!(name);
            }
        }
        let options = ClusterOptions { parallel: 1, ..ClusterOptions::default() };
        let begun = Instant::now();
        self.send(&KubeCluster::new(options), namespace, objects).await?;
        Ok(begun.elapsed())
    }

    /// Applies these, with this client.
    pub(crate) async fn send(
        &self,
        cluster: &KubeCluster,
        namespace: &str,
        objects: Vec<Value>,
    ) -> anyhow::Result<()> {
        let count = objects.len();
        let target = self.target(namespace);
        let request =
            ApplyRequest { target, objects: SensitiveObjects::new(objects), force: false };
        let applied = cluster.apply(&request, &CallLog::default()).await.map_err(failed)?;
        ensure!(applied.len() == count, "{} of {count} objects were applied", applied.len());
        Ok(())
    }
}
