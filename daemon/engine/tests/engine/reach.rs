//! Access to a cluster that ends, changes, or belongs to another environment.

use deployd_core::FaultClass;
use deployd_core::config::DocumentKind;
use deployd_core::deployment::Outcome;
use deployd_core::ports::UNAUTHORIZED;
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::views::DeployRequest;
use serde_json::json;

use crate::documents::{self, document};
use crate::world::{Stage, World, assert_succeeded, caller};

const MINUTE_MS: u64 = 60_000;

/// A cluster whose access is good for so long.
fn lasting(world: &World, lasts_ms: u64) {
    let mut drivers = world.drivers();
    let cluster = drivers.script("k8s-cluster");
    cluster.secrets = vec!["kubeconfig", "expires_at_ms"];
    cluster.lasts_ms = Some(lasts_ms);
    cluster.takes_ms = 1_000;
}

fn provisions(world: &World) -> usize {
    world.drivers().calls_of("provision", "k8s-cluster").len()
}

#[tokio::test(start_paused = true)]
async fn access_that_ends_soon_is_renewed_before_it_is_used() {
    let stage = Stage::new().await;
    lasting(&stage.world, MINUTE_MS / 2);
    assert_succeeded(&stage.deployed("1").await);
    assert!(provisions(&stage.world) > 2);
    assert_eq!(stage.world.cluster().refused, 0);
    let calls = stage.world.drivers().calls_of("provision", "k8s-cluster");
    let uids: std::collections::BTreeSet<_> = calls.iter().map(|call| &call.request.uid).collect();
    assert_eq!(uids.len(), 1);
    // It is asked for with what the driver remembers.
    assert!(calls.last().unwrap().request.state.is_some());
}

#[tokio::test(start_paused = true)]
async fn each_deployment_gets_new_access_and_renews_it_no_more_than_needed() {
    let stage = Stage::new().await;
    lasting(&stage.world, 60 * MINUTE_MS);
    assert_succeeded(&stage.deployed("1").await);
    let first = stage.world.cluster().kubeconfig.clone();
    assert_succeeded(&stage.deployed("2").await);
    assert_ne!(stage.world.cluster().kubeconfig, first);
    assert_eq!(provisions(&stage.world), 2);
}

#[tokio::test(start_paused = true)]
async fn access_that_ends_during_a_rollout_is_renewed() {
    let stage = Stage::new().await;
    lasting(&stage.world, 10 * MINUTE_MS);
    stage.world.cluster().ready_after_ms = 15 * MINUTE_MS;
    let id = stage.announce("1").await;
    // It is asked for anew when the cluster lets nobody in any more.
    stage.until("the access is renewed", |world| provisions(world) == 2).await;
    stage.world.cluster().ready_after_ms = 0;
    assert_succeeded(&stage.end_of(&id).await);
    assert_eq!((provisions(&stage.world), stage.world.cluster().refused), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_just_renewed_and_is_not_let_in_is_refused() {
    let stage = Stage::new().await;
    lasting(&stage.world, 60 * MINUTE_MS);
    // The daemon believes that it is good; the cluster does not.
    stage.world.drivers().script("k8s-cluster").lasts_ms = Some(0);
    stage.world.drivers().script("k8s-cluster").secrets = vec!["kubeconfig"];
    let outputs = json!({"name": "main", "expires_at_ms": "9999999999999"});
    stage.world.drivers().script("k8s-cluster").outputs = outputs;
    let id = stage.announce("1").await;
    let record = stage.end_of(&id).await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let fault = record.fault.unwrap();
    assert_eq!((fault.code.as_str(), fault.class), (UNAUTHORIZED, FaultClass::Denied));
    assert_eq!((provisions(&stage.world), stage.world.cluster().refused), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_an_operator_changes_is_taken_from_then_on() {
    let stage = Stage::new().await;
    let secret = SecretRef { owner: OPERATOR.to_owned(), name: "cluster".to_owned() };
    let set = |value: &str| {
        let value = value.as_bytes().to_vec();
        stage.world.vault.lock().unwrap().insert(secret.clone(), value);
    };
    let used = || stage.world.cluster().kubeconfig.clone().unwrap();
    {
        let mut drivers = stage.world.drivers();
        let cluster = drivers.script("k8s-cluster");
        cluster.secrets = Vec::new();
        cluster.outputs = json!({"name": "main", "kubeconfig": format!("token: {secret}")});
    }
    set("one");
    assert_succeeded(&stage.deployed("1").await);
    assert_eq!(used(), "token: one");
    // Between two deployments.
    set("two");
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(used(), "token: two");
    // During one: the old token is worth nothing from the same moment.
    stage.world.cluster().ready_after_ms = 5 * MINUTE_MS;
    let before = stage.world.cluster().calls.len();
    let id = stage.announce("3").await;
    stage
        .until("it waits", |world| {
            let calls = &world.cluster().calls;
            calls.len() > before && calls.last().is_some_and(|(what, _)| *what == "await")
        })
        .await;
    set("three");
    let now = stage.world.now();
    {
        let mut cluster = stage.world.cluster();
        cluster.ends.insert("token: two".to_owned(), now);
        cluster.ready_after_ms = 0;
    }
    assert_succeeded(&stage.end_of(&id).await);
    assert_eq!((used().as_str(), stage.world.cluster().refused), ("token: three", 1));
}

#[tokio::test(start_paused = true)]
async fn the_access_of_a_lent_cluster_is_renewed_by_who_lends_it() {
    let stage = Stage::new().await;
    lasting(&stage.world, 10 * MINUTE_MS);
    let shared = "platform/shared";
    let definition = |name: &str, spec| document(DocumentKind::ResourceDefinition, name, spec);
    stage
        .apply(vec![
            document(DocumentKind::Application, "platform", json!({"workloads": []})),
            documents::environment("platform", "shared", "development"),
            definition(
                "k8s-cluster-of-platform",
                json!({
                    "type": "k8s-cluster", "driver": "cluster",
                    "criteria": [{"application": "platform"}],
                }),
            ),
            definition(
                "k8s-cluster-for-all",
                json!({
                    "type": "k8s-cluster", "lender": shared,
                    "criteria": [{"application": "shop"}],
                }),
            ),
        ])
        .await;
    let environment = Some(shared.parse().unwrap());
    let request = DeployRequest { environment, ..DeployRequest::default() };
    let id = stage.engine.deploy(&caller(), request).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);
    let made = stage.world.drivers().calls_of("provision", "k8s-cluster")[0].request.clone();
    tokio::time::sleep(std::time::Duration::from_millis(30 * MINUTE_MS)).await;
    assert_succeeded(&stage.deployed("1").await);
    let calls = stage.world.drivers().calls_of("provision", "k8s-cluster");
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[1].request.uid, &calls[1].request.inputs), (&made.uid, &made.inputs));
    assert_eq!(stage.world.cluster().refused, 0);
}
