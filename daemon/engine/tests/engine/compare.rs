//! Two deployments compared, sets made of others, and changes carried upward.

use deployd_core::EnvironmentId;
use deployd_core::compare::merge::Prefer;
use deployd_core::compare::{Comparison, PartName, Wanted};
use deployd_core::config::DocumentKind;
use deployd_core::secret::SecretRef;
use deployd_core::set::{Delta, MergeRequest, PatchRequest};
use deployd_core::views::DeployRequest;
use deployd_engine::EngineError;
use serde_json::json;

use crate::documents::{document, environment, image};
use crate::world::{Stage, assert_succeeded, caller, keyed};

async fn compared(stage: &Stage, a: &str, b: &str) -> Comparison {
    let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
    stage.engine.compare(&a, &b, Wanted::default()).await.unwrap()
}

/// `item path` of all fields of a part.
fn fields(comparison: &Comparison, name: PartName) -> Vec<String> {
    let part = comparison.parts.iter().find(|part| part.part == name).unwrap();
    let fields = |item: &deployd_core::compare::ItemChange| -> Vec<String> {
        item.fields.iter().map(|field| format!("{} {}", item.name, field.path)).collect()
    };
    part.items.iter().flat_map(fields).collect()
}

fn production() -> EnvironmentId {
    "shop/production".parse().unwrap()
}

/// What runs in development, in production, too.
async fn in_production(stage: &Stage) {
    let request = DeployRequest {
        environment: Some(production()),
        set_digest: Some(stage.state().await.deployed.unwrap().set),
        ..DeployRequest::default()
    };
    let record = stage.engine.deploy(&caller(), request).await.unwrap();
    assert_succeeded(&stage.end_of(&record.id).await);
}

#[tokio::test(start_paused = true)]
async fn two_deployments_differ_by_what_changed_between_them() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let spec = json!({"application": "shop", "type": "development", "values": {"replicas": 2}});
    stage.apply(vec![document(DocumentKind::Environment, "development", spec)]).await;
    let second = stage.deployed("2").await;
    let found = compared(&stage, "shop/development#1", "shop/development").await;
    assert_eq!(
        (found.a.deployment.as_ref(), found.b.deployment.as_ref()),
        (Some(&first.id), Some(&second.id))
    );
    assert!(!found.equal && !found.is_partial());
    assert_eq!(
        fields(&found, PartName::Set),
        ["workload backend /containers/main/image", "workload frontend /containers/main/image"]
    );
    let values = &found.parts[1];
    assert_eq!((values.added, values.items[0].name.as_str()), (1, "value replicas"));
    assert!(found.parts[2].items.is_empty(), "{:#?}", found.parts[2]);
    assert!(!found.parts[3].items.is_empty());
    // The delta is what leads from one to the other.
    let request = PatchRequest { from: first.id.0.parse().unwrap(), delta: found.delta.clone() };
    let made = stage.engine.patch_set(&caller(), &request).await.unwrap();
    assert_eq!(made.digest, second.request.set);
    assert!(compared(&stage, "shop/development", &second.id.0).await.equal);
    let sets = compared(&stage, &first.request.set.to_string(), "shop/development").await;
    assert!(sets.is_partial() && !sets.equal);
    // No value of a secret, and nothing made of one, is in it.
    let text = serde_json::to_string(&found).unwrap();
    for value in stage.world.vault.lock().unwrap().values() {
        let value = String::from_utf8_lossy(value).into_owned();
        assert!(!text.contains(&value));
    }
}

#[tokio::test(start_paused = true)]
async fn environments_are_compared_and_their_secrets_by_value() {
    let stage = Stage::new().await;
    stage.apply(vec![environment("shop", "production", "development")]).await;
    stage.deployed("1").await;
    in_production(&stage).await;
    let found = compared(&stage, "shop/development", "shop/production").await;
    assert!(found.delta.is_empty());
    let differs = async || {
        let found = compared(&stage, "shop/development", "shop/production").await;
        let text = serde_json::to_string(&found).unwrap();
        assert!(!text.contains("correct horse") && !text.contains("battery staple"));
        let name = "secret postgres#backend.db/password";
        found.parts[1].items.iter().any(|item| item.name == name && item.fields[0].hidden)
    };
    let passwords: Vec<SecretRef> = {
        let vault = stage.world.vault.lock().unwrap();
        vault.keys().filter(|secret| secret.name == "password").cloned().collect()
    };
    assert_eq!(passwords.len(), 2);
    let set = |secret: &SecretRef, value: &str| {
        stage.world.vault.lock().unwrap().insert(secret.clone(), value.as_bytes().to_vec());
    };
    set(&passwords[0], "correct horse");
    set(&passwords[1], "battery staple");
    assert!(differs().await);
    set(&passwords[1], "correct horse");
    assert!(!differs().await);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_was_made_is_kept_listed_and_deployed() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let delta =
        Delta::of_images(&[(("frontend".into(), "main".into()), image("frontend", "9"))].into());
    let request = PatchRequest { from: "shop/development".parse().unwrap(), delta };
    let once = keyed("patch-1", "body");
    let made = stage.engine.patch_set(&once, &request).await.unwrap();
    assert_eq!(stage.engine.patch_set(&once, &request).await.unwrap(), made);
    // Made by somebody else again, it is still what it was.
    let again = stage.engine.patch_set(&caller(), &request).await.unwrap();
    assert_eq!((again.digest, &again.origin), (made.digest, &made.origin));
    assert_eq!(made.origin.from, Some(first.request.set));
    let shop = "shop".parse().unwrap();
    let page = stage.engine.sets(&shop, None, 10).await.unwrap();
    let listed: Vec<_> = page.sets.iter().map(|set| (set.digest, set.runs_in.len())).collect();
    assert_eq!(listed, [(made.digest, 0), (first.request.set, 1)]);
    let one = stage.engine.sets(&shop, None, 1).await.unwrap();
    let other = stage.engine.sets(&shop, one.next.as_deref(), 1).await.unwrap();
    assert_eq!((one.sets[0].digest, other.sets[0].digest), (made.digest, first.request.set));
    assert_eq!(other.next, None);
    let short = made.digest.to_string()[..20].parse().unwrap();
    assert_eq!(stage.engine.resolve(&short).await.unwrap().set, made.digest);
    let deploy = DeployRequest {
        environment: Some("shop/development".parse().unwrap()),
        set_digest: Some(made.digest),
        ..DeployRequest::default()
    };
    let record = stage.engine.deploy(&caller(), deploy).await.unwrap();
    assert_succeeded(&stage.end_of(&record.id).await);
    let page = stage.engine.sets(&shop, None, 10).await.unwrap();
    assert_eq!(page.sets[0].runs_in.len(), 1);
    let events = stage.world.events().await;
    assert_eq!(events.iter().filter(|event| event.event.kind == "set-made").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delta_that_does_not_fit_and_a_secret_by_hand_make_no_set() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    let secret = SecretRef { owner: "a".into(), name: "b".into() }.to_string();
    for (path, value, said) in [
        ("/containers/other/image", "x", "there is no \"other\", but \"main\""),
        ("/containers/main/image", secret.as_str(), "can't be written by hand"),
    ] {
        let operation = json!([{"op": "replace", "path": path, "value": value}]);
        let delta = json!({"workloads": {"update": {"backend": operation}}});
        let delta = serde_json::from_value(delta).unwrap();
        let request = PatchRequest { from: "shop/development".parse().unwrap(), delta };
        let refused = stage.engine.patch_set(&caller(), &request).await.unwrap_err();
        assert!(matches!(refused, EngineError::Invalid { .. }), "{refused:?}");
        assert!(refused.to_string().contains(said), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_changed_in_one_environment_is_carried_to_another() {
    let stage = Stage::new().await;
    stage.apply(vec![environment("shop", "production", "development")]).await;
    stage.deployed("1").await;
    in_production(&stage).await;
    stage.deployed("2").await;
    let request = |prefer| MergeRequest {
        base: "shop/development#1".parse().unwrap(),
        theirs: "shop/development#2".parse().unwrap(),
        onto: "shop/production".parse().unwrap(),
        prefer,
    };
    let merged = stage.engine.merge_sets(&caller(), &request(None)).await.unwrap();
    assert_eq!(merged.delta.workloads.update.len(), 2);
    let theirs = stage.engine.resolve(&request(None).theirs).await.unwrap().set;
    assert_eq!(merged.set.digest, theirs, "production had what development had before");
    // Production goes its own way with one of the images.
    let delta =
        Delta::of_images(&[(("backend".into(), "main".into()), image("backend", "7"))].into());
    let deploy = DeployRequest {
        environment: Some(production()),
        delta: Some(delta),
        ..DeployRequest::default()
    };
    let record = stage.engine.deploy(&caller(), deploy).await.unwrap();
    assert_succeeded(&stage.end_of(&record.id).await);
    let refused = stage.engine.merge_sets(&caller(), &request(None)).await.unwrap_err();
    let EngineError::Unmerged { conflicts } = refused else { panic!("{refused:?}") };
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].path, "/workloads/backend/containers/main/image");
    assert_eq!(conflicts[0].ours, Some(image("backend", "7").into()));
    let ours = stage.engine.merge_sets(&caller(), &request(Some(Prefer::Ours))).await.unwrap();
    assert_eq!(ours.delta.workloads.update.keys().collect::<Vec<_>>(), ["frontend"]);
    let theirs = stage.engine.merge_sets(&caller(), &request(Some(Prefer::Theirs))).await.unwrap();
    assert_eq!(theirs.set.digest, merged.set.digest);
    assert_eq!(theirs.conflicts, conflicts);
}
