//! Environments are taken away: all they have, in order, and nothing of what
//! happened in them.

use std::collections::BTreeSet;

use deployd_core::Fault;
use deployd_core::config::{DocumentKey, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Outcome, Teardown};
use deployd_core::outbox::MessageStatus;
use deployd_core::views::{DeployRequest, ResourceFilter, TeardownRequest};
use deployd_engine::EngineError;
use serde_json::json;

use crate::checks::check;
use crate::documents::{
    self, application, backend, definition, document, environment, plugin, shop, subscription,
    workload,
};
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller, development, end_of, keyed, request};

impl Stage {
    /// Takes development away, but for what is to stay; waits for the end.
    pub async fn torn_down(&self, keep: &[&str]) -> DeploymentRecord {
        let keep = keep.iter().map(|it| (*it).to_owned()).collect();
        let request = TeardownRequest { keep, ..TeardownRequest::default() };
        let record = self.engine.teardown(&caller(), &development(), request).await.unwrap();
        self.end_of(&record.id).await
    }
}

/// Names of resources in the order in which drivers took them away.
fn destroyed(stage: &Stage) -> Vec<String> {
    let drivers = stage.world.drivers();
    let calls = drivers.calls.iter().filter(|call| call.what == "destroy");
    calls.map(|call| call.request.resource_type.clone()).collect()
}

/// Nothing of an environment is left but what happened.
pub async fn assert_gone(stage: &Stage) {
    let world = &stage.world;
    assert!(world.drivers().there.is_empty(), "orphans: {:?}", world.drivers().there);
    assert!(world.cluster().objects.is_empty(), "orphans: {:?}", world.cluster().names());
    let secrets: Vec<_> = world.vault.lock().unwrap().keys().cloned().collect();
    assert_eq!(secrets.len(), 1, "only the operator's own: {secrets:?}");
    let error = stage.engine.environment(&development()).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn i8_nothing_is_left_of_an_environment_but_its_history() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let first = stage.deployed("2").await;
    assert_succeeded(&first);
    let record = stage.torn_down(&[]).await;
    assert_succeeded(&record);
    assert_gone(&stage).await;
    let order = destroyed(&stage);
    assert_eq!(order.len(), 5);
    assert_eq!(order[3..], ["k8s-namespace", "k8s-cluster"], "what leads to the others goes last");
    // What happened stays, and can be read.
    let history = stage.engine.history(Some(&development()), None, 10).await.unwrap().deployments;
    assert_eq!(history.len(), 3);
    assert_eq!(stage.engine.deployment(&first.id).await.unwrap().id, first.id);
    assert!(!stage.engine.manifests(&first.id).await.unwrap().objects.is_empty());
    let plan = stage.engine.plan_of(&record.id).await.unwrap();
    assert!(plan.teardown && plan.unused.len() == 5);
    assert!(!stage.engine.logs(&record.id, 0, 100).await.unwrap().is_empty());
    stage.all_told().await;
    let told = stage.world.messages(Some(MessageStatus::Delivered)).await;
    assert_eq!(told.len(), 8, "nobody takes it for a deployment");
    let platform: Vec<_> = documents::platform().into_iter().chain(shop("shop")).collect();
    stage.engine.stop().await;
    check(&stage.world, &platform).await;
}

#[tokio::test(start_paused = true)]
async fn i8_the_cluster_goes_last_whether_the_namespace_refers_to_it_or_not() {
    let stage = Stage::new().await;
    let alone = definition("namespace", "k8s-namespace", "namespace", json!({}));
    stage.engine.apply(&caller(), vec![alone], true).await.unwrap();
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_eq!(destroyed(&stage)[3..], ["k8s-namespace", "k8s-cluster"]);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_is_applied_again_begins_anew_and_its_history_goes_on() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.torn_down(&[]).await);
    let refused = stage.engine.deploy(&caller(), request()).await.unwrap_err();
    assert!(matches!(refused, EngineError::NotFound { .. }), "{refused}");
    let again = vec![environment("shop", "development", "development")];
    let applied = stage.engine.apply(&caller(), again, false).await.unwrap();
    assert_eq!(applied.documents[0].version, 2, "versions go on");
    let record = stage.deployed("2").await;
    assert_succeeded(&record);
    assert_eq!(record.number, 3);
    let made = stage.world.drivers().calls_of("provision", "postgres");
    assert!(made[1].request.state.is_none(), "it knows nothing of the one before");
}

#[tokio::test(start_paused = true)]
async fn i8_a_driver_that_refuses_stops_it_and_the_environment_stays() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let refuses = Fault::denied("data-is-there", "the database has 3 tables");
    stage.world.drivers().script("postgres").destroy_fault = Some(refuses);
    let record = stage.torn_down(&[]).await;
    assert_eq!(record.outcome, Some(Outcome::NeedsOperator));
    assert_eq!(record.fault.unwrap().code, "data-is-there");
    // What it needs is still there, and so is the environment.
    let view = stage.engine.environment(&development()).await.unwrap();
    let left: BTreeSet<String> = view.state.resources.values().map(|r| r.name.clone()).collect();
    let expected = ["k8s-cluster#environment", "k8s-namespace#environment", "postgres#backend.db"];
    assert_eq!(left, expected.map(str::to_owned).into());
    assert!(view.state.deployed.is_none());
    // Once the data is gone, the rest goes.
    stage.world.drivers().script("postgres").destroy_fault = None;
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_after_a_failed_teardown_brings_everything_back() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.world.drivers().script("dns").destroy_fault = Some(Fault::denied("no", "protected"));
    assert_eq!(stage.torn_down(&[]).await.outcome, Some(Outcome::NeedsOperator));
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(stage.state().await.resources.len(), 5);
    assert!(stage.world.cluster().object("Deployment", "backend").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_stays_with_what_it_needs_and_can_be_taken_away_later() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.torn_down(&["postgres"]).await);
    // The database has objects: their namespace and cluster stay, too.
    let kept = stage.engine.all_resources(&ResourceFilter::default()).await.unwrap();
    let names: Vec<&str> = kept.iter().map(|resource| resource.name.as_str()).collect();
    let expected = BTreeSet::from([
        "k8s-cluster#environment",
        "k8s-namespace#environment",
        "postgres#backend.db",
    ]);
    assert_eq!(names.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert!(kept.iter().all(|resource| !resource.in_use));
    assert_eq!(stage.world.cluster().names(), BTreeSet::from(["StatefulSet db".to_owned()]));
    let error = stage.engine.environment(&development()).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
    assert!(stage.world.vault.lock().unwrap().keys().any(|secret| secret.name == "password"));
    // A new environment of the name finds it; and so does whoever wants it gone.
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_gone(&stage).await;
    let gone = TeardownRequest::default();
    let error = stage.engine.teardown(&caller(), &development(), gone).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_environment_of_the_same_name_finds_what_was_kept() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.torn_down(&["postgres#backend.db"]).await);
    stage.apply(vec![environment("shop", "development", "development")]).await;
    assert_succeeded(&stage.deployed("2").await);
    let made = stage.world.drivers().calls_of("provision", "postgres");
    assert!(made[1].request.state.is_some());
    assert_eq!(stage.world.drivers().there.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_to_keep_has_to_be_there() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let teardown = Teardown { keep: vec!["mysql".to_owned()] };
    let error = stage.engine.plan_teardown(&development(), &teardown).await.unwrap_err();
    assert!(error.to_string().contains("postgres#backend.db"), "{error}");
    let asked = TeardownRequest { keep: teardown.keep, ..TeardownRequest::default() };
    let error = stage.engine.teardown(&caller(), &development(), asked).await.unwrap_err();
    assert!(matches!(error, EngineError::Invalid { .. }), "{error}");
    assert!(stage.state().await.teardown().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_goes_in_which_order_and_changes_nothing() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let before = stage.world.events().await.len();
    let view = stage.engine.plan_teardown(&development(), &Teardown::default()).await.unwrap();
    let order: Vec<&str> =
        view.plan.unused.iter().map(|unused| unused.key.resource_type.as_str()).collect();
    assert_eq!(order[3..], ["k8s-namespace", "k8s-cluster"]);
    assert!(view.preview.changes.len() >= 4, "{:?}", view.preview.changes);
    assert_eq!(stage.world.events().await.len(), before);
    // The plan that was seen is the one that is executed.
    assert_succeeded(&stage.deployed("2").await);
    let asked = TeardownRequest { expected_plan: Some(view.digest), ..TeardownRequest::default() };
    let record = stage.engine.teardown(&caller(), &development(), asked).await.unwrap();
    assert_eq!(stage.end_of(&record.id).await.outcome, Some(Outcome::Failed));
    assert_eq!(stage.state().await.resources.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn i2_i4_while_an_environment_goes_nothing_is_accepted_and_its_document_not_changed() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.world.drivers().script("dns").takes_ms = 60_000;
    let running = stage.deploy().await;
    let asked = || {
        let request = TeardownRequest::default();
        let caller = keyed("away", "away");
        async { stage.engine.teardown(&{ caller }, &development(), request).await }
    };
    let record = asked().await.unwrap();
    assert_eq!(asked().await.unwrap().id, record.id, "asked twice is once");
    let again = stage.engine.teardown(&caller(), &development(), TeardownRequest::default()).await;
    for refused in
        [again.unwrap_err(), stage.engine.deploy(&caller(), request()).await.unwrap_err()]
    {
        assert!(matches!(refused, EngineError::Conflict { .. }), "{refused}");
        assert!(refused.to_string().contains(&record.id.0), "{refused}");
    }
    let artifacts = ["frontend", "backend"].map(|w| documents::artifact(w, "2")).to_vec();
    let announced = stage.engine.announce(&caller(), artifacts).await;
    assert!(announced.is_err() || announced.unwrap().routes[0].problem.is_some());
    let spec = json!({"application": "shop", "type": "development", "values": {"a": 1}});
    let changed = document(DocumentKind::Environment, "development", spec);
    let refused = stage.engine.apply(&caller(), vec![changed], false).await.unwrap_err();
    assert!(matches!(refused, EngineError::Conflict { .. }), "{refused}");
    // All documents of a directory, this one as it is, may be applied.
    stage.apply(shop("shop")).await;
    assert_succeeded(&stage.end_of(&running).await);
    assert_succeeded(&stage.end_of(&record.id).await);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_in_which_nothing_ran_goes_too() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.torn_down(&[]).await);
    assert!(stage.engine.environment(&development()).await.is_err());
    assert!(stage.world.cluster().calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_failed_leaves_nothing_behind() {
    let stage = Stage::new().await;
    stage.world.cluster().broken.insert(documents::image("frontend", "1"));
    assert_eq!(stage.deployed("1").await.outcome, Some(Outcome::Failed));
    assert!(!stage.world.cluster().objects.is_empty());
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn i8_what_was_begun_and_never_recorded_goes_too() {
    let stage = Stage::new().await;
    stage.world.drivers().script("postgres").takes_ms = 5_000;
    let id = stage.announce("1").await;
    let asked =
        |world: &crate::world::World| !world.drivers().calls_of("provision", "postgres").is_empty();
    stage.until("the database is asked for", asked).await;
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::Cancelled));
    // A driver that has failed for good may have begun all the same.
    stage.world.drivers().script("postgres").permanent = Some(Fault::permanent("quota", "no more"));
    let failed = stage.deployed("2").await;
    assert_eq!(failed.outcome, Some(Outcome::Failed));
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres").len(), 1);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn i12_resources_go_with_the_versions_of_drivers_that_made_them_also_when_all_is_removed() {
    let mut stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let made = stage.world.drivers().calls_of("provision", "postgres")[0].plugin;
    stage.apply(vec![plugin("postgres", "driver", json!({"version": "2"}))]).await;
    let remove = |kind, name: &str| {
        let key = DocumentKey { kind, application: None, name: name.parse().unwrap() };
        let engine = stage.engine.clone();
        async move { engine.remove_document(&caller(), &key, true, false).await.unwrap() }
    };
    remove(DocumentKind::ResourceDefinition, "postgres").await;
    remove(DocumentKind::Plugin, "postgres").await;
    stage.engine.abort();
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    assert_succeeded(&stage.torn_down(&[]).await);
    let destroyed = stage.world.drivers().calls_of("destroy", "postgres");
    assert_eq!(destroyed.iter().map(|call| call.plugin).collect::<Vec<_>>(), [made]);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_lent_keeps_its_environment_from_going() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let lent = json!({
        "type": "postgres", "lender": "shop/development",
        "criteria": [{"application": "shop", "environment": "production"}],
    });
    let db = json!({"db": {"type": "postgres"}});
    stage
        .apply(vec![
            document(DocumentKind::ResourceDefinition, "borrowed", lent),
            workload("shop", "backend", json!({}), db),
        ])
        .await;
    let set = stage.state().await.deployed.unwrap().set;
    let production = DeployRequest {
        environment: Some("shop/production".parse().unwrap()),
        set_digest: Some(set),
        ..DeployRequest::default()
    };
    let asked = stage.engine.deploy(&caller(), production).await.unwrap();
    let borrower = end_of(&stage.engine, &asked.id).await;
    assert_succeeded(&borrower);
    let error = stage.engine.plan_teardown(&development(), &Teardown::default()).await.unwrap_err();
    assert!(error.to_string().contains("shop/production"), "{error}");
    // The other one first.
    let id = "shop/production".parse().unwrap();
    let other = stage.engine.teardown(&caller(), &id, TeardownRequest::default()).await.unwrap();
    assert_succeeded(&end_of(&stage.engine, &other.id).await);
    assert_succeeded(&stage.torn_down(&[]).await);
    assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_of_several_workloads_stays_while_one_of_them_asks_for_it() {
    let stage = Stage::new().await;
    let shared = || json!({"db": {"type": "postgres", "id": "shared"}});
    let both = |resources: serde_json::Value| workload("shop", "frontend", json!({}), resources);
    let mut destroyed_when_unused = definition("postgres", "postgres", "postgres", json!({}));
    if let deployd_core::config::Document::ResourceDefinition(d) = &mut destroyed_when_unused {
        d.spec.when_unused = deployd_core::config::WhenUnused::Destroy;
    }
    stage
        .apply(vec![
            destroyed_when_unused,
            both(shared()),
            workload("shop", "backend", json!({}), shared()),
            application("shop"),
            subscription("ci", &["deployment.*"]),
        ])
        .await;
    assert_succeeded(&stage.deployed("1").await);
    let users = || async {
        let all = stage.engine.resources(&development()).await.unwrap();
        let database = all.into_iter().find(|resource| resource.name == "postgres#shared");
        database.map(|database| database.used_by.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(users().await.unwrap(), ["backend", "frontend"]);
    assert_eq!(stage.world.drivers().calls_of("provision", "postgres").len(), 1, "one for both");
    stage.apply(vec![both(json!({}))]).await;
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(users().await.unwrap(), ["backend"]);
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    stage.apply(vec![workload("shop", "backend", json!({}), json!({}))]).await;
    assert_succeeded(&stage.deployed("3").await);
    assert_eq!(users().await, None);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres").len(), 1);
    stage.apply(vec![backend("shop")]).await;
}
