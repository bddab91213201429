//! Commands that make the past once more.

use deployd_core::ports::PluginRef;
use deployd_core::replay::{Part, Replay, ReplayedPart, differences};
use deployd_core::views::HistoryPage;
use deployd_core::{DeploymentId, Digest};
use serde_json::{Value, json};

use super::{nobody, ran};
use crate::testing::{Answer, Daemon, id, record};

fn replay(with: Option<&str>, parts: Vec<ReplayedPart>) -> Replay {
    let with = with.map(|name| PluginRef { name: name.to_owned(), digest: Digest::of(b"2") });
    Replay::of((id(), "shop/development".parse().unwrap(), 3), with, parts)
}

fn identical() -> ReplayedPart {
    let digest = Digest::of(b"manifests");
    ReplayedPart::new(Part::Manifests, "all objects").compared(digest, digest, Vec::new())
}

fn differs() -> ReplayedPart {
    let found = differences(
        "Deployment shop/web",
        &json!({"spec": {"replicas": 1, "long": "x".repeat(100)}}),
        &json!({"spec": {"replicas": 3}, "status": {}}),
    );
    ReplayedPart::new(Part::Manifests, "all objects").compared(
        Digest::of(b"1"),
        Digest::of(b"2"),
        found,
    )
}

#[tokio::test]
async fn the_verdict_of_a_replay_is_the_exit_code() {
    let missing = || ReplayedPart::new(Part::Plan, "the plan").without("there is no set sha256:1");
    let never = || ReplayedPart::new(Part::Plan, "the plan").nothing("it never began");
    for (parts, code, told) in [
        (vec![identical()], 0, "manifests identical sha256:"),
        (vec![differs()], 15, "      /spec/replicas: 1 is recorded, 3 was made\n"),
        (vec![identical(), missing()], 16, "    there is no set sha256:1\n"),
        (vec![never()], 16, "    it never began\n"),
    ] {
        let daemon = Daemon::new([Answer::json(200, &replay(None, parts))]).await;
        let done = ran(&daemon, &["replay", "shop/development"], "").await;
        assert_eq!(done.code, code, "{}", done.out);
        assert!(done.out.contains(told), "{}", done.out);
        assert_eq!(daemon.lines(), ["GET /v1/replay?of=shop%2Fdevelopment"]);
    }
}

#[tokio::test]
async fn differences_are_told_object_by_object() {
    let daemon =
        Daemon::new([Answer::json(200, &replay(Some("score-k8s"), vec![differs()]))]).await;
    let version = format!("score-k8s@{}", Digest::of(b"2"));
    let done = ran(&daemon, &["replay", &id().0, "--with", &version], "").await;
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(lines[0].contains("with score-k8s@d4735e3a265e: differs"), "{}", lines[0]);
    assert_eq!(lines[3], "    Deployment shop/web");
    assert!(lines[4].ends_with("… is recorded, nothing was made"), "{}", lines[4]);
    assert_eq!(lines[6], "      /status: nothing is recorded, {} was made");
    assert!(daemon.lines()[0].contains("&with=score-k8s%40sha256%3A"), "{:?}", daemon.lines());
}

#[tokio::test]
async fn the_newest_are_replayed_one_by_one_and_counted() {
    let page = |count: usize, next: Option<&str>| {
        let deployments = (0..count)
            .map(|n| deployd_core::deployment::DeploymentRecord {
                id: DeploymentId(format!("01jd2k9x7h8f6v3q5w1n4m0zt{n}")),
                ..record()
            })
            .collect();
        Answer::json(200, &HistoryPage { deployments, next: next.map(str::to_owned) })
    };
    let never = ReplayedPart::new(Part::Plan, "the plan").nothing("it never began");
    let answers = || {
        [
            page(2, Some("2")),
            Answer::json(200, &replay(None, vec![identical()])),
            Answer::json(200, &replay(None, vec![never.clone()])),
            page(1, None),
            Answer::json(200, &replay(None, vec![differs()])),
        ]
    };
    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["replay", "--last", "5", "shop/development"], "").await;
    assert_eq!(done.code, 15, "{}", done.out);
    let last = done.out.lines().last().unwrap();
    let told = "3 deployments: 1 identical, 1 differ, 0 incomplete, 1 had nothing to replay";
    assert_eq!(last, told);
    assert_eq!(daemon.lines()[0], "GET /v1/deployments?environment=shop%2Fdevelopment&limit=5");
    assert!(daemon.lines()[3].ends_with("&cursor=2&limit=3"), "{:?}", daemon.lines());

    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["replay", "--last", "5", "-o", "json"], "").await;
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((summary["identical"].as_u64(), summary["differ"].as_u64()), (Some(1), Some(1)));
    assert_eq!(summary["replays"].as_array().unwrap().len(), 1, "{summary:#}");
}

#[tokio::test]
async fn what_was_found_is_told_also_where_the_rest_can_not_be_asked_about() {
    let page = HistoryPage { deployments: vec![record(), record()], next: None };
    let problem = json!({"type": "about:blank", "title": "x", "status": 404, "detail": "gone"});
    let answers = || {
        [
            Answer::json(200, &page),
            Answer::json(200, &replay(None, vec![identical()])),
            Answer::json(404, &problem),
        ]
    };
    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["replay", "--last", "5", "-o", "json"], "").await;
    assert!(done.code != 0 && done.code < 15, "{}: {}", done.code, done.err);
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&summary["replayed"], &summary["identical"]), (&json!(1), &json!(1)));
    let daemon = Daemon::new(answers()).await;
    let done = ran(&daemon, &["replay", "--last", "5"], "").await;
    assert!(done.out.contains("1 deployment: 1 identical"), "{}", done.out);
    assert!(done.code != 0 && done.err.contains("gone"), "{}", done.err);
}

/// The gate of an upgrade: that nothing was compared must not let it pass.
#[tokio::test]
async fn nothing_compared_is_nothing_proven() {
    let page = json!({"deployments": []});
    let daemon = Daemon::new([Answer::json(200, &page)]).await;
    let done = ran(&daemon, &["replay", "--last", "5"], "").await;
    assert_eq!(done.code, 16, "{}", done.out);
}

#[tokio::test]
async fn what_names_no_environment_is_not_looked_for_in_history() {
    let daemon = nobody().await;
    for of in ["shop/development#3", "01jd2k9x7h8f6v3q5w1n4m0zta"] {
        let done = ran(&daemon, &["replay", "--last", "5", of], "").await;
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains("expected APP/ENV"), "{}", done.err);
    }
    assert!(daemon.lines().is_empty());
}

fn rollback_view(exact: bool) -> Value {
    let plan = json!({
        "version": 1, "environment": "shop/development", "environmentType": "development",
        "set": Digest::of(b"set"), "workloads": [], "graph": {"nodes": {}, "names": {}},
        "resources": {}, "values": {}, "takeOverFields": false,
    });
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let obstacles: &[&str] = if exact { &[] } else { &["dns#web.site: is gone"] };
    json!({
        "from": "01jd2k9x7h8f6v3q5w1n4m0ztb", "fromNumber": 4,
        "to": id(), "toNumber": 3, "exact": exact, "obstacles": obstacles,
        "plan": {
            "digest": Digest::of(b"plan"), "plan": plan,
            "preview": {
                "manifests": {"namespace": "ns", "objects": []},
                "changes": [{"object": object, "change": "change"}],
            },
        },
    })
}

#[tokio::test]
async fn going_back_is_asked_for_as_it_is_given_and_what_it_would_do_is_told_before() {
    let mut accepted = json!(record());
    accepted["request"]["origin"] = json!({"kind": "rollback", "to": id(), "from": "01jd2k9x7h8f6v3q5w1n4m0ztb", "exact": true});
    let daemon = Daemon::new([Answer::json(202, &accepted)]).await;
    let line = ["rollback", "shop/development", "-m", "it fails", "--no-watch"];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    let told = format!("shop/development: back to {}, exactly", id());
    assert!(done.err.contains(&told), "{}", done.err);
    let path = "POST /v1/environments/shop/development/rollback";
    assert_eq!(daemon.lines(), [path]);
    assert_eq!(daemon.seen()[0].json(), json!({"comment": "it fails"}));

    let daemon = Daemon::new([Answer::json(200, &rollback_view(true))]).await;
    let line = ["rollback", "shop/development", "--dry-run"];
    let done = ran(&daemon, &line, "").await;
    let told = format!("back from #4 to #3 ({}), exactly", id());
    assert!(done.out.contains(&told) && done.out.contains("~ Deployment web"), "{}", done.out);
    assert_eq!(daemon.lines(), [format!("{path}?dry_run=true")]);

    let daemon = Daemon::new([Answer::json(200, &rollback_view(false))]).await;
    let line = ["rollback", "shop/development", "--resolve", "--dry-run"];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("not exactly, since dns#web.site: is gone"), "{}", done.out);
    assert_eq!(daemon.lines().len(), 1, "nothing is done");
}

#[tokio::test]
async fn a_clone_and_an_exact_repetition_are_asked_for_as_they_are_given() {
    let daemon = Daemon::new([Answer::json(202, &record()), Answer::json(202, &record())]).await;
    let line = ["clone", "shop/development", "copy", "--type", "test", "--no-watch"];
    assert_eq!(ran(&daemon, &line, "").await.code, 0);
    assert_eq!(daemon.lines(), ["POST /v1/environments/shop/development/clone"]);
    assert_eq!(daemon.seen()[0].json(), json!({"name": "copy", "type": "test"}));
    let line = ["redeploy", &id().0, "--exact", "--no-watch"];
    assert_eq!(ran(&daemon, &line, "").await.code, 0);
    assert_eq!(daemon.seen()[1].json()["exact"], true);
}
