//! Environments that are pulled, from a real Git server, by pull requests too.

use fixtures::forges::{ForgeServer, Kind, Standing, Way};
use serde_json::{Value, json};

use crate::pulling::Pulling;
use crate::rollouts::run;
use crate::sample::{document, request};
use crate::stage::{ENVIRONMENT, Stage};
use crate::wait::until;

/// The sample's environment type, with a change.
async fn changed(stage: &Stage, change: impl FnOnce(&mut Value)) -> Value {
    let path = "/v1/documents/EnvironmentType/development";
    let mut found = stage.client.get(path).await.ok()["document"]["spec"].clone();
    change(&mut found);
    document("EnvironmentType", "development", found)
}

/// The same, pulled.
async fn pulled(stage: &Stage, spec: Value) {
    let document = changed(stage, |found| {
        found["target"] = json!("git");
        found["git"] = spec;
    });
    stage.client.post("/v1/documents:apply", &request(&[document.await])).await.ok();
}

/// The sample, whose environment Argo CD pulls.
async fn by_argo_cd() -> (Stage, Pulling) {
    let stage = Stage::set().await;
    let mut pulling = Pulling::begin(&stage).await;
    pulling.by_argo_cd(&stage, "development").await;
    pulled(&stage, pulling.spec()).await;
    (stage, pulling)
}

fn published(record: &Value) -> Vec<Value> {
    let steps = record["work"]["steps"].as_array().unwrap();
    steps.iter().filter_map(|step| step.get("published").cloned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_a_commit_that_argo_cd_brings_and_a_person_goes_back_by_another() {
    let (stage, pulling) = by_argo_cd().await;
    let first = stage.deployed('1').await;
    let second = stage.deployed('2').await;
    assert!(stage.image_of("backend").ends_with(&"2".repeat(64)));
    let log =
        pulling.git(&["log", "--format=%(trailers:key=Deployd-Deployment,valueonly)", "main"]);
    let named: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(named, [second.as_str(), first.as_str()], "one commit for each");
    assert_eq!(pulling.git(&["show", "main:apps/shop/OWNERS"]), "ana");
    pulling.git(&["fsck", "--strict"]);
    // No secret is anywhere in it.
    let kinds = pulling.git(&["grep", "-h", "^kind:", "main", "--", "apps/shop/development"]);
    assert!(kinds.contains("Deployment") && !kinds.contains("Secret"), "{kinds}");

    let path = "/v1/environments/shop/development/rollback";
    let back = stage.client.post(path, &json!({})).await.ok();
    let back = stage.ended(back["id"].as_str().unwrap()).await;
    assert_eq!(back["outcome"], "succeeded", "{back:#}");
    assert!(stage.image_of("backend").ends_with(&"1".repeat(64)));
    let tree = |revision: &str| pulling.git(&["rev-parse", &format!("{revision}:apps")]);
    assert_eq!(tree("main"), tree("main~2"), "as it was, and nothing is rewritten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_opened_with_the_plan_and_whoever_merges_it_has_agreed() {
    let (stage, pulling) = by_argo_cd().await;
    let forge = ForgeServer::start(Kind::Gitea, &pulling.repository, "acme/environments").unwrap();
    stage.secret("forge-token", &forge.token).await;
    let mut spec = pulling.spec();
    let host = json!({"host": "127.0.0.1", "port": forge.port, "scheme": "http",
        "privateAddress": true,
        "credential": {"secret": "forge-token", "form": "raw", "prefix": "token "}});
    spec["hosts"].as_array_mut().unwrap().push(host);
    spec["pullRequest"] =
        json!({"forge": "gitea", "api": forge.api(), "project": "acme/environments"});
    pulled(&stage, spec).await;
    let id = stage.announce('1').await;
    let pull = until("a pull request", || async { forge.pulls().into_iter().next() }).await;
    assert!(pull.body.contains("backend") && pull.body.contains("Deployment"), "{}", pull.body);
    assert_eq!(pulling.git(&["log", "--format=%s", "main"]), "begin");
    // What comes by itself and is newer takes its place.
    let newer = stage.announce('2').await;
    assert_eq!(stage.ended(&id).await["outcome"], "superseded");
    until("the first is closed", || async {
        (forge.pulls()[0].standing == Standing::Closed).then_some(())
    })
    .await;
    let second = until("the second", || async { forge.pulls().into_iter().nth(1) }).await;
    forge.merge(second.number, "ana", Way::Squash).unwrap();
    let record = stage.ended(&newer).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert!(stage.image_of("backend").ends_with(&"2".repeat(64)));
    let merged = published(&record).into_iter().find(|one| one["pullRequest"].is_object());
    assert_eq!(merged.unwrap()["pullRequest"]["by"], "ana");
    let branches = pulling.git(&["branch", "--format=%(refname:short)"]);
    assert_eq!(branches, "main", "no branch is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_the_repository_is_drift_and_a_conflict() {
    let (stage, pulling) = by_argo_cd().await;
    stage.deployed('1').await;
    let work = stage.folder().join("theirs");
    let url = pulling.repository.to_str().unwrap().to_owned();
    fixtures::git_server::git(stage.folder(), &["clone", "-q", &url, "theirs"]).unwrap();
    let file = work.join("apps/shop/development/deployment-frontend.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("replicas: 2", "replicas: 3");
    std::fs::write(&file, text).unwrap();
    fixtures::git_server::git(&work, &["commit", "-q", "-a", "-m", "more of it"]).unwrap();
    fixtures::git_server::git(&work, &["push", "-q"]).unwrap();

    let report = stage.client.post("/v1/environments/shop/development/drift", &json!({})).await;
    let report = report.ok().to_string();
    assert!(report.contains("deployment-frontend.yaml") && report.contains("replicas"), "{report}");
    let id = stage.announce('2').await;
    let record = stage.ended(&id).await;
    assert_eq!(record["fault"]["code"], "git-edited", "{record:#}");
    let message = record["fault"]["message"].as_str().unwrap();
    assert!(message.contains("Jane") && message.contains("takeOverFields"), "{message}");
    assert!(pulling.git(&["log", "--format=%s", "-1", "main"]).contains("more of it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_a_commit_for_each_step_that_flux_brings() {
    let stage = Stage::set().await;
    let mut pulling = Pulling::begin(&stage).await;
    pulling.by_flux(&stage, "development").await;
    pulled(&stage, pulling.spec()).await;
    stage.deployed('1').await;
    let before = pulling.git(&["rev-parse", "main:apps"]);
    let stepping = changed(&stage, |found| {
        found["strategy"] = json!({"plugin": "canary", "config": {"steps": [
            {"weight": 50}, {"pause": {"message": "look at it"}},
        ]}});
    });
    let canary = json!({"kind": "strategy", "source": {"shipped": "canary"}});
    let documents = [document("Plugin", "canary", canary), stepping.await];
    stage.client.post("/v1/documents:apply", &request(&documents)).await.ok();

    let said = run(&stage, ["plan", ENVIRONMENT]).await;
    assert!(said.out.contains("each step is a commit"), "{said:?}");
    let id = stage.announce('2').await;
    stage.paused(&id).await;
    let step = pulling.git(&["show", "main:apps/shop/development/deployment-frontend-canary.yaml"]);
    assert!(step.contains(&"2".repeat(64)), "{step}");
    assert!(stage.image_of("frontend-canary").ends_with(&"2".repeat(64)), "it was pulled");
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)), "not touched yet");
    let said = run(&stage, ["abort", ENVIRONMENT, "-m", "latency"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let record = stage.ended(&id).await;
    assert_ne!(record["outcome"], "succeeded", "{record:#}");
    assert_eq!(pulling.git(&["rev-parse", "main:apps"]), before, "by commits");

    let id = stage.announce('3').await;
    stage.paused(&id).await;
    let said = run(&stage, ["promote", ENVIRONMENT, "-m", "seen enough"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert!(stage.image_of("frontend").ends_with(&"3".repeat(64)));
    let files = pulling.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert!(!files.contains("canary"), "nothing is left of it: {files}");
    pulling.git(&["fsck", "--strict"]);
}
