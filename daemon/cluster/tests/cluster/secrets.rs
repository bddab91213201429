//! Values of secrets stay out of faults and logs.

use std::sync::Arc;

use deployd_cluster::{KubeCluster, KubeSecrets, SecretsAccess};
use deployd_core::FaultClass;
use deployd_core::ports::SecretSource as _;
use serde_json::json;

use crate::stage::{on_a_cluster, options};

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

#[tokio::test]
async fn values_are_read_from_secrets_that_somebody_else_keeps() {
    on_a_cluster(async |stage| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"tls.key": CANARY}});
        stage.roll_out(vec![secret]).await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, stage.kubeconfig()).unwrap();
        let cluster = Arc::new(KubeCluster::new(options()));
        let source = KubeSecrets::new(cluster, SecretsAccess::Kubeconfig(kubeconfig.clone()));
        let link =
            |place: &str| format!("kubernetes:{}/{place}", stage.target.namespace).parse().unwrap();
        assert_eq!(source.read(&link("db#tls.key")).await.unwrap().expose(), CANARY.as_bytes());
        for (place, code, says) in
            [("db#none", "secret-key-missing", "none"), ("none#key", "not-found", "none")]
        {
            let fault = source.read(&link(place)).await.unwrap_err();
            assert_eq!((fault.code.as_str(), fault.class), (code, FaultClass::Invalid), "{fault}");
            assert!(fault.message.contains(says) && !format!("{fault:?}").contains("canary"));
        }
        // It is read each time: credentials are renewed under its name.
        std::fs::remove_file(&kubeconfig).unwrap();
        let fault = source.read(&link("db#tls.key")).await.unwrap_err();
        assert!(fault.message.contains("secrets.kubernetes.kubeconfig"), "{fault}");
    })
    .await;
}
