//! What waits for an attestation, in the real daemon, by the sample that the README has.

use serde_json::{Value, json};

use crate::client::Client;
use crate::stage::Stage;
use crate::wait::until;
use reqwest::Method;

/// What the README applies, and attaches: signed by the key that stands there.
const TYPE: &str = include_str!("../../../../daemon/sample/attestations/environment-type.yaml");
const PROVENANCE: &str = include_str!("../../../../daemon/sample/attestations/provenance.json");

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_deployed_once_somebody_trusted_has_attested_it() {
    let stage = Stage::set().await;
    let files = json!({"files": [{"path": "type.yaml", "text": TYPE}]});
    stage.client.post("/v1/documents:apply", &files).await.ok();
    let id = stage.announce('7').await;
    let path = format!("/v1/deployments/{id}/attestations");
    let standing = || async { stage.client.get(&path).await.ok() };
    until("it waits", || async {
        standing().await.to_string().contains("no attestation").then_some(())
    })
    .await;

    let image = format!("sha256:{}", "7".repeat(64));
    let attestations = format!("/v1/artifacts/{image}/attestations");
    let attach = async |document: String| {
        let request = stage.client.request(Method::POST, &attestations);
        Client::send(request.header("content-type", "application/json").body(document)).await
    };
    // The same statement, signed by nobody whom the type trusts.
    let mut forged: Value = serde_json::from_str(PROVENANCE).unwrap();
    forged["signatures"][0]["sig"] = json!("MEUCIQ==");
    attach(forged.to_string()).await.ok();
    until("it is looked at", || async {
        standing().await.to_string().contains("has not signed it").then_some(())
    })
    .await;
    assert_eq!(attach("{}".to_owned()).await.status, 422);

    attach(PROVENANCE.to_owned()).await.ok();
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    let journal = stage.client.get("/v1/journal?limit=500").await.text;
    assert!(journal.contains("\"evidence\":[{") && journal.contains("key sha256:"), "{journal}");

    let result = json!({"kind": "scan", "name": "trivy", "at": "2026-11-14T14:00:00.000Z",
        "passed": false, "findings": {"critical": 1}});
    let results = format!("/v1/artifacts/{image}/results");
    stage.client.post(&results, &result).await.ok();
    assert_eq!(stage.client.get(&results).await.ok(), json!([result]));
}
