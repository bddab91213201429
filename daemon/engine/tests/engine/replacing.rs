//! Resources that another driver makes anew, and changes of documents that would
//! have it so.

use std::collections::BTreeSet;

use deployd_core::config::{DocumentKey, DocumentKind};
use deployd_core::deployment::Outcome;
use deployd_core::ports::DriverAction;
use deployd_core::views::{DeployRequest, DocumentChange, ResourceFilter};
use deployd_engine::EngineError;
use serde_json::json;

use crate::documents::{definition, document, environment_type, plugin};
use crate::world::{Stage, assert_succeeded, caller, development, request};

/// The database by another driver.
fn moved() -> Vec<deployd_core::config::Document> {
    vec![
        plugin("mysql", "driver", json!({})),
        definition(
            "postgres",
            "postgres",
            "mysql",
            json!({"namespace": "${resources.k8s-namespace.name}"}),
        ),
    ]
}

fn of(kind: DocumentKind, name: &str) -> DocumentKey {
    DocumentKey { kind, application: None, name: name.parse().unwrap() }
}

#[tokio::test(start_paused = true)]
async fn i12_what_holds_data_is_not_replaced_unless_somebody_says_so() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.engine.apply_by_force(&caller(), moved()).await.unwrap();
    // By the flow, and by a person who does not say so.
    let automatic = stage.deployed("2").await;
    let by_hand = stage.deploy().await;
    for record in [automatic, stage.end_of(&by_hand).await] {
        assert_eq!(record.outcome, Some(Outcome::Failed));
        let fault = record.fault.unwrap();
        assert_eq!(fault.code, "replace-not-confirmed");
        assert!(fault.message.contains("postgres#backend.db"), "{}", fault.message);
    }
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    assert_eq!(stage.world.drivers().calls_of("provision", "postgres").len(), 1);
    let confirmed = DeployRequest { confirm_replace: true, ..request() };
    let id = stage.engine.deploy(&caller(), confirmed).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);
}

#[tokio::test(start_paused = true)]
async fn i8_the_new_one_is_there_before_the_old_one_goes_with_the_driver_that_made_it() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.engine.apply_by_force(&caller(), moved()).await.unwrap();
    let view = stage.engine.plan(&request()).await.unwrap();
    let replaced: Vec<String> = view.plan.replaced().into_iter().collect();
    assert_eq!(replaced, ["postgres#backend.db"]);
    assert!(view.plan.resources.values().any(|r| r.action == DriverAction::Replace));
    // Whoever approves the plan has seen it.
    let approved = DeployRequest { expected_plan: Some(view.digest), ..request() };
    let id = stage.engine.deploy(&caller(), approved).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);
    {
        let drivers = stage.world.drivers();
        let made = drivers.calls_of("provision", "postgres");
        let gone = drivers.calls_of("destroy", "postgres");
        assert_eq!((made.len(), gone.len()), (2, 1));
        assert_ne!(made[0].request.uid, made[1].request.uid, "they are not taken for each other");
        assert!(made[1].request.state.is_none(), "another driver's state is no state");
        assert!(gone[0].at >= made[1].ended.unwrap());
        assert_eq!((&gone[0].request.uid, gone[0].plugin), (&made[0].request.uid, made[0].plugin));
        assert_eq!(drivers.there.len(), 5);
    }
    let secrets: BTreeSet<String> =
        stage.world.vault.lock().unwrap().keys().map(|secret| secret.owner.clone()).collect();
    let made = stage.world.drivers().calls_of("provision", "postgres");
    assert!(secrets.contains(&made[1].request.uid) && !secrets.contains(&made[0].request.uid));
    // From then on it is the one that is there.
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres").len(), 1);
    // And back again.
    stage.engine.apply_by_force(&caller(), crate::documents::platform()).await.unwrap();
    let confirmed = DeployRequest { confirm_replace: true, ..request() };
    let id = stage.engine.deploy(&caller(), confirmed).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres").len(), 2);
    assert_succeeded(&stage.torn_down(&[]).await);
    crate::teardown::assert_gone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_replacement_leaves_the_old_one_as_it_was() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.engine.apply_by_force(&caller(), moved()).await.unwrap();
    stage.world.cluster().broken.insert(crate::documents::image("backend", "1"));
    let confirmed = DeployRequest { confirm_replace: true, ..request() };
    let id = stage.engine.deploy(&caller(), confirmed).await.unwrap().id;
    assert_ne!(stage.end_of(&id).await.outcome, Some(Outcome::Succeeded));
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    assert_eq!(stage.world.drivers().there.len(), 6, "both are there, and both are known");
    assert_eq!(stage.state().await.resources.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_environment_does_not_move_to_another_cluster() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let elsewhere = vec![
        plugin("cloud", "driver", json!({})),
        definition("cluster", "k8s-cluster", "cloud", json!({})),
    ];
    stage.engine.apply_by_force(&caller(), elsewhere).await.unwrap();
    let error = stage.engine.plan(&request()).await.unwrap_err();
    assert!(error.to_string().contains("delete the environment"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_definition_in_use_says_what_it_means_and_needs_force() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let dry = stage.engine.apply(&caller(), moved(), true).await.unwrap();
    let [affected] = dry.affected.as_slice() else { panic!("{:?}", dry.affected) };
    assert_eq!(affected.name, "postgres#backend.db");
    assert_eq!(affected.environment, development());
    assert!(affected.replace && affected.problem.is_none());
    let to = affected.to.clone().unwrap();
    assert_eq!((&affected.from.name, &to.name), (&to.name, &affected.from.name));
    assert_ne!(affected.from.digest, to.digest);
    let refused = stage.engine.apply(&caller(), moved(), false).await.unwrap_err();
    let EngineError::Affects { resources } = &refused else { panic!("{refused}") };
    assert_eq!(resources, &dry.affected);
    assert!(stage.engine.document(&of(DocumentKind::Plugin, "mysql")).await.unwrap().is_none());
    // A more specific one takes it over.
    let spec = json!({
        "type": "postgres", "driver": "postgres", "criteria": [{"application": "shop"}],
    });
    let narrow = document(DocumentKind::ResourceDefinition, "postgres-of-shop", spec);
    let dry = stage.engine.apply(&caller(), vec![narrow.clone()], true).await.unwrap();
    assert_eq!(dry.affected.len(), 1);
    assert!(!dry.affected[0].replace, "by the same driver");
    let applied = stage.engine.apply_by_force(&caller(), vec![narrow]).await.unwrap();
    assert_eq!(applied.affected.len(), 1);
    assert_succeeded(&stage.deployed("2").await);
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    // What nothing uses, and inputs, can be changed as before.
    stage.apply(vec![environment_type("development", json!({"deadline-ms": 1}))]).await;
    stage.apply(vec![definition("dns", "dns", "dns", json!({"zone": "other.test"}))]).await;
}

#[tokio::test(start_paused = true)]
async fn documents_in_use_are_not_removed_and_what_was_removed_goes_on_where_it_ended() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let remove = |key: DocumentKey, force, dry_run| {
        let engine = stage.engine.clone();
        async move { engine.remove_document(&caller(), &key, force, dry_run).await }
    };
    let dns = || of(DocumentKind::ResourceDefinition, "dns");
    let dry = remove(dns(), false, true).await.unwrap();
    assert_eq!(dry.documents[0].change, DocumentChange::Removed);
    assert_eq!(dry.affected.len(), 1);
    assert!(dry.affected[0].to.is_none() && dry.affected[0].problem.is_some());
    let refused = remove(dns(), false, false).await.unwrap_err();
    assert!(matches!(refused, EngineError::Affects { .. }), "{refused}");
    let refused = remove(of(DocumentKind::Plugin, "dns"), true, false).await.unwrap_err();
    assert!(refused.to_string().contains("ResourceDefinition dns"), "{refused}");
    remove(dns(), true, false).await.unwrap();
    let refused = remove(dns(), true, false).await.unwrap_err();
    assert!(matches!(refused, EngineError::NotFound { .. }), "{refused}");
    let refused = remove(of(DocumentKind::Plugin, "dns"), false, false).await.unwrap_err();
    assert!(matches!(refused, EngineError::Affects { .. }), "{refused}");
    remove(of(DocumentKind::Subscription, "ci"), false, false).await.unwrap();
    for kind in [DocumentKind::Application, DocumentKind::EnvironmentType] {
        let name = if kind == DocumentKind::Application { "shop" } else { "development" };
        let refused = remove(of(kind, name), true, false).await.unwrap_err();
        assert!(matches!(refused, EngineError::Invalid { .. }), "{refused}");
    }
    let again = vec![definition("dns", "dns", "dns", json!({"zone": "shop.test"}))];
    let applied = stage.engine.apply(&caller(), again, false).await.unwrap();
    assert_eq!(applied.documents[0].version, 2);
    assert_eq!(applied.affected, []);
}

#[tokio::test(start_paused = true)]
async fn resources_are_listed_with_what_made_them() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.deployed("2").await);
    stage.apply(vec![definition("dns", "dns", "dns", json!({"zone": "other.test"}))]).await;
    let all = stage.engine.all_resources(&ResourceFilter::default()).await.unwrap();
    assert_eq!(all.len(), 5);
    let of_type = |name: &str| ResourceFilter {
        resource_type: Some(name.to_owned()),
        ..ResourceFilter::default()
    };
    let [database] = &stage.engine.all_resources(&of_type("postgres")).await.unwrap()[..] else {
        panic!("one database")
    };
    assert_eq!(database.environment, development());
    assert_eq!(database.definition.as_ref().unwrap().as_str(), "postgres");
    assert_eq!(database.driver.as_ref().unwrap().name, "postgres");
    assert!(database.definition_is_current && database.in_use);
    assert_eq!(database.used_by.iter().collect::<Vec<_>>(), ["backend"]);
    assert!(database.since.unwrap() < database.at, "it is older than the last deployment");
    let [name] = &stage.engine.all_resources(&of_type("dns")).await.unwrap()[..] else {
        panic!("one name")
    };
    assert!(!name.definition_is_current);
    let of = |filter: ResourceFilter| {
        let engine = stage.engine.clone();
        async move { engine.all_resources(&filter).await.unwrap().len() }
    };
    let name = |text: &str| Some(text.parse().unwrap());
    assert_eq!(of(ResourceFilter { driver: name("template"), ..Default::default() }).await, 1);
    assert_eq!(of(ResourceFilter { definition: name("cluster"), ..Default::default() }).await, 1);
    assert_eq!(of(ResourceFilter { application: name("blog"), ..Default::default() }).await, 0);
}

#[tokio::test(start_paused = true)]
async fn i4_what_is_applied_beside_a_removal_is_seen_by_it() {
    let stage = Stage::new().await;
    stage.apply(vec![plugin("mysql", "driver", json!({}))]).await;
    let key = of(DocumentKind::Plugin, "mysql");
    let engine = stage.engine.clone();
    stage.world.before("get", async move {
        let user = definition("mysql", "mysql", "mysql", json!({}));
        engine.apply(&caller(), vec![user], false).await.unwrap();
    });
    let removed = stage.engine.remove_document(&caller(), &key, false, false).await;
    let error = removed.unwrap_err().to_string();
    assert!(error.contains("is used by ResourceDefinition mysql"), "{error}");
    assert!(stage.engine.document(&key).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_version_is_given_once_also_when_a_document_is_removed_meanwhile() {
    let stage = Stage::new().await;
    let key = of(DocumentKind::Subscription, "ci");
    let engine = stage.engine.clone();
    stage.world.before("append document-removed", async move {
        let other = crate::documents::subscription("ci", &["deployment.ended"]);
        let applied = engine.apply(&caller(), vec![other], false).await.unwrap();
        assert_eq!(applied.documents[0].version, 2);
    });
    let removed = stage.engine.remove_document(&caller(), &key, false, false).await.unwrap();
    assert_eq!(removed.documents[0].version, 2);
    let again = vec![crate::documents::subscription("ci", &["deployment.*"])];
    let applied = stage.engine.apply(&caller(), again, false).await.unwrap();
    assert_eq!(applied.documents[0].version, 3);
}
