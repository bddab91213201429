//! Rollouts in tracks of environments that are pulled: each step is a commit, and all of
//! what is to be there is in each.

use std::collections::BTreeSet;

use deployd_core::deployment::Outcome;
use serde_json::{Value, json};

use crate::documents::{image, plugin};
use crate::fakes::repositories::Contents;
use crate::pulled::{crashing, environment_type, ours, stage};
use crate::rollouts::{apply, canary, pause, ready, retire, shift};
use crate::world::{Stage, World, assert_succeeded, caller};

/// A shop that runs its first version, pulled, and is rolled out by a program from now
/// on.
async fn running(program: &Value) -> Stage {
    let stage = stage(json!({})).await;
    stage.apply(vec![plugin("templater", "templater", json!({"tracks": true}))]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage
        .apply(vec![environment_type(&json!({"strategy": {"config": {"program": program}}}))])
        .await;
    stage
}

/// A canary that nobody has to resume.
fn unattended() -> Value {
    let mut program = canary().as_array().unwrap().clone();
    program.retain(|action| action["do"] != "pause");
    json!(program)
}

fn head(world: &World) -> Contents {
    world.git().head("main").unwrap().files.clone()
}

/// What everybody needs is in every commit, from the first one of ours on.
fn assert_whole(world: &World, at: &str) {
    let git = world.git();
    for commit in git.log("main").iter().filter(|commit| !commit.key.is_empty()) {
        for of in
            ["deployment-frontend", "deployment-backend", "service-frontend", "statefulset-db"]
        {
            let file = format!("apps/shop/development/{of}.yaml");
            assert!(commit.files.contains_key(&file), "{file} is not in {commit:#?}; {at}");
        }
    }
}

/// How many commits have each key: one, whatever has happened.
fn assert_each_once(world: &World, at: &str) {
    let git = world.git();
    let mut seen = BTreeSet::new();
    for commit in git.log("main").iter().filter(|commit| !commit.key.is_empty()) {
        assert!(seen.insert(commit.key.clone()), "{} was committed twice; {at}", commit.key);
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_a_commit_for_each_step_which_is_pulled_before_the_next() {
    let stage = running(&canary()).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    let spec = |name: &str, pointer: &str| {
        let cluster = stage.world.cluster();
        let object = cluster.object("Deployment", name).unwrap_or_else(|| panic!("no {name}"));
        object.pointer(pointer).cloned().unwrap_or_default()
    };
    let image_at = "/spec/template/spec/containers/0/image";
    assert_eq!(spec("frontend", image_at), json!(image("frontend", "1")), "not touched yet");
    assert_eq!(spec("frontend-canary", image_at), json!(image("frontend", "2")));
    assert_eq!(spec("frontend", "/spec/replicas"), 3);
    assert_eq!(spec("frontend-canary", "/spec/replicas"), 1);
    stage.resume(&id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    assert_whole(&stage.world, "all of it");
    assert!(ours(&stage.world).len() > 4, "one for each step");

    let plain = running(&json!([apply("stable"), ready("stable")])).await;
    assert_succeeded(&plain.deployed("2").await);
    assert_eq!(head(&stage.world), head(&plain.world), "what a plain rollout leaves");
    assert_eq!(ours(&plain.world).len(), 2, "which is one commit");
    assert_eq!(stage.world.cluster().objects, plain.world.cluster().objects);
}

#[tokio::test(start_paused = true)]
async fn an_abort_in_the_middle_leaves_the_branch_as_it_was_before() {
    for at in 1..=8 {
        let mut program = unattended().as_array().unwrap().clone();
        program.insert(at.min(program.len()), pause());
        let stage = running(&json!(program)).await;
        let (before, objects) = (head(&stage.world), stage.world.cluster().objects.clone());
        let id = stage.announce("2").await;
        stage.paused(&id).await;
        stage.engine.cancel(&caller(), &id, Some("latency".to_owned())).await.unwrap();
        let record = stage.end_of(&id).await;
        assert_eq!(record.outcome, Some(Outcome::Cancelled), "paused at {at}");
        assert_eq!(head(&stage.world), before, "paused at {at}");
        assert_eq!(stage.world.cluster().objects, objects, "paused at {at}");
        assert_whole(&stage.world, &format!("paused at {at}"));
    }
}

#[tokio::test(start_paused = true)]
async fn i6_a_crash_at_any_point_of_a_canary_commits_no_step_twice() {
    let program = json!([
        apply("canary"),
        ready("canary"),
        shift(25),
        apply("stable"),
        ready("stable"),
        shift(0),
        retire(),
    ]);
    let (calm, life, _) = crashing(running(&program).await, None).await;
    let (expected, count) = (head(&calm.world), ours(&calm.world).len());
    let points = life.passed();
    assert!(points > 60, "{points}");
    for point in 1..=points {
        let (stage, life, id) = crashing(running(&program).await, Some(point)).await;
        let at = format!("point {point}, {}", life.last());
        let record = stage.engine.deployment(&id).await.unwrap();
        assert_eq!(record.outcome, Some(Outcome::Succeeded), "{at}: {:#?}", record.fault);
        assert_eq!(ours(&stage.world).len(), count, "{at}");
        assert_each_once(&stage.world, &at);
        assert_whole(&stage.world, &at);
        assert_eq!(head(&stage.world), expected, "{at}");
        assert_eq!(stage.world.cluster().objects, calm.world.cluster().objects, "{at}");
    }
}
