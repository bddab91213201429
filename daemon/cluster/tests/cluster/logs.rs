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
