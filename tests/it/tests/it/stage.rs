//! What most tests play on: a practice cluster, a receiver of webhooks, and a
//! daemon that the sample was applied to.

use std::path::Path;

use deployd_practice::{Practice, PracticeOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::compiled;
use crate::daemon::{Daemon, Start};
use crate::program::Build;
use crate::receiver::Receiver;
use crate::sample;
use crate::wait::until;

/// Signs webhooks in tests.
pub(crate) const SIGNING_SECRET: &str = "whsec_dGVzdC10ZXN0LXRlc3QtdGVzdC10ZXN0LXRlc3Q=";

/// The sample's only environment.
pub(crate) const ENVIRONMENT: &str = "shop/development";

/// The namespace that the sample makes for it.
pub(crate) const NAMESPACE: &str = "shop-development";

pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    pub(crate) start: Start,
    pub(crate) client: Client,
    pub(crate) practice: Practice,
    pub(crate) receiver: Receiver,
    pub(crate) folder: TempDir,
}

impl Stage {
    /// Everything is there, and nothing is deployed.
    pub(crate) async fn set() -> Self {
        Self::with(PracticeOptions::new(), |start| start).await
    }

    /// The same with another cluster, and a daemon that is started otherwise.
    pub(crate) async fn with(
        options: PracticeOptions,
        change: impl FnOnce(Start) -> Start,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let practice = Practice::start(options).await.unwrap();
        let receiver = Receiver::start().await;
        let start = change(Start::new(Build::Plain, folder.path()));
        let turn = compiled::turn().await;
        compiled::give(&start.data);
        let daemon = start.ready().await;
        let client = daemon.client();
        let stage = Self { daemon, start, client, practice, receiver, folder };
        stage.secret("demo-cluster", &stage.practice.kubeconfig()).await;
        stage.secret("ci-webhook", SIGNING_SECRET).await;
        let documents = sample::documents(stage.receiver.url());
        stage.client.post("/v1/documents:apply", &documents).await.ok();
        compiled::keep(&stage.start.data);
        drop(turn);
        stage
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a secret.
    pub(crate) async fn secret(&self, name: &str, value: &str) {
        self.client.put(&format!("/v1/secrets/{name}"), value).await.ok();
    }

    /// Announces both images of the sample, whose digests consist of this digit;
    /// gives the deployment.
    pub(crate) async fn announce(&self, digit: char) -> String {
        let images: Value =
            ["frontend", "backend"].map(|name| sample::image(name, digit)).into_iter().collect();
        begun(&self.client.post("/v1/artifacts", &images).await)
    }

    pub(crate) async fn deployment(&self, id: &str) -> Value {
        deployment(&self.client, id).await
    }

    /// Waits until a deployment has ended; gives its record.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        until("the deployment ends", || async {
            let record = self.deployment(id).await;
            record["outcome"].is_string().then_some(record)
        })
        .await
    }

    /// Deploys the sample's images with this digit; gives the deployment, which
    /// has succeeded.
    pub(crate) async fn deployed(&self, digit: char) -> String {
        let id = self.announce(digit).await;
        let record = self.ended(&id).await;
        assert_eq!(record["outcome"], "succeeded", "{record:#}");
        id
    }

    /// Waits until a webhook of this type about this deployment has come.
    pub(crate) async fn told(&self, kind: &str, id: &str) -> Value {
        until(&format!("the webhook {kind}"), || async {
            let deliveries = self.receiver.deliveries().into_iter();
            let mut about = deliveries.filter(|told| told.body.to_string().contains(id));
            about.find(|told| told.kind == kind).map(|told| told.body)
        })
        .await
    }

    /// The images that run, of a workload with one container.
    pub(crate) fn image_of(&self, workload: &str) -> String {
        image_of(&self.practice, workload)
    }

    /// Starts the daemon again, on the same data and port.
    pub(crate) async fn start_again(&mut self) {
        self.daemon = self.start.ready().await;
    }
}

/// A deployment's record.
pub(crate) async fn deployment(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/deployments/{id}")).await.ok()
}

/// The deployment that an announcement has led to.
#[track_caller]
pub(crate) fn begun(announced: &Answer) -> String {
    let announced = announced.ok();
    let id = announced["routes"][0]["deployment"].as_str();
    id.unwrap_or_else(|| panic!("{announced:#}")).to_owned()
}

/// The image that runs, of a workload of the sample.
pub(crate) fn image_of(practice: &Practice, workload: &str) -> String {
    let object = practice.objects().get("deployments.apps", NAMESPACE, workload);
    let object = object.unwrap_or_else(|| panic!("{workload} is not in the cluster"));
    let image = object.pointer("/spec/template/spec/containers/0/image").unwrap();
    image.as_str().unwrap().to_owned()
}
