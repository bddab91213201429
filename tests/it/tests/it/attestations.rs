//! What waits for an attestation, in the real daemon, by the sample that the README has.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use deployd_practice::PracticeOptions;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_fetched_from_where_the_settings_say_and_has_to_be_what_was_named() {
    let text = r#"{"kind": "tests", "name": "unit", "at": "2026-11-14T14:00:00Z", "passed": true}"#;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let router =
        axum::Router::new().route("/unit.json", axum::routing::get(move || async move { text }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("deployd.toml");
    std::fs::write(&settings, format!("[references]\nprivate = [\"{origin}\"]\n")).unwrap();
    let settings = settings.display().to_string();
    let stage =
        Stage::with(PracticeOptions::new(), |start| start.env("DEPLOYD_CONFIG", settings)).await;

    let image = format!("sha256:{}", "7".repeat(64));
    let references = format!("/v1/artifacts/{image}/references");
    let attach = async |url: String, digest: &str| {
        let asked = json!({"kind": "result", "url": url, "digest": digest});
        stage.client.post(&references, &asked).await
    };
    let of = |text: &str| format!("sha256:{:x}", Sha256::digest(text));
    let digest = of(text);
    let url = format!("{origin}/unit.json");
    let differs = attach(url.clone(), &of("other")).await;
    assert_eq!(differs.status, 422);
    assert!(differs.text.contains("reference-differs"), "{}", differs.text);
    let elsewhere = attach("http://127.0.0.1:1/unit.json".to_owned(), &digest).await;
    assert!(elsewhere.text.contains("reference-denied"), "{}", elsewhere.text);
    let attached = attach(url.clone(), &digest).await.ok();
    assert_eq!(attached["result"]["from"], json!({"url": url, "digest": digest}));
    let results = stage.client.get(&format!("/v1/artifacts/{image}/results")).await.ok();
    assert_eq!(results, json!([attached["result"]]));
}
