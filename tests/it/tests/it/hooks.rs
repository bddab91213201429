//! A registry tells of its images, as the README has it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::program::{Build, ended};
use crate::stage::{ENVIRONMENT, Stage};
use crate::wait::until;

pub(crate) const SECRET: &str = "s3cret-of-the-registry";

/// What the README applies, and the delivery that it sends.
const HOOK: &str = include_str!("../../../../daemon/sample/hooks/hook.yaml");
const DELIVERY: &str = include_str!("../../../../daemon/sample/hooks/delivery.json");

impl Stage {
    /// With a hook for a registry.
    pub(crate) async fn hooked(&self) {
        self.secret("registry-hook", SECRET).await;
        let files = json!({"files": [{"path": "hook.yaml", "text": HOOK}]});
        self.client.post("/v1/documents:apply", &files).await.ok();
    }

    async fn delivered(&self, secret: &str, body: &str) -> Answer {
        let request = self.client.request(Method::POST, "/v1/hooks/registry");
        let request = request.header("content-type", "application/json").body(body.to_owned());
        Client::send(request.header("x-registry", secret)).await
    }

    /// What became of a delivery.
    pub(crate) async fn read_delivery(&self, body: &str) -> Value {
        let taken = self.delivered(SECRET, body).await.ok();
        let path = format!("/v1/hooks/registry/deliveries/{}", taken["id"].as_str().unwrap());
        until("the delivery is read", || async {
            let delivery = self.client.get(&path).await.ok();
            (delivery["status"] != "pending").then_some(delivery)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_a_registry_tells_of_is_deployed_once() {
    let mut stage = Stage::set().await;
    stage.deployed('1').await;
    stage.hooked().await;
    assert_eq!(stage.delivered("guessed", DELIVERY).await.status, 403);
    let delivery = stage.read_delivery(DELIVERY).await;
    assert_eq!(delivery["status"], "read", "{delivery:#}");
    assert_eq!(delivery["routes"][0]["environment"], ENVIRONMENT);
    let record = stage.ended(delivery["routes"][0]["deployment"].as_str().unwrap()).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert_eq!(record["actor"], "hook:registry");
    let digest = delivery["artifacts"][0]["digest"].as_str().unwrap();
    assert!(stage.image_of("frontend").ends_with(digest));

    // Registries repeat themselves, also when the daemon was away for a moment.
    stage.daemon.kill();
    stage.start_again().await;
    assert_eq!(stage.read_delivery(DELIVERY).await["id"], delivery["id"]);
    let history = stage.client.get("/v1/deployments?limit=500").await.ok();
    assert_eq!(history["deployments"].as_array().unwrap().len(), 2, "{history:#}");

    // What is no notification is kept with the reason.
    let dead = stage.read_delivery(r#"{"events": 7}"#).await;
    assert_eq!(dead["status"], "dead", "{dead:#}");
    assert!(dead["fault"].to_string().contains("/body/events"), "{dead:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_delivery_is_read_without_a_daemon() {
    let stage = Stage::set().await;
    stage.hooked().await;
    let id = stage.delivered(SECRET, DELIVERY).await.ok()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/hooks/registry/deliveries/{id}/captured");
    let captured = stage.client.get(&path).await.ok();
    assert!(!captured.to_string().contains(SECRET), "{captured:#}");
    let file = stage.folder().join("captured.json");
    std::fs::write(&file, captured.to_string()).unwrap();
    let file = file.display().to_string();
    let test = |more: &[&str]| {
        let mut command = Build::Plain.command();
        command.args(["hooks", "test", &file, "-o", "json", "--receiver"]).args(more);
        ended(command)
    };
    let said = test(&["registry", "--config", "registry=other.example.com"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told[0]["repository"], "other.example.com/shop/frontend", "{told:#}");
    // Another receiver says what it misses, and one that is none what there is.
    let said = test(&["github"]).await;
    assert!(said.code != Some(0) && said.err.contains("x-github-event"), "{said:?}");
    let said = test(&["nothing"]).await;
    assert!(said.code != Some(0) && said.err.contains("cloudevents"), "{said:?}");
}
