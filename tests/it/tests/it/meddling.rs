//! Somebody changes things by hand in the middle of a rollout.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::sample;
use crate::stage::{NAMESPACE, Stage};
use crate::wait::until;

/// People with kubectl.
struct Hands(Client);

impl Hands {
    fn path(name: &str) -> String {
        format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")
    }

    async fn edit(&self, name: &str, patch: &Value) {
        let path = format!("{}?fieldManager=kubectl-edit", Self::path(name));
        let request = self.0.request(Method::PATCH, &path);
        let request = request.header("content-type", "application/merge-patch+json");
        Client::send(request.body(patch.to_string())).await.ok();
    }

    async fn delete(&self, name: &str) {
        Client::send(self.0.request(Method::DELETE, &Self::path(name))).await.ok();
    }
}

/// A stage whose first version runs, and whose second waits half-way.
async fn half_way() -> (Stage, Hands, String) {
    let stage = Stage::set().await;
    stage.deployed('1').await;
    stage.client.post("/v1/documents:apply", &sample::waiting_canary("look at it")).await.ok();
    let id = stage.announce('2').await;
    until("the rollout pauses", || async {
        let record = stage.deployment(&id).await;
        assert!(record["outcome"].is_null(), "{record:#}");
        let steps = record["work"]["steps"].as_array().cloned().unwrap_or_default();
        let is_paused =
            |step: &Value| step["action"]["do"] == "pause" && step["status"] == "pending";
        steps.iter().any(is_paused).then_some(())
    })
    .await;
    let hands = Hands(Client::new(stage.practice.url(), stage.practice.token()));
    (stage, hands, id)
}

impl Stage {
    fn is_as_before(&self) {
        assert!(self.image_of("frontend").ends_with(&"1".repeat(64)));
        let objects = self.practice.objects();
        assert!(objects.get("deployments.apps", NAMESPACE, "frontend-canary").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_deleted_by_hand_leads_back_at_once() {
    let (stage, hands, id) = half_way().await;
    hands.delete("frontend-canary").await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(record["fault"]["code"], "gone", "{record:#}");
    assert!(record["fault"]["message"].as_str().unwrap().contains("frontend-canary"));
    stage.is_as_before();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_by_hand_is_named_and_does_not_keep_the_old_version_from_coming_back() {
    let (stage, hands, id) = half_way().await;
    let image = "registry.example.com/shop/frontend:hand-made";
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": image},
    ]}}}});
    let before = stage.practice.objects().get("deployments.apps", NAMESPACE, "frontend").unwrap();
    let container = before.pointer("/spec/template/spec/containers/0/name").unwrap();
    let mut patch = patch;
    patch["spec"]["template"]["spec"]["containers"][0]["name"] = container.clone();
    hands.edit("frontend", &patch).await;
    assert_eq!(stage.image_of("frontend"), image);
    // The rollout goes on until it meets that.
    let promoted = stage.client.post(&format!("/v1/deployments/{id}/promote"), &json!({})).await;
    promoted.ok();
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(record["fault"]["code"], "field-conflict", "{record:#}");
    assert!(record["fault"]["message"].as_str().unwrap().contains("kubectl-edit"), "{record:#}");
    stage.is_as_before();
    let logs = stage.client.get(&format!("/v1/deployments/{id}/logs?limit=500")).await.text;
    assert!(logs.contains("taken over all the same"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_somebody_else_sets_are_no_failure_of_a_rollout() {
    let (stage, hands, id) = half_way().await;
    hands.edit("frontend-canary", &json!({"spec": {"replicas": 3}})).await;
    until("there are three pods", || async {
        let objects = stage.practice.objects();
        let canary = objects.get("deployments.apps", NAMESPACE, "frontend-canary").unwrap();
        (canary.pointer("/status/readyReplicas") == Some(&json!(3))).then_some(())
    })
    .await;
    assert!(stage.deployment(&id).await["outcome"].is_null());
    let promoted = stage.client.post(&format!("/v1/deployments/{id}/promote"), &json!({})).await;
    promoted.ok();
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)));
}
