//! A cluster in the same process, without a socket anywhere.

use std::time::Duration;

use deployd_cluster::{ClusterOptions, KubeCluster};
use deployd_core::ports::{
    ApplyRequest, CallLog, Cluster, ClusterAccess, Readiness, SensitiveObjects, Target,
};
use deployd_practice::{Behaviour, PodMatch, Practice, PracticeOptions};
use serde_json::json;
use tokio::time::Instant;

use crate::things::deployment;

#[test]
fn hours_pass_at_once_in_a_runtime_without_input_and_output() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let practice = Practice::within(PracticeOptions::default());
        let hours = Duration::from_secs(3 * 3_600);
        practice.behaviours().set(PodMatch::any(), Behaviour::Ready { after: hours });
        let server = practice.clone();
        let connect = move || server.connect();
        let cluster =
            KubeCluster::within(ClusterOptions::default(), practice.token(), connect).unwrap();
        let target = Target {
            name: "practice".to_owned(),
            access: ClusterAccess::InCluster,
            namespace: "shop".to_owned(),
        };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        let request = ApplyRequest {
            target: target.clone(),
            objects: SensitiveObjects::new(vec![namespace, deployment("web")]),
            force: false,
        };
        let (log, began) = (CallLog::default(), Instant::now());
        let applied = cluster.apply(&request, &log).await.unwrap();
        let ready = cluster.await_ready(&target, &applied, 4 * 3_600_000, &log).await;
        assert_eq!(ready, Ok(Readiness::Ready));
        assert!(began.elapsed() >= hours);
    });
}
