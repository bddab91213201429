//! Environments that are pulled: committed, directly or by a pull request, and there
//! once somebody has pulled them.

use std::collections::BTreeSet;
use std::time::Duration;

use deployd_core::DeploymentId;
use deployd_core::config::DocumentKind;
use deployd_core::deployment::{DeploymentRecord, Outcome};
use deployd_core::ports::{EDITED, PullRequestState};
use deployd_core::pull::Published;
use deployd_core::views::{RollbackRequest, TeardownRequest};
use serde_json::{Value, json};

use crate::documents::{self, artifact, image};
use crate::fakes::life::Life;
use crate::fakes::repositories::pulled;
use crate::world::{Stage, World, assert_succeeded, caller, deployment_of, development, keyed};

const PATH: &str = "apps/shop/development";

pub fn environment_type(with: &Value) -> deployd_core::config::Document {
    let mut spec = json!({
        "templater": {"plugin": "templater", "baseline": "the platform's"},
        "strategy": {"plugin": "rolling", "config": {"program": in_place(&["backend", "frontend"])}},
    });
    json_patch::merge(&mut spec, &pulled());
    json_patch::merge(&mut spec, with);
    documents::document(DocumentKind::EnvironmentType, "development", spec)
}

/// What `rolling` does where all of it is one commit.
fn in_place(workloads: &[&str]) -> Value {
    json!([
        {"do": "apply", "track": "stable", "workloads": workloads},
        {"do": "await-ready", "track": "stable", "workloads": workloads, "deadline-ms": 60_000},
        {"do": "complete"},
    ])
}

pub async fn stage(with: Value) -> Stage {
    let stage = Stage::new().await;
    stage.apply(vec![environment_type(&with)]).await;
    stage
}

async fn by_request() -> Stage {
    let request = json!({"forge": "gitea", "api": "https://forge.test/api/v1", "project": "a/b"});
    stage(json!({"git": {"pullRequest": request}})).await
}

fn published(record: &DeploymentRecord) -> Vec<Published> {
    let steps = &record.work.as_ref().unwrap().steps;
    steps.iter().filter_map(|step| step.published.as_deref().cloned()).collect()
}

/// Commits of ours on the branch, the newest first.
pub fn ours(world: &World) -> Vec<String> {
    let git = world.git();
    let log = git.log("main").into_iter().filter(|commit| !commit.key.is_empty());
    log.map(|commit| commit.id.0.clone()).collect()
}

fn paths(world: &World) -> BTreeSet<String> {
    let git = world.git();
    git.head("main").into_iter().flat_map(|head| head.files.keys().cloned()).collect()
}

fn in_the_branch(world: &World, text: &str) -> bool {
    let git = world.git();
    let texts = git.head("main").into_iter().flat_map(|head| head.files.values());
    texts.into_iter().any(|bytes| String::from_utf8_lossy(bytes).contains(text))
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_one_commit_and_has_succeeded_once_it_runs() {
    let stage = stage(json!({})).await;
    stage.world.git().edit("main", "apps/shop/development/notes.md", Some("ours"));
    let first = stage.deployed("1").await;
    assert_succeeded(&first);
    let commits = ours(&stage.world);
    assert_eq!(commits.len(), 1, "one deployment, one commit");
    let all = published(&first);
    assert!(all.iter().any(|one| one.changed && one.commit.0 == commits[0]), "{all:#?}");
    let files = paths(&stage.world);
    for file in ["deployment-frontend.yaml", "deployment-backend.yaml", "statefulset-db.yaml"] {
        assert!(files.contains(&format!("{PATH}/{file}")), "{files:?}");
    }
    assert!(files.contains(&format!("{PATH}/notes.md")), "what others have there stays");
    // What has secrets is applied, and is in no file.
    assert!(!files.iter().any(|file| file.contains("secret")), "{files:?}");
    let secret = stage.world.cluster().object("Secret", "backend-env").cloned().unwrap();
    assert!(secret["stringData"]["DB"].as_str().unwrap().contains("db.test"), "{secret}");
    // The same again changes nothing.
    let again = stage.deploy().await;
    assert_succeeded(&stage.end_of(&again).await);
    assert_eq!(ours(&stage.world).len(), 1, "what is there already needs no commit");
    let message = stage.world.git().log("main")[0].message.clone();
    assert!(message.contains(&format!("Deployd-Deployment: {}", first.id.0)), "{message}");
}

#[tokio::test(start_paused = true)]
async fn committed_is_not_deployed_before_somebody_has_pulled_it() {
    let stage = stage(json!({})).await;
    stage.world.git().unpulled = true;
    let id = stage.announce("1").await;
    stage.until("a commit", |world| !ours(world).is_empty()).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    let record = stage.engine.deployment(&id).await.unwrap();
    assert_eq!(record.outcome, None, "nobody has pulled it");
    stage.world.git().unpulled = false;
    stage.world.pull();
    assert_succeeded(&stage.end_of(&id).await);
}

#[tokio::test(start_paused = true)]
async fn who_never_pulls_makes_it_fail_and_says_so() {
    let stage = stage(json!({})).await;
    stage.world.git().unpulled = true;
    let record = stage.deployed("1").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let fault = record.fault.unwrap();
    assert!(fault.message.contains("was not brought to the cluster"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_fails_goes_back_by_a_commit() {
    let stage = stage(json!({})).await;
    assert_succeeded(&stage.deployed("1").await);
    let before = stage.world.git().head("main").unwrap().files.clone();
    stage.world.cluster().broken.insert(image("frontend", "2"));
    let second = stage.deployed("2").await;
    assert_eq!(second.outcome, Some(Outcome::RolledBack));
    assert_eq!(ours(&stage.world).len(), 3, "there, and back again, and nothing rewritten");
    assert_eq!(stage.world.git().head("main").unwrap().files, before);
}

#[tokio::test(start_paused = true)]
async fn somebody_s_rollback_is_a_commit() {
    let stage = stage(json!({})).await;
    assert_succeeded(&stage.deployed("1").await);
    let before = stage.world.git().head("main").unwrap().files.clone();
    assert_succeeded(&stage.deployed("2").await);
    let request = RollbackRequest::default();
    let back = stage.engine.rollback(&caller(), &development(), request).await.unwrap();
    assert_succeeded(&stage.end_of(&back.id).await);
    assert_eq!(stage.world.git().head("main").unwrap().files, before);
    assert_eq!(ours(&stage.world).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_others_have_changed_in_our_files_is_a_conflict_and_stays() {
    let stage = stage(json!({})).await;
    assert_succeeded(&stage.deployed("1").await);
    let file = format!("{PATH}/deployment-backend.yaml");
    stage.world.git().edit("main", &file, Some("kind: Other\n"));
    let second = stage.deployed("2").await;
    assert_eq!(second.fault.as_ref().unwrap().code, EDITED, "{:#?}", second.fault);
    assert!(in_the_branch(&stage.world, "kind: Other"), "nobody's work is lost");
    assert_eq!(ours(&stage.world).len(), 1, "nothing was committed, and nothing back");
    // Whose type says so takes it over.
    stage.apply(vec![environment_type(&json!({"takeOverFields": true}))]).await;
    let id = stage.deploy().await;
    assert_succeeded(&stage.end_of(&id).await);
    assert!(!in_the_branch(&stage.world, "kind: Other"));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_any_more_goes_in_the_same_commit() {
    let stage = stage(json!({})).await;
    assert_succeeded(&stage.deployed("1").await);
    let spec = json!({
        "workloads": ["backend"],
        "artifacts": [{"repository": "registry.test/shop/backend", "workload": "backend"}],
        "flow": [{"environment": "development"}],
    });
    let config = json!({"strategy": {"config": {"program": in_place(&["backend"])}}});
    let shop = documents::document(DocumentKind::Application, "shop", spec);
    stage.apply(vec![shop, environment_type(&config)]).await;
    let id = stage.deploy().await;
    assert_succeeded(&stage.end_of(&id).await);
    assert!(!paths(&stage.world).contains(&format!("{PATH}/deployment-frontend.yaml")));
    assert_eq!(ours(&stage.world).len(), 2, "one commit for the second");
    assert!(stage.world.cluster().object("Deployment", "frontend").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_goes_takes_its_files_with_it() {
    let stage = stage(json!({})).await;
    stage.world.git().edit("main", "apps/shop/development/notes.md", Some("ours"));
    assert_succeeded(&stage.deployed("1").await);
    let request = TeardownRequest::default();
    let away = stage.engine.teardown(&caller(), &development(), request).await.unwrap();
    assert_succeeded(&stage.end_of(&away.id).await);
    assert_eq!(paths(&stage.world), BTreeSet::from([format!("{PATH}/notes.md")]));
    let left = stage.world.cluster().names();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pull_request_is_merged_by_somebody_who_is_recorded() {
    let stage = by_request().await;
    stage.world.git().edit("main", "README.md", Some("environments"));
    let id = stage.announce("1").await;
    stage.until("a request", |world| world.git().requests.len() == 1).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    stage.all_told().await;
    let received: Vec<Value> =
        stage.world.receivers().received.iter().map(|received| received.event()).collect();
    let asked: Vec<&Value> =
        received.iter().filter(|event| event["type"] == "deployment.proposed").collect();
    let [asked] = asked[..] else { panic!("told once, however long it waits: {received:#?}") };
    let message = asked["data"]["message"].as_str().unwrap();
    assert!(message.contains("https://forge.test/"), "{message}");
    assert!(ours(&stage.world).is_empty(), "nothing before it is merged");
    let body = stage.world.git().requests[0].body.clone();
    assert!(body.contains("shop/development") && body.contains("backend"), "{body}");
    assert!(!in_the_branch(&stage.world, "backend"));
    stage.world.git().merge(1, "ana");
    stage.world.pull();
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    let by: Vec<Option<String>> = published(&record)
        .iter()
        .filter_map(|one| one.pull_request.as_ref())
        .map(|request| match &request.state {
            PullRequestState::Merged { by, .. } => by.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(by, [Some("ana".to_owned())]);
    assert_eq!(stage.world.git().branches.len(), 1, "the branch of the request is gone");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_closed_ends_it_and_one_that_was_changed_is_not_what_was_planned() {
    let stage = by_request().await;
    let id = stage.announce("1").await;
    stage.until("a request", |world| world.git().requests.len() == 1).await;
    stage.world.git().close(1, "bob");
    let record = stage.end_of(&id).await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let fault = record.fault.unwrap();
    assert!(fault.message.contains("bob has closed"), "{fault}");

    let id = stage.deploy().await;
    stage.until("another request", |world| world.git().requests.len() == 2).await;
    let from = stage.world.git().requests[1].from.clone();
    let file = format!("{PATH}/deployment-backend.yaml");
    stage.world.git().edit(&from, &file, Some("kind: Other\n"));
    stage.world.git().merge(2, "eve");
    let record = stage.end_of(&id).await;
    assert_eq!(record.fault.unwrap().code, EDITED);
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_closes_the_request_of_the_older_one() {
    let stage = by_request().await;
    let first = stage.announce("1").await;
    stage.until("a request", |world| world.git().requests.len() == 1).await;
    let second = stage.announce("2").await;
    let record = stage.end_of(&first).await;
    assert_eq!(record.outcome, Some(Outcome::Superseded), "{:#?}", record.fault);
    stage.until("another request", |world| world.git().requests.len() == 2).await;
    let state = stage.world.git().requests[0].state.clone();
    assert!(matches!(state, PullRequestState::Closed { .. }), "{state:?}");
    stage.world.git().merge(2, "ana");
    stage.world.pull();
    assert_succeeded(&stage.end_of(&second).await);
}

#[tokio::test(start_paused = true)]
async fn who_steps_a_workload_is_waited_for_with_it_whosever_object_says_so() {
    for stage in [stage(json!({})).await, Stage::new().await] {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "steps-of-frontend"},
            "spec": {"workloadRef":
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "frontend"}},
        });
        stage.world.drivers().script("postgres").manifests.push(rollout);
        assert_succeeded(&stage.deployed("1").await);
        let calls = stage.world.cluster().calls.clone();
        let waits: Vec<&Vec<String>> =
            calls.iter().filter(|(call, _)| *call == "await").map(|(_, names)| names).collect();
        let with_it: Vec<&&Vec<String>> =
            waits.iter().filter(|names| names.iter().any(|it| it == "steps-of-frontend")).collect();
        assert!(!with_it.is_empty(), "{waits:?}");
        assert!(with_it.iter().all(|names| names.iter().any(|it| it == "frontend")), "{waits:?}");
    }
}

/// A second version, committed in a process that ends at a point.
pub async fn crashing(first: Stage, point: Option<usize>) -> (Stage, Life, DeploymentId) {
    first.all_told().await;
    first.engine.stop().await;
    let world = first.world;
    let life = point.map_or_else(Life::long, Life::ending_at);
    let stage = Stage { world: world.clone(), engine: world.engine(&life) };
    let whole = async {
        stage.engine.start().await.unwrap();
        let id = stage.second().await;
        stage.end_of(&id).await;
        id
    };
    let ended = tokio::select! {
        biased;
        () = life.died() => None,
        id = whole => Some(id),
    };
    if let Some(id) = ended {
        return (stage, life, id);
    }
    stage.engine.abort();
    let stage = Stage { engine: world.engine(&Life::long()), world };
    stage.engine.start().await.unwrap();
    let id = stage.second().await;
    stage.end_of(&id).await;
    (stage, life, id)
}

impl Stage {
    /// A shop that runs its first version.
    async fn first() -> Self {
        let stage = stage(json!({})).await;
        assert_succeeded(&stage.deployed("1").await);
        stage
    }

    async fn second(&self) -> DeploymentId {
        let artifacts = ["frontend", "backend"].map(|w| artifact(w, "2")).to_vec();
        let announced = self.engine.announce(&keyed("two", "two"), artifacts).await.unwrap();
        deployment_of(&announced)
    }
}

#[tokio::test(start_paused = true)]
async fn i6_a_crash_at_any_point_leaves_one_commit_and_no_half_tree() {
    let (calm, life, _) = crashing(Stage::first().await, None).await;
    let expected = calm.world.git().head("main").unwrap().files.clone();
    assert!(in_the_branch(&calm.world, &image("frontend", "2")));
    let points = life.passed();
    assert!(points > 30, "{points}");
    for point in 1..=points {
        let (stage, life, id) = crashing(Stage::first().await, Some(point)).await;
        let at = format!("point {point}, {}", life.last());
        let record = stage.engine.deployment(&id).await.unwrap();
        assert_eq!(record.outcome, Some(Outcome::Succeeded), "{at}: {:#?}", record.fault);
        let commits = ours(&stage.world);
        assert_eq!(commits.len(), 2, "one for each deployment; {at}");
        let named = published(&record);
        let made: Vec<&Published> = named.iter().filter(|one| one.changed).collect();
        assert!(made.iter().any(|one| one.commit.0 == commits[0]), "it knows its commit; {at}");
        assert_eq!(stage.world.git().head("main").unwrap().files, expected, "{at}");
    }
}
