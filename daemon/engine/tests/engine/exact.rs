//! Repeating exactly, going back, and environments like others.

use std::sync::atomic::Ordering;

use deployd_core::deployment::{DeploymentRecord, Origin};
use deployd_core::plan::Plan;
use deployd_core::replay::Verdict;
use deployd_core::secret::SecretRef;
use deployd_core::views::{CloneRequest, DeployRequest, RollbackRequest};
use deployd_core::{DeploymentId, Digest, EnvironmentId};
use deployd_engine::EngineError;
use serde_json::json;

use crate::checks::check;
use crate::documents::{self, plugin};
use crate::world::{Stage, assert_succeeded, caller, development};

fn manifests(record: &DeploymentRecord) -> Digest {
    record.work.as_ref().unwrap().result("render").unwrap()
}

fn exactly(of: &DeploymentId) -> DeployRequest {
    DeployRequest { redeploy: Some(of.clone()), exact: true, ..DeployRequest::default() }
}

async fn again(stage: &Stage, of: &DeploymentId) -> DeploymentRecord {
    let id = stage.engine.deploy(&caller(), exactly(of)).await.unwrap().id;
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    record
}

async fn back(stage: &Stage, request: RollbackRequest) -> DeploymentRecord {
    let id = stage.engine.rollback(&caller(), &development(), request).await.unwrap().id;
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    record
}

fn refusals(error: EngineError) -> Vec<String> {
    let EngineError::Invalid { problems } = error else { panic!("{error}") };
    problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect()
}

fn driver_calls(stage: &Stage) -> usize {
    stage.world.drivers().calls.len()
}

#[tokio::test(start_paused = true)]
async fn i12_an_exact_repetition_applies_the_same_bytes_and_asks_no_driver() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let objects = stage.world.cluster().objects.clone();
    let second = stage.deployed("2").await;
    // Today, the same set would be other manifests.
    stage.apply(vec![plugin("templater", "templater", json!({"version": "marks"}))]).await;
    let (calls, resources) = (driver_calls(&stage), stage.state().await.resources);
    let third = again(&stage, &first.id).await;
    assert_eq!(manifests(&third), manifests(&first));
    assert_eq!(stage.world.cluster().objects, objects);
    assert_eq!(driver_calls(&stage), calls, "no driver is asked");
    assert_eq!(stage.state().await.resources, resources);
    let origin = Origin::Redeploy { of: first.id.clone(), exact: true };
    assert_eq!(third.request.origin, origin);
    // A repetition can be repeated, and all of them be made again from records.
    let _ = again(&stage, &second.id).await;
    let fifth = again(&stage, &third.id).await;
    assert_eq!(manifests(&fifth), manifests(&first));
    let replay = stage.engine.replay(&fifth.id, None).await.unwrap();
    assert_eq!(replay.verdict, Verdict::Identical, "{replay:#?}");
    assert!(replay.parts[1].compared.ends_with(&format!("made by deployment {} first", first.id)));
    stage.all_told().await;
    let all: Vec<_> = documents::platform().into_iter().chain(documents::shop("shop")).collect();
    check(&stage.world, &all).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_as_it_was_is_listed_and_nothing_is_accepted() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    stage.world.drivers().script("dns").outputs = json!({"host": "elsewhere.test"});
    stage.deployed("2").await;
    let gone = SecretRef { owner: String::new(), name: "password".to_owned() };
    stage.world.vault.lock().unwrap().retain(|secret, _| secret.name != gone.name);
    let before = stage.state().await.accepted;
    let refused = stage.engine.deploy(&caller(), exactly(&first.id)).await.unwrap_err();
    let told = refusals(refused);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[0], "dns#frontend.site: has other outputs than then: host");
    assert!(told[1].starts_with("Secret shop-development/backend-env: the secret "), "{told:#?}");
    assert_eq!(stage.state().await.accepted, before);
    let alone = DeployRequest { exact: true, ..crate::world::request() };
    let told = refusals(stage.engine.deploy(&caller(), alone).await.unwrap_err());
    assert!(told[0].starts_with("exact: expected only beside redeploy"), "{told:#?}");
    let elsewhere = DeployRequest {
        environment: Some("shop/production".parse().unwrap()),
        ..exactly(&first.id)
    };
    let told = refusals(stage.engine.deploy(&caller(), elsewhere).await.unwrap_err());
    assert!(told[0].contains("was in shop/development"), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn who_goes_back_twice_goes_back_further() {
    let stage = Stage::new().await;
    let nothing = || RollbackRequest::default();
    let refused = stage.engine.rollback(&caller(), &development(), nothing()).await.unwrap_err();
    assert!(refused.to_string().starts_with("nothing runs in shop/development"), "{refused}");
    let first = stage.deployed("1").await;
    let refused = stage.engine.rollback(&caller(), &development(), nothing()).await.unwrap_err();
    assert!(refused.to_string().contains("has nothing to go back to"), "{refused}");
    let second = stage.deployed("2").await;
    // The same once more is nothing to go back to.
    stage.deployed("3").await;
    let fourth = stage.end_of(&stage.deploy().await).await;
    assert_succeeded(&fourth);
    let view = stage.engine.rollback_plan(&development(), &nothing()).await.unwrap();
    assert_eq!((view.from_number, view.to_number, view.exact), (4, 2, true));
    let fifth = back(&stage, nothing()).await;
    assert_eq!(manifests(&fifth), manifests(&second));
    assert_eq!(
        fifth.request.origin,
        Origin::Rollback { to: second.id, from: fourth.id, exact: true, recent: true }
    );
    let sixth = back(&stage, nothing()).await;
    assert_eq!(manifests(&sixth), manifests(&first));
    let refused = stage.engine.rollback(&caller(), &development(), nothing()).await.unwrap_err();
    assert!(refused.to_string().contains("has nothing to go back to"), "{refused}");
    let to = Some("shop/development#3".parse().unwrap());
    back(&stage, RollbackRequest { to, ..nothing() }).await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_repeated_exactly_is_resolved_anew_where_that_is_asked_for() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    stage.world.drivers().script("dns").outputs = json!({"host": "elsewhere.test"});
    stage.deployed("2").await;
    let nothing = RollbackRequest::default();
    let refused = stage.engine.rollback(&caller(), &development(), nothing).await.unwrap_err();
    assert_eq!(refusals(refused), ["dns#frontend.site: has other outputs than then: host"]);
    let resolve = RollbackRequest { resolve: true, ..RollbackRequest::default() };
    let view = stage.engine.rollback_plan(&development(), &resolve).await.unwrap();
    assert!(!view.exact && view.obstacles.len() == 1, "{view:#?}");
    let third = back(&stage, resolve).await;
    assert_eq!(third.request.set, first.request.set);
    assert_ne!(manifests(&third), manifests(&first));
    assert!(matches!(third.request.origin, Origin::Rollback { exact: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_clone_has_the_document_and_the_set_of_the_other_or_is_not_made() {
    let stage = Stage::new().await;
    let request = |name: &str| CloneRequest {
        name: name.parse().unwrap(),
        environment_type: None,
        comment: None,
    };
    let clone = |name: &str| {
        let (engine, request) = (stage.engine.clone(), request(name));
        async move { engine.clone_environment(&caller(), &development(), request).await }
    };
    let refused = clone("copy").await.unwrap_err();
    assert!(refused.to_string().starts_with("nothing runs in shop/development"), "{refused}");
    let copy: EnvironmentId = "shop/copy".parse().unwrap();
    assert!(stage.engine.environment(&copy).await.is_err(), "nothing was stored");
    let first = stage.deployed("1").await;
    let record = clone("copy").await.unwrap();
    let record = stage.end_of(&record.id).await;
    assert_succeeded(&record);
    assert_eq!((record.environment, record.request.set), (copy.clone(), first.request.set));
    let of = development();
    assert_eq!(record.request.origin, Origin::Clone { of, deployment: first.id });
    let view = stage.engine.environment(&copy).await.unwrap();
    assert_eq!(view.environment_type.as_str(), "development");
    for (name, why) in [("copy", "already"), ("development", "already")] {
        let refused = clone(name).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    let other = CloneRequest { environment_type: "none".parse().ok(), ..request("other") };
    let refused = stage.engine.clone_environment(&caller(), &development(), other).await;
    assert_eq!(refused.unwrap_err().to_string(), "there is no environment type none");
}

#[tokio::test(start_paused = true)]
async fn what_is_redeployed_from_elsewhere_is_no_place_to_go_back_from() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let production: EnvironmentId = "shop/production".parse().unwrap();
    let promote = DeployRequest {
        environment: Some(production),
        set_digest: Some(first.request.set),
        ..DeployRequest::default()
    };
    let id = stage.engine.deploy(&caller(), promote).await.unwrap().id;
    let elsewhere = stage.end_of(&id).await;
    assert_succeeded(&elsewhere);
    assert_succeeded(&stage.deployed("2").await);
    let redeploy = DeployRequest { redeploy: Some(elsewhere.id), ..crate::world::request() };
    let id = stage.engine.deploy(&caller(), redeploy).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);
    let view = stage.engine.rollback_plan(&development(), &RollbackRequest::default()).await;
    let view = view.unwrap();
    assert_eq!((view.from_number, view.to_number), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn i15_who_goes_back_goes_by_numbers_and_not_by_the_clock() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.world.clock_off_ms.fetch_sub(3_600_000, Ordering::Relaxed);
    assert_succeeded(&stage.deployed("2").await);
    let record = back(&stage, RollbackRequest::default()).await;
    assert!(matches!(record.request.origin, Origin::Rollback { .. }));
    let nothing = RollbackRequest::default();
    let refused = stage.engine.rollback(&caller(), &development(), nothing).await.unwrap_err();
    assert!(refused.to_string().contains("has nothing to go back to"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_repetition_of_a_healing_takes_nothing_over() {
    let stage = crate::drift::stage(json!({"every": "10m", "heal": "automatic"})).await;
    crate::drift::minutes(5).await;
    crate::drift::meddle(&stage);
    crate::drift::minutes(15).await;
    let page = stage.engine.history(Some(&development()), None, 100).await.unwrap();
    let heals = |one: &&DeploymentRecord| matches!(one.request.origin, Origin::Drift { .. });
    let healed = page.deployments.iter().find(heals).unwrap();
    let takes_over = async |record: &DeploymentRecord| {
        let plan = stage.world.object(record.work.as_ref().unwrap().plan.unwrap()).await;
        serde_json::from_slice::<Plan>(&plan).unwrap().take_over_fields
    };
    let repeated = again(&stage, &healed.id).await;
    assert_eq!((takes_over(healed).await, takes_over(&repeated).await), (true, false));
    let replay = stage.engine.replay(&repeated.id, None).await.unwrap();
    assert_eq!(replay.verdict, Verdict::Identical, "{replay:#?}");
}
