//! What runs is watched until it fails: at once when it does, never before.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{Cluster, ObjectRef, WorkloadFault};
use deployd_practice::Behaviour;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::stage::{Stage, on_a_simulated_cluster};
use crate::things::deployment;

const MINUTE: Duration = Duration::from_secs(60);

impl Stage {
    async fn failure(&self, objects: &[ObjectRef]) -> Result<Vec<WorkloadFault>, Fault> {
        self.cluster.await_failure(&self.target, objects, &self.log).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_ready_and_crashes_is_told_with_its_last_words() {
    on_a_simulated_cluster(async |stage, _| {
        // It runs for a while, each time; the kubelet starts it again, ever later.
        stage.behave("web", Behaviour::Exits { after: 10 * MINUTE, exit_code: 3 });
        let applied = stage.roll_out(vec![deployment("web")]).await;
        let faults = stage.failure(&applied).await.unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].reason, "crash-loop");
        assert_eq!(faults[0].object.name, "web");
        assert!(faults[0].containers[0].contains("restarts"), "{faults:#?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_away_is_told_at_once_and_also_if_it_was_gone_before() {
    on_a_simulated_cluster(async |stage, _| {
        let applied = stage.roll_out(vec![deployment("web"), deployment("api")]).await;
        let watching = stage.failure(&applied);
        let meddling = async {
            sleep(5 * MINUTE).await;
            stage.delete("apps/v1", "Deployment", "deployments", "api").await.unwrap();
            Instant::now()
        };
        let (faults, at) = tokio::join!(watching, meddling);
        let faults = faults.unwrap();
        assert_eq!((faults.len(), faults[0].reason.as_str()), (1, "gone"));
        assert_eq!(faults[0].object.name, "api");
        assert!(at.elapsed() < Duration::from_secs(2), "{:?}", at.elapsed());
        assert_eq!(stage.failure(&applied).await.unwrap()[0].reason, "gone");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn neither_replicas_that_change_nor_a_server_that_is_away_are_failures() {
    on_a_simulated_cluster(async |stage, _| {
        stage.behave("web", Behaviour::Ready { after: MINUTE / 2 });
        let applied = stage.roll_out(vec![deployment("web")]).await;
        let practice = stage.practiced();
        let meddling = async {
            for replicas in [5, 1, 3] {
                let of = ("apps/v1", "Deployment", "deployments");
                stage.merge(of, "web", json!({"spec": {"replicas": replicas}})).await;
                sleep(5 * MINUTE).await;
            }
            practice.faults().go_away();
            sleep(5 * MINUTE).await;
            practice.faults().come_back();
            sleep(10 * MINUTE).await;
        };
        tokio::select! {
            faults = stage.failure(&applied) => panic!("{faults:#?}"),
            () = meddling => {}
        }
    })
    .await;
}
