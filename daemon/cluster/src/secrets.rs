//! Values of Kubernetes Secrets, for secrets of deployd's that are kept there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::Fault;
use deployd_core::ports::{ClusterAccess, ObjectRef, SecretSource, Target};
use deployd_core::secret::{Link, SecretValue};

use crate::cluster::KubeCluster;
use crate::faults::{self, Doing};
use crate::fields::text;
use crate::request::Ask;

/// How long one value may take. Whoever uses it waits for at most 8 s.
const BUDGET: Duration = Duration::from_secs(6);

/// What the cluster is called in messages.
const CLUSTER: &str = "of secrets.kubernetes";

/// As whom the cluster with the Secrets is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretsAccess {
    /// With a kubeconfig in a file, which is read for each use.
    Kubeconfig(PathBuf),
    /// With the service account of the pod that deployd runs in.
    InCluster,
}

/// Reads Secrets of one cluster.
pub struct KubeSecrets {
    cluster: Arc<KubeCluster>,
    access: SecretsAccess,
}

impl KubeSecrets {
    /// Through the clients of `cluster`.
    pub fn new(cluster: Arc<KubeCluster>, access: SecretsAccess) -> Self {
        Self { cluster, access }
    }

    async fn access(&self) -> Result<ClusterAccess, Fault> {
        let file = match &self.access {
            SecretsAccess::InCluster => return Ok(ClusterAccess::InCluster),
            SecretsAccess::Kubeconfig(file) => file.clone(),
        };
        let shown = file.display().to_string();
        let unreadable = |why: String| {
            let message = format!("secrets.kubernetes.kubeconfig {shown}: {why}");
            Fault::permanent("cluster-access-invalid", message)
        };
        let reading = tokio::task::spawn_blocking(move || std::fs::read(file));
        let read = reading.await.map_err(|error| unreadable(error.to_string()))?;
        let kubeconfig = read.map_err(|error| unreadable(error.to_string()))?;
        Ok(ClusterAccess::Kubeconfig(SecretValue::new(kubeconfig)))
    }
}

#[async_trait]
impl SecretSource for KubeSecrets {
    fn allows(&self, _: &Link) -> Result<(), Fault> {
        // What the account may read, the cluster's own rules say.
        Ok(())
    }

    async fn read(&self, link: &Link) -> Result<SecretValue, Fault> {
        let Link::Kubernetes { namespace, name, key } = link else {
            return Err(Fault::bug("internal", "only Kubernetes links lead to a cluster"));
        };
        let access = self.access().await?;
        let target = Target { name: CLUSTER.to_owned(), access, namespace: namespace.clone() };
        let session = self.cluster.session(&target).await?;
        // The parts of a link need no escaping.
        let ask = Ask::get(format!("/api/v1/namespaces/{namespace}/secrets/{name}"));
        let object = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            namespace: Some(namespace.clone()),
            name: name.clone(),
        };
        let doing = Doing { cluster: CLUSTER, verb: "read", object: Some(&object) };
        let answer = session
            .ask_within::<serde_json::Value>(&ask, BUDGET)
            .await
            .map_err(|failure| faults::fault(&failure, doing))?;
        // A key may have dots in it, but neither a slash nor a tilde.
        let Some(encoded) = text(&answer.body, &format!("/data/{key}")) else {
            let message = format!("{object} has no key {key:?} in its data; add it");
            return Err(Fault::invalid("secret-key-missing", message));
        };
        let value = STANDARD.decode(encoded).map_err(|_| {
            let message = format!("the key {key:?} of {object} is not base 64");
            Fault::permanent("cluster-answer-unreadable", message)
        })?;
        Ok(SecretValue::new(value))
    }
}
