//! The daemon in daily use, and what its operators do with it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use deployd_practice::{Behaviour, PodMatch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::compiled;
use crate::daemon::{Start, free_port};
use crate::program::{Build, deployd};
use crate::sample;
use crate::stage::{ENVIRONMENT, Stage, begun};
use crate::wait::until;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A deployment that waits for pods that do not become ready.
async fn stuck(stage: &Stage, digit: char) -> String {
    stage.practice.behaviours().set(PodMatch::any().image("shop/"), Behaviour::NeverReady);
    let id = stage.announce(digit).await;
    until("it waits for pods", || async {
        let record = stage.deployment(&id).await;
        let steps = record["work"]["steps"].as_array().cloned().unwrap_or_default();
        let waits = |step: &Value| step["id"] == "rollout:2" && step["status"] == "running";
        steps.iter().any(waits).then_some(())
    })
    .await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_what_only_its_user_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::new(Build::Plain, folder.path());
    let mut daemon = start.ready().await;
    assert_eq!(mode(daemon.data()), 0o700);
    assert_eq!(mode(&daemon.data().join("admin-token")), 0o600);
    assert_eq!(mode(&daemon.data().join("secrets.key")), 0o600);
    let token = std::fs::read(daemon.data().join("admin-token")).unwrap();
    let client = daemon.client();
    assert_eq!(client.get("/v1/whoami").await.ok()["scope"], "admin");
    assert_eq!(client.with_token("").get("/healthz").await.status, 200);
    assert_eq!(client.with_token("").get("/v1/whoami").await.status, 401);
    assert_eq!(client.with_token("dpl_nonsense").get("/v1/whoami").await.status, 401);
    let metrics = client.get("/metrics").await;
    assert!(metrics.text.contains("deployd_store_commits_total "), "{}", metrics.text);
    assert!(daemon.stop().await.success());
    // For a file, without colours.
    assert!(daemon.log().contains("deployd serves") && !daemon.log().contains('\x1b'));
    let daemon = start.ready().await;
    assert_eq!(std::fs::read(daemon.data().join("admin-token")).unwrap(), token);
    assert_eq!(daemon.client().get("/v1/tokens").await.ok().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn i7_a_stop_in_the_middle_of_a_deployment_is_resumed() {
    let mut stage = Stage::set().await;
    let id = stuck(&stage, '1').await;
    assert!(stage.daemon.stop().await.success(), "{}", stage.daemon.log());
    stage.start_again().await;
    stage.practice.behaviours().clear();
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    stage.told("deployment.succeeded", &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crashes_is_rolled_back_and_said_why() {
    let stage = Stage::set().await;
    stage.deployed('1').await;
    let before = stage.image_of("frontend");
    let broken = PodMatch::any().image("2".repeat(64));
    stage.practice.behaviours().set(broken, Behaviour::crash_loop());
    let id = stage.announce('2').await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(stage.image_of("frontend"), before);
    // Why: in the record, in the webhook, and with the container's own words.
    let fault = record["fault"]["message"].as_str().unwrap();
    assert!(fault.contains("frontend") || fault.contains("backend"), "{fault}");
    let told = stage.told("deployment.rolled-back", &id).await;
    assert!(told.to_string().contains(&id), "{told:#}");
    let logs = stage.client.get(&format!("/v1/deployments/{id}/logs?limit=500")).await.text;
    assert!(logs.contains("CrashLoopBackOff"), "{logs}");
    let told = record.to_string();
    assert!(told.contains("fatal: cannot start: missing configuration"), "{record:#}");
    // What ran before runs, and is what is said to run.
    let environment = stage.client.get(&format!("/v1/environments/{ENVIRONMENT}")).await.ok();
    assert!(environment["images"].to_string().contains(&"1".repeat(64)), "{environment:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_ends_and_leaves_what_ran_before() {
    let stage = Stage::set().await;
    stage.deployed('1').await;
    let id = stuck(&stage, '2').await;
    let cancel = json!({"reason": "the wrong one"});
    let answer = stage.client.post(&format!("/v1/deployments/{id}/cancel"), &cancel).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    // What ran before is ready again once it is asked for.
    stage.practice.behaviours().clear();
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "cancelled", "{record:#}");
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
    // Once it is over there is nothing to cancel.
    let again = stage.client.post(&format!("/v1/deployments/{id}/cancel"), &cancel).await;
    assert_eq!(again.status, 409, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn i4_the_newest_image_in_the_queue_supersedes_the_others() {
    let stage = Stage::set().await;
    let first = stuck(&stage, '1').await;
    let second = stage.announce('2').await;
    let third = stage.announce('3').await;
    let record = stage.ended(&second).await;
    assert_eq!(record["outcome"], "superseded", "{record:#}");
    stage.practice.behaviours().clear();
    assert_eq!(stage.ended(&first).await["outcome"], "succeeded");
    assert_eq!(stage.ended(&third).await["outcome"], "succeeded");
    assert!(stage.image_of("backend").ends_with(&"3".repeat(64)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_is_what_is_executed() {
    let stage = Stage::set().await;
    let first = stage.deployed('1').await;
    let second = stage.deployed('2').await;
    let request = json!({"environment": ENVIRONMENT, "redeploy": first});
    let plan = stage.client.post("/v1/deployments?dry_run=true", &request).await.ok();
    assert!(plan["preview"].to_string().contains(&"1".repeat(64)), "{plan:#}");
    let history = stage.client.get("/v1/deployments").await.ok();
    assert_eq!(history["deployments"].as_array().unwrap().len(), 2);
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)));

    // Another plan than the expected one is not executed.
    let other = stage.deployment(&second).await["work"]["plan"].clone();
    let again = |plan: &Value| json!({"redeploy": first, "expectedPlan": plan});
    let refused = stage.client.post("/v1/deployments", &again(&other)).await.ok();
    let record = stage.ended(refused["id"].as_str().unwrap()).await;
    assert_eq!(record["outcome"], "failed", "{record:#}");
    assert_eq!(record["fault"]["class"], "conflict", "{record:#}");
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)));

    let accepted = stage.client.post("/v1/deployments", &again(&plan["digest"])).await.ok();
    let record = stage.ended(accepted["id"].as_str().unwrap()).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert_eq!(record["request"]["origin"]["of"], *first);
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_may_do_what_their_scope_says() {
    let stage = Stage::set().await;
    let token = async |name: &str, scope: &str| {
        let made = json!({"name": name, "scope": scope});
        let made = stage.client.post("/v1/tokens", &made).await.ok();
        stage.client.with_token(made["secret"].as_str().unwrap())
    };
    let (read, ci) = (token("reader", "read").await, token("build", "ci").await);
    let images = json!([sample::image("frontend", '1'), sample::image("backend", '1')]);
    assert_eq!(read.post("/v1/artifacts", &images).await.status, 403);
    let id = begun(&ci.post("/v1/artifacts", &images).await);
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert_eq!(record["actor"], "build");
    let documents = sample::documents(stage.receiver.url());
    assert_eq!(ci.post("/v1/documents:apply", &documents).await.status, 403);
    assert_eq!(ci.put("/v1/secrets/x", "y").await.status, 403);
    let cancel = format!("/v1/deployments/{id}/cancel");
    assert_eq!(ci.post(&cancel, &json!({})).await.status, 403);
    assert_eq!(read.get("/v1/deployments").await.status, 200);
    // What was refused is on record, with from where.
    let audit = stage.client.get("/v1/audit?refused=true").await.ok();
    let refused = &audit["entries"][0];
    assert!(refused["what"].as_str().unwrap().contains("not allowed to "), "{refused:#}");
    assert_eq!(refused["source"]["address"], "127.0.0.1", "{refused:#}");
    let revoke = stage.client.request(Method::DELETE, "/v1/tokens/build");
    Client::send(revoke).await.ok();
    assert_eq!(ci.post("/v1/artifacts", &images).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_says_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::new(Build::Plain, folder.path());
    let first = start.ready().await;
    let log = folder.path().join("second.log");
    let second = Start { port: free_port(), log, ..start.clone() };
    let mut second = second.spawn();
    let status = until("the second daemon gives up", || {
        let ended = second.ended();
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(1));
    assert!(second.log().contains("in use"), "{}", second.log());
    assert_eq!(first.client().get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_it_works_is_a_whole_daemon_elsewhere() {
    let stage = Stage::set().await;
    let id = stage.deployed('1').await;
    let stuck = stuck(&stage, '2').await;
    // A daemon writes nowhere else unless its settings say so.
    let elsewhere = stage.folder().join("backup").display().to_string();
    let refused = stage.client.post("/v1/backup", &json!({"path": elsewhere})).await;
    assert!(refused.status >= 400 && !stage.folder().join("backup").exists(), "{refused:?}");
    let backup = stage.folder().join("data/backup").display().to_string();
    stage.client.post("/v1/backup", &json!({"path": backup})).await.ok();
    stage.practice.behaviours().clear();
    assert_eq!(stage.ended(&stuck).await["outcome"], "succeeded");

    let elsewhere = tempfile::tempdir().unwrap();
    let start = Start::new(Build::Plain, elsewhere.path());
    let data = start.data.display().to_string();
    let said = deployd(["restore", &backup, "--data", &data]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    // Where there is a store already, none is written over.
    let said = deployd(["restore", &backup, "--data", &data]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    // The key of secrets and the admin's token are kept elsewhere than backups.
    for file in ["secrets.key", "admin-token"] {
        std::fs::copy(stage.daemon.data().join(file), start.data.join(file)).unwrap();
    }
    compiled::give(&start.data);
    let daemon = start.ready().await;
    let client = daemon.client();
    let history = client.get("/v1/deployments").await.ok();
    let ids: Vec<&str> = history["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [stuck.as_str(), id.as_str()]);
    let report = client.post("/v1/journal/verify", &json!({})).await.ok();
    assert_eq!(report["broken"], json!([]), "{report:#}");
    // What was in the middle of its work goes on from there.
    until("the deployment goes on", || async {
        let record = client.get(&format!("/v1/deployments/{stuck}")).await.ok();
        (record["outcome"] == "succeeded").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::new(Build::Plain, folder.path());
    let data = start.data.display().to_string();
    let said = deployd(["doctor", "--data", &data]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(start.ready().await.stop().await.success());
    let said = deployd(["doctor", "--data", &data, "--output", "json"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let findings: Value = serde_json::from_str(&said.out).unwrap();
    let good = |what: &str| {
        let mut findings = findings.as_array().unwrap().iter();
        findings.any(|finding| finding["what"] == what && finding["verdict"] == "good")
    };
    for what in ["data", "store", "token", "plugins"] {
        assert!(good(what), "{what}: {findings:#}");
    }

    // A store that is no store, and settings that can't be read.
    std::fs::write(start.data.join("deployd.redb"), "nonsense").unwrap();
    let said = deployd(["doctor", "--data", &data]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("WRONG store"), "{said:?}");
    let settings = folder.path().join("deployd.toml");
    std::fs::write(&settings, "lisen = 1").unwrap();
    let settings = settings.display().to_string();
    let said = deployd(["doctor", "--data", &data, "--config", &settings]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("lisen"), "{said:?}");
    let said = deployd(["serve", "--check", "--config", &settings]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("lisen"), "{said:?}");
}
