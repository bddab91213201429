//! Deployments and sets, named by where they are.

use deployd_core::Digest;
use deployd_core::deployment::Outcome;
use deployd_core::views::HistoryPage;
use serde_json::{Value, json};

use super::ran;
use crate::testing::{Answer, Daemon, at_work, ended, id, record};

fn side(subject: &str, deployment: Option<&str>) -> Value {
    let mut side = json!({"subject": subject, "set": Digest::of(b"set")});
    if let Some(deployment) = deployment {
        side["deployment"] = json!(deployment);
    }
    side
}

#[tokio::test]
async fn a_whole_id_is_not_asked_about() {
    let daemon = Daemon::new([Answer::json(200, &record())]).await;
    assert_eq!(ran(&daemon, &["show", &id().0], "").await.code, 0);
    assert_eq!(daemon.lines(), [format!("GET /v1/deployments/{}", id())]);
}

#[tokio::test]
async fn what_runs_is_shown_and_deployed_again() {
    for (line, then) in [
        (vec!["show", "shop/development"], format!("GET /v1/deployments/{}", id())),
        (vec!["redeploy", "shop/development", "--no-watch"], "POST /v1/deployments".to_owned()),
    ] {
        let named = Answer::json(200, &side("shop/development", Some(&id().0)));
        let daemon = Daemon::new([named, Answer::json(200, &record())]).await;
        let done = ran(&daemon, &line, "").await;
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(daemon.lines(), ["GET /v1/subject?name=shop%2Fdevelopment".to_owned(), then]);
    }
}

#[tokio::test]
async fn the_newest_is_looked_into_and_what_is_at_work_is_ended() {
    let newest = HistoryPage { deployments: vec![record()], next: None };
    let gone = ended(record(), Outcome::Failed);
    let answers =
        [Answer::json(200, &newest), Answer::json(200, &json!([])), Answer::json(200, &gone)];
    let daemon = Daemon::new(answers).await;
    let done = ran(&daemon, &["logs", "shop/development", "-o", "json"], "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("nothing is kept of the log"), "{}", done.err);
    assert_eq!(
        daemon.lines()[..2],
        [
            "GET /v1/deployments?environment=shop%2Fdevelopment&limit=1".to_owned(),
            format!("GET /v1/deployments/{}/logs?after=0&limit=500", id()),
        ]
    );
    let environment = |active: Option<Value>| {
        let mut view = json!({
            "id": "shop/development", "environmentType": "t", "images": [],
            "state": {"accepted": 1, "queue": [], "resources": {}},
        });
        if let Some(active) = active {
            view["state"]["active"] = active;
        }
        Answer::json(200, &view)
    };
    let daemon = Daemon::new([environment(None)]).await;
    let done = ran(&daemon, &["cancel", "shop/development"], "").await;
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("nothing is being deployed in shop/development"), "{}", done.err);
    let active = json!(at_work(Vec::new()).work);
    let daemon = Daemon::new([environment(Some(active)), Answer::json(202, &record())]).await;
    assert_eq!(ran(&daemon, &["cancel", "shop/development"], "").await.code, 0);
    assert_eq!(daemon.lines()[1], format!("POST /v1/deployments/{}/cancel", id()));
}

#[tokio::test]
async fn a_set_is_no_deployment_and_can_be_deployed_from_where_it_runs() {
    let daemon = Daemon::new([Answer::json(200, &side("sha256:5f2a", None))]).await;
    let done = ran(&daemon, &["manifests", "sha256:5f2a"], "").await;
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.contains("is a set, expected a deployment"), "{}", done.err);

    let named = Answer::json(200, &side("shop/staging", Some(&id().0)));
    let daemon = Daemon::new([named, Answer::json(202, &record())]).await;
    let line = ["deploy", "shop/production", "--set", "shop/staging", "--no-watch"];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    let sent = json!({"environment": "shop/production", "setDigest": Digest::of(b"set")});
    assert_eq!(daemon.seen()[1].json(), sent);
}
