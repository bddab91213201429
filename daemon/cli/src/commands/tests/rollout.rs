//! How a rollout stands, asked once and watched.

use deployd_core::deployment::Outcome;
use deployd_core::views::WatchUpdate;
use serde_json::{Value, json};

use super::{ran, stream_to};
use crate::testing::{Answer, Daemon, at_work, ended, event, id, update};

fn paused(progress: u8, at: &str) -> Value {
    json!({
        "deployment": id(), "environment": "shop/development", "number": 3, "phase": "rolling-out",
        "at": at, "progress": progress, "message": "look at it",
        "doing": {"step": "rollout:4", "what": "pause: look at it", "why": "look at it",
            "waitsFor": "person"},
        "workloads": [{"name": "web", "via": "service", "divided": "by the number of pods", "tracks": [
            {"name": "stable", "version": "current", "replicas": 1, "ready": 1, "weight": 100}]}],
        "next": [{"command": "deployd promote shop/development", "does": "has it go on"}],
    })
}

fn told(rollout: Value) -> WatchUpdate {
    let rollout = Some(serde_json::from_value(rollout).unwrap());
    WatchUpdate { rollout, ..update(Some(at_work(vec![])), &[]) }
}

#[tokio::test]
async fn a_rollout_is_shown_with_what_can_be_done() {
    let answer = || Answer::json(200, &paused(50, "2026-11-22T09:00:00Z"));
    let daemon = Daemon::new([answer(), answer()]).await;
    let done = ran(&daemon, &["rollout", &id().0], "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(daemon.lines(), [format!("GET /v1/deployments/{}/rollout", id())]);
    assert!(done.out.starts_with("shop/development #3  50 %\n"), "{}", done.out);
    assert!(
        done.out.ends_with("  deployd promote shop/development  has it go on\n"),
        "{}",
        done.out
    );
    let done = ran(&daemon, &["rollout", &id().0, "-o", "json"], "").await;
    let document: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(document["workloads"][0]["tracks"][0]["weight"], 100);

    let mut none = paused(0, "2026-11-22T09:00:00Z");
    for field in ["doing", "workloads", "next"] {
        none.as_object_mut().unwrap().remove(field);
    }
    let daemon = Daemon::new([Answer::json(200, &none)]).await;
    let done = ran(&daemon, &["rollout", &id().0], "").await;
    assert_eq!((done.code, done.out.as_str()), (0, ""));
    assert!(done.err.contains("has no rollout yet"), "{}", done.err);
}

#[tokio::test]
async fn a_rollout_is_watched_until_its_end() {
    let events = || {
        let again = told(paused(50, "2026-11-22T09:00:09Z"));
        let mut fewer = paused(50, "2026-11-22T09:00:12Z");
        fewer["workloads"][0]["tracks"][0]["ready"] = json!(0);
        let pods = WatchUpdate { record: None, ..told(fewer) };
        let stream = [
            event("0", &told(paused(50, "2026-11-22T09:00:00Z"))),
            // As before but for the time.
            event("1", &again),
            event("2", &WatchUpdate { record: None, rollout: None, logs: Vec::new() }),
            // A pod is lost, which changes no record.
            event("2", &pods),
            event("3", &told(paused(75, "2026-11-22T09:00:20Z"))),
            event("3.end", &update(Some(ended(at_work(vec![]), Outcome::RolledBack)), &[])),
        ];
        Answer::new(200, stream.concat())
    };
    let daemon = Daemon::new([events(), events(), stream_to(Outcome::Succeeded)]).await;
    let done = ran(&daemon, &["rollout", &id().0, "--watch"], "").await;
    assert_eq!(done.code, 11, "{}", done.err);
    assert_eq!(done.out.matches("shop/development #3  ").count(), 3, "{}", done.out);
    assert_eq!(done.out.matches("  0/1  ").count(), 1, "{}", done.out);
    assert!(done.out.contains("\n✗ shop/development #3 was rolled back"), "{}", done.out);
    let done = ran(&daemon, &["rollout", &id().0, "--watch", "-o", "json"], "").await;
    let lines: Vec<Value> =
        done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let progress: Vec<&Value> = lines.iter().map(|line| &line["progress"]).collect();
    assert_eq!(progress, [50, 50, 50, 75]);
    assert_eq!(ran(&daemon, &["rollout", &id().0, "--watch"], "").await.code, 0);
}
