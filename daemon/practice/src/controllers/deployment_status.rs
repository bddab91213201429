//! The status of deployments: counts, and the conditions that tell progress.

use std::time::Duration;

use serde_json::{Value, json};

use super::conditions::drop_condition;
use super::deployment::{View, wanted};
use super::rollout::bounds;
use super::{Again, MANAGER, condition, set_condition};
use crate::cluster::Cluster;
use crate::json::{self, text};
use crate::storage::Key;

/// What a deployment's pods are at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    total: i64,
    updated: i64,
    ready: i64,
    available: i64,
}

impl Counts {
    fn of(view: &View) -> Self {
        let updated = view
            .new
            .as_ref()
            .and_then(|set| json::int(set, "/status/replicas"))
            .unwrap_or_default();
        Self {
            total: view.sum("/status/replicas"),
            updated,
            ready: view.sum("/status/readyReplicas"),
            available: view.sum("/status/availableReplicas"),
        }
    }

    fn recorded(deployment: &Value) -> Self {
        let of = |name: &str| json::int(deployment, &format!("/status/{name}")).unwrap_or_default();
        Self {
            total: of("replicas"),
            updated: of("updatedReplicas"),
            ready: of("readyReplicas"),
            available: of("availableReplicas"),
        }
    }
}

/// Whether the present template is rolled out to the last pod.
pub(super) fn is_complete(view: &View) -> bool {
    let counts = Counts::of(view);
    let desired = wanted(&view.deployment);
    view.new.is_some()
        && counts.updated == desired
        && counts.total == desired
        && counts.available == desired
}

/// Writes the status.
pub(super) fn write(cluster: &Cluster, key: &Key, view: &View, created: bool) -> Again {
    let deployment = &view.deployment;
    let now = Counts::of(view);
    let mut again = None;
    let mut status = deployment.get("status").cloned().unwrap_or_else(|| json!({}));
    let unavailable = (wanted(deployment).max(now.total) - now.available).max(0);
    for (field, number) in [
        ("replicas", now.total),
        ("updatedReplicas", now.updated),
        ("readyReplicas", now.ready),
        ("availableReplicas", now.available),
        ("unavailableReplicas", unavailable),
    ] {
        if number == 0 {
            json::take(&mut status, &[field]);
        } else {
            json::put(&mut status, &[field], number);
        }
    }
    let generation = json::int(deployment, "/metadata/generation").unwrap_or_default();
    json::put(&mut status, &["observedGeneration"], generation);
    available(&mut status, deployment, now);
    failure(&mut status, view);
    if !json::is_deleting(deployment) {
        again = progress(&mut status, view, now, created);
    }
    cluster.set_status(MANAGER, key, |place| *place = status);
    again
}

fn available(status: &mut Value, deployment: &Value, now: Counts) {
    let (_, unavailable) = bounds(deployment);
    let least = wanted(deployment) - unavailable;
    let (value, reason, message) = if now.available >= least {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let was = status.clone();
    set_condition(status, "Available", value, reason, message);
    stamp(status, &was, "Available");
}

fn failure(status: &mut Value, view: &View) {
    let found = view.new.iter().chain(&view.old).find_map(|set| condition(set, "ReplicaFailure"));
    match found {
        Some(found) => {
            let was = status.clone();
            let (reason, message) = (text(found, "/reason"), text(found, "/message"));
            set_condition(status, "ReplicaFailure", "True", reason, message);
            stamp(status, &was, "ReplicaFailure");
        }
        None => drop_condition(status, "ReplicaFailure"),
    }
}

/// Keeps the condition of progress, and says when its deadline is.
fn progress(status: &mut Value, view: &View, now: Counts, created: bool) -> Again {
    let deployment = &view.deployment;
    let known = condition(deployment, "Progressing").cloned();
    let reason_before = known.as_ref().map_or("", |c| text(c, "/reason")).to_owned();
    if json::flag(deployment, "/spec/paused") {
        if reason_before != "DeploymentPaused" {
            set(status, "Unknown", "DeploymentPaused", "Deployment is paused", true);
        }
        return None;
    }
    if reason_before == "DeploymentPaused" {
        set(status, "Unknown", "DeploymentResumed", "Deployment is resumed", true);
    }
    let deadline = json::int(deployment, "/spec/progressDeadlineSeconds")?;
    let name = view.new.as_ref().map_or("", |set| json::name(set));
    let before = Counts::recorded(deployment);
    if created {
        let message = format!("Created new replica set \"{name}\"");
        set(status, "True", "NewReplicaSetCreated", &message, true);
        return after(deadline);
    }
    let is_done_already = reason_before == "NewReplicaSetAvailable"
        && known.as_ref().is_some_and(|c| text(c, "/message").contains(&format!("\"{name}\"")));
    if is_complete(view) {
        if !is_done_already {
            let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
            set(status, "True", "NewReplicaSetAvailable", &message, true);
        }
        return None;
    }
    if is_done_already {
        // What was rolled out stays so, even when pods come and go later.
        return None;
    }
    let old = |counts: Counts| counts.total - counts.updated;
    let moved = now.updated > before.updated
        || old(now) < old(before)
        || now.ready > before.ready
        || now.available > before.available;
    let message = format!("ReplicaSet \"{name}\" is progressing.");
    if known.is_none() || moved || reason_before == "NewReplicaSetAvailable" {
        set(status, "True", "ReplicaSetUpdated", &message, true);
        return after(deadline);
    }
    let since = known
        .as_ref()
        .and_then(|c| crate::time::seconds_since(text(c, "/lastUpdateTime")))
        .unwrap_or_default();
    if since >= deadline {
        if reason_before != "ProgressDeadlineExceeded" {
            let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
            set(status, "False", "ProgressDeadlineExceeded", &message, true);
        }
        return None;
    }
    if reason_before == "DeploymentResumed" {
        set(status, "True", "ReplicaSetUpdated", &message, true);
    }
    after(deadline - since)
}

fn after(seconds: i64) -> Again {
    // The clock of conditions counts whole seconds.
    let seconds = u64::try_from(seconds).unwrap_or_default();
    Some(Duration::from_secs(seconds) + Duration::from_millis(100))
}

fn set(status: &mut Value, value: &str, reason: &str, message: &str, touch: bool) {
    let was = status.clone();
    set_condition(status, "Progressing", value, reason, message);
    if touch {
        put_update_time(status, "Progressing", crate::time::now());
    } else {
        stamp(status, &was, "Progressing");
    }
}

/// The time of the last update changes when the condition does.
fn stamp(status: &mut Value, was: &Value, kind: &str) {
    let find = |of: &Value| {
        json::items(of, "/conditions").iter().find(|c| text(c, "/type") == kind).cloned()
    };
    let (old, new) = (find(was), find(status));
    let is_same = match (&old, &new) {
        (Some(old), Some(new)) => {
            ["status", "reason", "message"].iter().all(|field| old.get(field) == new.get(field))
        }
        _ => false,
    };
    let kept = old.map(|c| text(&c, "/lastUpdateTime").to_owned());
    let time = match kept {
        Some(kept) if is_same && !kept.is_empty() => kept,
        _ => crate::time::now(),
    };
    put_update_time(status, kind, time);
}

fn put_update_time(status: &mut Value, kind: &str, time: String) {
    for condition in json::list_mut(status, &["conditions"]).into_iter().flatten() {
        if text(condition, "/type") == kind {
            json::put(condition, &["lastUpdateTime"], time);
            return;
        }
    }
}
