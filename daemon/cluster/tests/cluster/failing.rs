//! What keeps workloads from becoming ready, told apart.

use std::time::Duration;

use deployd_core::ports::Readiness;
use deployd_practice::Behaviour;
use serde_json::{Value, json};

use crate::stage::{LONG, on_a_cluster};
use crate::things::{config_map, deployment, deployment_running, job, stateful_set};

#[tokio::test]
async fn an_image_that_does_not_exist() {
    on_a_cluster(async |stage| {
        stage.behave("web", Behaviour::image_not_found());
        let mut web = deployment("web");
        web["spec"]["template"]["spec"]["containers"][0]["image"] =
            json!("registry.invalid/nobody/nothing:1");
        let fault = stage.fail(vec![web], LONG).await;
        assert_eq!(fault.reason, "image-pull-failed", "{fault:#?}");
        assert!(fault.message.contains("registry.invalid/nobody/nothing:1"), "{}", fault.message);
        assert!(fault.containers.iter().any(|c| c.contains("/main: waiting, ")), "{fault:#?}");
        assert!(fault.events.iter().any(|e| e.starts_with("Pod web-")), "{fault:#?}");
        assert_eq!(fault.logs, []);
    })
    .await;
}

#[tokio::test]
async fn a_container_that_ends_again_and_again() {
    on_a_cluster(async |stage| {
        let log = vec!["starting".to_owned(), "no database".to_owned()];
        stage.behave("web", Behaviour::CrashLoop { exit_code: 3, log });
        let web = deployment_running("web", "echo starting; echo no database; exit 3");
        let fault = stage.fail(vec![web], LONG).await;
        assert_eq!(fault.reason, "crash-loop", "{fault:#?}");
        assert!(fault.message.contains("exit code 3"), "{}", fault.message);
        assert_eq!(fault.logs[0].container, "main");
        assert_eq!(fault.logs[0].lines, ["starting", "no database"]);
        assert!(fault.containers[0].contains("CrashLoopBackOff"), "{fault:#?}");
        assert!(fault.events.iter().any(|e| e.contains("BackOff")), "{fault:#?}");
    })
    .await;
}

#[tokio::test]
async fn the_old_version_s_pods_are_not_blamed() {
    on_a_cluster(async |stage| {
        stage.behave("web", Behaviour::crash_loop());
        let mut web = deployment_running("web", "exit 1");
        let fault = stage.fail(vec![web.clone()], LONG).await;
        assert_eq!(fault.reason, "crash-loop");
        // The cure is a new version; the old one's pod goes on crashing for a while.
        stage.behave("web", Behaviour::Ready { after: Duration::ZERO });
        web["spec"]["template"]["spec"]["containers"][0]["command"] =
            json!(["sh", "-c", "sleep 100000"]);
        stage.roll_out(vec![web]).await;
    })
    .await;
}

#[tokio::test]
async fn pods_that_fit_nowhere() {
    on_a_cluster(async |stage| {
        stage.behave("web", Behaviour::unschedulable());
        let mut web = deployment("web");
        web["spec"]["template"]["spec"]["containers"][0]["resources"] =
            json!({"requests": {"cpu": "100000"}});
        let fault = stage.fail(vec![web], LONG).await;
        assert_eq!(fault.reason, "unschedulable", "{fault:#?}");
        assert!(fault.message.contains("nodes are available"), "{}", fault.message);
        assert!(fault.containers[0].contains("Unschedulable"), "{fault:#?}");
    })
    .await;
}

async fn beyond_the_quota(object: Value) {
    on_a_cluster(async |stage| {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}});
        stage.apply(vec![quota]).await.unwrap();
        let fault = stage.fail(vec![object], LONG).await;
        assert_eq!(fault.reason, "quota-exceeded", "{fault:#?}");
        assert!(fault.message.contains("exceeded quota: q"), "{}", fault.message);
        assert!(fault.events.iter().any(|e| e.contains("FailedCreate")), "{fault:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_deployment_beyond_the_quota() {
    beyond_the_quota(deployment("web")).await;
}

#[tokio::test]
async fn a_stateful_set_beyond_the_quota() {
    // It has no condition for it: only events tell.
    beyond_the_quota(stateful_set("db", 1)).await;
}

#[tokio::test]
async fn a_secret_that_is_not_there() {
    on_a_cluster(async |stage| {
        let mut web = deployment("web");
        web["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
            json!([{"secretRef": {"name": "nothing"}}]);
        let fault = stage.fail(vec![web], LONG).await;
        assert_eq!(fault.reason, "create-container-config-error", "{fault:#?}");
        assert!(fault.message.contains("nothing"), "{}", fault.message);
    })
    .await;
}

#[tokio::test]
async fn a_probe_that_fails_until_the_deadline() {
    on_a_cluster(async |stage| {
        stage.behave("web", Behaviour::NeverReady);
        let mut web = deployment("web");
        web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
            json!({"exec": {"command": ["false"]}, "periodSeconds": 1});
        let fault = stage.fail(vec![web], Duration::from_secs(8)).await;
        assert_eq!(fault.reason, "not-ready", "{fault:#?}");
        assert!(fault.message.contains("not ready after 8 s"), "{}", fault.message);
        assert!(fault.message.contains("0 available"), "{}", fault.message);
        assert!(fault.containers[0].contains("running, not ready"), "{fault:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_deadline_for_progress() {
    on_a_cluster(async |stage| {
        stage.behave("web", Behaviour::NeverReady);
        let mut web = deployment("web");
        web["spec"]["progressDeadlineSeconds"] = json!(2);
        web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
            json!({"exec": {"command": ["false"]}, "periodSeconds": 1});
        let fault = stage.fail(vec![web], LONG).await;
        assert_eq!(fault.reason, "progress-deadline", "{fault:#?}");
        assert!(!fault.containers.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_job_that_fails() {
    on_a_cluster(async |stage| {
        stage.behave("migrate", Behaviour::CrashLoop { exit_code: 2, log: vec!["no".into()] });
        let fault = stage.fail(vec![job("migrate", "echo no; exit 2")], LONG).await;
        assert_eq!(fault.reason, "job-failed", "{fault:#?}");
        assert!(fault.message.contains("BackoffLimitExceeded"), "{}", fault.message);
        assert_eq!(fault.logs.first().map(|l| l.lines.clone()), Some(vec!["no".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn what_somebody_deletes_is_gone() {
    on_a_cluster(async |stage| {
        stage.behave("web", Behaviour::NeverReady);
        let mut web = deployment("web");
        web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
            json!({"exec": {"command": ["false"]}});
        let applied = stage.apply(vec![web]).await.unwrap();
        let waiting = stage.await_ready(&applied, LONG);
        let deleting = async {
            stage.until_line("0 available").await;
            stage.delete("apps/v1", "Deployment", "deployments", "web").await.unwrap();
        };
        let (outcome, ()) = tokio::join!(waiting, deleting);
        let Ok(Readiness::Failed(faults)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(faults[0].reason, "gone", "{faults:#?}");
    })
    .await;
}

#[tokio::test]
async fn what_was_never_there_is_gone() {
    on_a_cluster(async |stage| {
        let applied = stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        stage.prune(&applied).await.unwrap();
        let outcome = stage.await_ready(&applied, LONG).await;
        let Ok(Readiness::Failed(faults)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(faults[0].reason, "gone");
    })
    .await;
}

#[tokio::test]
async fn the_sentence_does_not_repeat_the_object_and_the_last_lines_are_in_the_log() {
    on_a_cluster(async |stage| {
        let log = vec!["starting".to_owned(), "no database".to_owned()];
        stage.behave("web", Behaviour::CrashLoop { exit_code: 3, log });
        let web = deployment_running("web", "echo starting; echo no database; exit 3");
        let fault = stage.fail(vec![web], LONG).await;
        assert!(!fault.message.contains("Deployment"), "{}", fault.message);
        let lines = stage.lines();
        let told = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        assert_eq!(told("(crash-loop)"), 1, "{lines:#?}");
        assert_eq!(told("/main | no database"), 1, "{lines:#?}");
    })
    .await;
}

#[tokio::test]
async fn i16_a_secret_that_a_container_prints_is_not_recorded() {
    on_a_cluster(async |stage| {
        let log = vec!["password is hunter2-canary".to_owned()];
        stage.behave("web", Behaviour::CrashLoop { exit_code: 1, log });
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "stringData": {"password": "hunter2-canary"}});
        let mut web = deployment_running("web", "echo password is $PASSWORD; exit 1");
        web["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]);
        let fault = stage.fail(vec![secret, web], LONG).await;
        assert_eq!(fault.logs[0].lines, ["password is (hidden)"], "{fault:#?}");
        let all = format!("{fault:?} {:?}", stage.lines());
        assert!(!all.contains("canary"), "{all}");
    })
    .await;
}
