//! Values of secrets stay out of faults and logs.

use serde_json::json;

use crate::stage::on_a_cluster;

const CANARY: &str = "canary-7f3a9c-value";

#[tokio::test]
async fn an_invalid_secret_is_not_echoed() {
    on_a_cluster(async |stage| {
        let wrong = [
            json!({"stringData": {"not a key!": CANARY}}),
            json!({"data": {"a": CANARY}}),
            json!({"stringData": {"a": CANARY}, "type": "kubernetes.io/tls"}),
            json!({"stringData": {"a": [CANARY]}}),
            json!({"stringData": {"a": CANARY}, "metadata": {"labels": {"a": CANARY.repeat(9)}}}),
        ];
        for fields in wrong {
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret"});
            let parts = fields.as_object().unwrap().clone();
            secret.as_object_mut().unwrap().extend(parts);
            secret["metadata"]["name"] = json!("db");
            let fault = stage.apply(vec![secret]).await.unwrap_err();
            assert!(!fault.is_transient(), "{fault:?}");
            let all = format!("{fault:?} {}", stage.lines().join("\n"));
            assert!(!all.contains("canary"), "{all}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_secret_gets_through() {
    on_a_cluster(async |stage| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"password": CANARY}});
        let applied = stage.roll_out(vec![secret]).await;
        assert!(!format!("{:?}", stage.lines()).contains("canary"));
        let found = stage.get("v1", "Secret", "secrets", "db").await;
        assert!(found["data"]["password"].is_string());
        stage.prune(&applied).await.unwrap();
    })
    .await;
}
