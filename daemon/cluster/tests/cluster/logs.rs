//! The last lines of containers.

use deployd_core::FaultClass;
use deployd_core::ports::Cluster;
use deployd_practice::Behaviour;
use serde_json::json;

use crate::stage::{LONG, on_a_cluster};
use crate::things::{config_map, deployment, job};

#[tokio::test]
async fn of_all_pods_of_a_workload() {
    on_a_cluster(async |stage| {
        let mut web = deployment("web");
        web["spec"]["replicas"] = json!(2);
        let applied = stage.roll_out(vec![web]).await;
        let logs = stage.cluster.logs(&stage.target, &applied[0], 10).await.unwrap();
        assert_eq!(logs.len(), 2, "{logs:#?}");
        assert!(logs.iter().all(|l| l.container == "main" && l.pod.starts_with("web-")));
    })
    .await;
}

#[tokio::test]
async fn the_last_lines_only() {
    on_a_cluster(async |stage| {
        let log: Vec<String> = (1..=9).map(|n| n.to_string()).collect();
        stage.behave("count", Behaviour::CrashLoop { exit_code: 1, log });
        let applied = stage.apply(vec![job("count", "seq 1 9; exit 1")]).await.unwrap();
        stage.await_ready(&applied, LONG).await.unwrap();
        let logs = stage.cluster.logs(&stage.target, &applied[0], 3).await.unwrap();
        assert_eq!(logs[0].lines, ["7", "8", "9"], "{logs:#?}");
    })
    .await;
}

#[tokio::test]
async fn what_has_no_pods_has_none() {
    on_a_cluster(async |stage| {
        let applied = stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        let fault = stage.cluster.logs(&stage.target, &applied[0], 3).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Invalid, "no-pods"));
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_has_pods_events_and_the_last_lines_of_what_fails() {
    on_a_cluster(async |stage| {
        let applied = stage.roll_out(vec![deployment("web"), deployment("webshop")]).await;
        let web: Vec<_> = applied.iter().filter(|o| o.name == "web").cloned().collect();
        let seen = stage.cluster.snapshot(&stage.target, &web).await.unwrap();
        assert_eq!(seen.containers.len(), 1, "{seen:#?}");
        assert!(seen.containers[0].contains("/main: running"), "{seen:#?}");
        assert!(seen.containers[0].starts_with("web-"), "{seen:#?}");
        assert!(seen.events.iter().all(|event| !event.contains("webshop")), "{seen:#?}");
        assert!(seen.logs.is_empty(), "{seen:#?}");
        let log = vec!["about to fail".to_owned()];
        stage.behave("count", Behaviour::CrashLoop { exit_code: 1, log });
        let applied = stage.apply(vec![job("count", "echo about to fail; exit 1")]).await.unwrap();
        stage.await_ready(&applied, LONG).await.unwrap();
        let seen = stage.cluster.snapshot(&stage.target, &applied).await.unwrap();
        assert_eq!(seen.logs[0].lines, ["about to fail"], "{seen:#?}");
        assert!(!seen.events.is_empty(), "{seen:#?}");
    })
    .await;
}
