//! Waiting until all is ready.

use std::time::Duration;

use deployd_core::ports::Readiness;
use deployd_practice::Behaviour;
use serde_json::json;

use crate::stage::{LONG, on_a_cluster};
use crate::things::{
    SLEEP, claim, config_map, daemon_set, deployment, deployment_running, job, service,
    stateful_set, widgets,
};

#[tokio::test]
async fn a_deployment_becomes_ready_and_says_how_far_it_is() {
    on_a_cluster(async |stage| {
        // Not before it is looked at for the first time.
        stage.behave("web", Behaviour::Ready { after: Duration::from_secs(1) });
        let mut web = deployment("web");
        web["spec"]["replicas"] = json!(2);
        stage.roll_out(vec![web, service("web")]).await;
        let lines = stage.lines();
        assert!(
            lines.iter().any(|l| l.starts_with("web: ") && l.contains("of 2 replicas")),
            "{lines:#?}"
        );
        assert_eq!(lines.last().map(String::as_str), Some("web: ready"), "{lines:#?}");
        assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "{lines:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_new_version_is_waited_for_until_the_old_one_is_gone() {
    on_a_cluster(async |stage| {
        let mut web = deployment("web");
        web["spec"]["replicas"] = json!(2);
        stage.roll_out(vec![web.clone()]).await;
        web["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "VERSION", "value": "2"}]);
        stage.roll_out(vec![web]).await;
        let found = stage.get("apps/v1", "Deployment", "deployments", "web").await;
        assert_eq!(found["status"]["updatedReplicas"], 2);
        assert_eq!(found["status"]["replicas"], 2);
        assert_eq!(found["status"]["availableReplicas"], 2);
    })
    .await;
}

#[tokio::test]
async fn everything_at_once() {
    on_a_cluster(async |stage| {
        stage.behave("migrate", Behaviour::Exits { after: Duration::ZERO, exit_code: 0 });
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web"}, "spec": {"rules": [{"host": "web.example.com", "http": {
                "paths": [{"path": "/", "pathType": "Prefix", "backend": {
                    "service": {"name": "web", "port": {"number": 80}}}}]}}]}});
        stage
            .roll_out(vec![
                config_map("settings", json!({})),
                deployment("web"),
                deployment_running("worker", SLEEP),
                stateful_set("db", 2),
                daemon_set("agent"),
                job("migrate", "echo migrated"),
                service("web"),
                ingress,
                claim("data"),
            ])
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_stateful_set_is_updated_pod_by_pod() {
    on_a_cluster(async |stage| {
        let mut db = stateful_set("db", 2);
        stage.roll_out(vec![db.clone()]).await;
        db["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "VERSION", "value": "2"}]);
        stage.roll_out(vec![db]).await;
        let found = stage.get("apps/v1", "StatefulSet", "statefulsets", "db").await;
        assert_eq!(found["status"]["currentRevision"], found["status"]["updateRevision"]);
    })
    .await;
}

#[tokio::test]
async fn no_replicas_are_ready() {
    on_a_cluster(async |stage| {
        let mut web = deployment("web");
        web["spec"]["replicas"] = json!(0);
        stage.roll_out(vec![web]).await;
    })
    .await;
}

#[tokio::test]
async fn custom_resources_say_it_with_conditions() {
    on_a_cluster(async |stage| {
        let group = format!("{}.example.com", stage.namespace());
        let (definition, widget) = widgets(&group);
        let applied = stage.roll_out(vec![definition, widget]).await;
        let version = format!("{group}/v1");
        let widgets = stage.api(&version, "Widget", "widgets").await;
        let status = |value: &str| {
            json!({"status": {"conditions": [{"type": "Ready", "status": value, "reason": "Making"}]}})
        };
        let set = async |value: &str| {
            let patch = kube::api::Patch::Merge(status(value));
            widgets.patch_status("one", &Default::default(), &patch).await.unwrap();
        };
        set("False").await;
        let waiting = stage.await_ready(&applied, LONG);
        let making = async {
            // Once the wait has seen it, it may become ready.
            stage.until_line("Ready is False, Making").await;
set("True").await;
        };
        let (ready, ()) = tokio::join!(waiting, making);
        assert_eq!(ready, Ok(Readiness::Ready));
        stage.prune(&applied).await.unwrap();
    })
    .await;
}
