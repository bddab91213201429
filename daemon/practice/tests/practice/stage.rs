//! A cluster, a client, and waiting.

use std::fmt::Debug;
use std::time::Duration;

use deployd_practice::{Objects, Practice, PracticeOptions};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::{Value, json};

/// Nothing here takes this long; it only keeps a broken test from hanging.
pub(crate) const GUARD: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) practice: Practice,
    pub(crate) client: Client,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let practice = Practice::start(PracticeOptions::default()).await.unwrap();
        let client = client(&practice).await;
        Self { practice, client }
    }

    pub(crate) async fn with_namespace(name: &str) -> Self {
        let stage = Self::new().await;
        stage.namespace(name).await;
        stage
    }

    pub(crate) async fn namespace(&self, name: &str) {
        let object = read(json!({"metadata": {"name": name}}));
        Api::<Namespace>::all(self.client.clone())
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    pub(crate) async fn wait(&self, what: &str, holds: impl FnMut(Objects<'_>) -> bool) {
        let objects = self.practice.objects();
        assert!(objects.wait_until(GUARD, holds).await, "never: {what}");
    }

    /// An API for objects of any kind.
    pub(crate) fn any(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        namespace: &str,
    ) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }
}

pub(crate) async fn client(practice: &Practice) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&practice.kubeconfig()).unwrap();
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A deployment of one container.
pub(crate) fn deployment(name: &str, image: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{
                "name": "app", "image": image, "ports": [{"containerPort": 8080}],
                "env": [{"name": "PASSWORD", "value": "hush"}]}]}}}})
}

/// A pod of one container.
pub(crate) fn pod(name: &str, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": image,
            "ports": [{"containerPort": 8080}]}]}})
}

/// The status of a refusal.
pub(crate) fn refusal<T: Debug>(result: Result<T, kube::Error>) -> Box<kube::core::Status> {
    match result {
        Err(kube::Error::Api(status)) => status,
        other => panic!("not refused: {other:?}"),
    }
}

/// A condition's status and reason.
pub(crate) fn condition(object: &Value, kind: &str) -> Option<(String, String)> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    let found = all.iter().find(|c| c["type"] == kind)?;
    Some((
        found["status"].as_str()?.to_owned(),
        found["reason"].as_str().unwrap_or_default().to_owned(),
    ))
}

/// Whether a deployment is rolled out.
pub(crate) fn is_rolled_out(objects: Objects<'_>, namespace: &str, name: &str) -> bool {
    objects.get("deployments.apps", namespace, name).is_some_and(|found| {
        found["status"]["observedGeneration"] == found["metadata"]["generation"]
            && condition(&found, "Progressing").is_some_and(|(_, r)| r == "NewReplicaSetAvailable")
            && found["status"]["availableReplicas"] == found["spec"]["replicas"]
    })
}
