//! Credentials: who is let in, and under which name.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::stage::{Stage, read, refusal};

async fn with_token(stage: &Stage, token: Option<&str>) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&stage.practice.kubeconfig()).unwrap();
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.cluster_url = stage.practice.url().parse().unwrap();
    config.auth_info = Default::default();
    config.auth_info.token = token.map(|token| token.to_owned().into());
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_wrong_token_is_refused_everywhere() {
    let stage = Stage::new().await;
    let wrong = with_token(&stage, Some("wrong")).await;
    for path in ["/version", "/healthz", "/api", "/api/v1/pods"] {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        assert_eq!(refusal(wrong.request_text(request).await).code, 401, "{path}");
    }
    let none = with_token(&stage, None).await;
    assert_eq!(none.apiserver_version().await.unwrap().git_version, "v1.34.0");
    let pods: Api<Pod> = Api::all(none);
    assert_eq!(refusal(pods.list(&ListParams::default()).await).code, 401);
}

#[tokio::test]
async fn a_service_account_s_token_is_its_own_until_it_is_gone() {
    let stage = Stage::with_namespace("a").await;
    let accounts = stage.any("", "v1", "ServiceAccount", "a");
    accounts
        .create(&Default::default(), &read(json!({"metadata": {"name": "robot"}, "apiVersion": "v1", "kind": "ServiceAccount"})))
        .await
        .unwrap();
    let ask = json!({"spec": {"audiences": [], "expirationSeconds": 600}});
    let request = http::Request::post("/api/v1/namespaces/a/serviceaccounts/robot/token")
        .header("content-type", "application/json")
        .body(ask.to_string().into_bytes())
        .unwrap();
    let answer: serde_json::Value = stage.client.request(request).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3);

    let robot = with_token(&stage, Some(token)).await;
    let maps: Api<ConfigMap> = Api::namespaced(robot.clone(), "a");
    let refused = refusal(maps.list(&ListParams::default()).await);
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    assert!(refused.message.contains("User \"system:serviceaccount:a:robot\" cannot list"));
    // What everybody who is known may see.
    robot.list_core_api_versions().await.unwrap();

    accounts.delete("robot", &Default::default()).await.unwrap();
    assert_eq!(refusal(maps.list(&ListParams::default()).await).code, 401);
}
