//! Jobs: pods that run to their end.

use std::time::Duration;

use serde_json::{Value, json};

use super::writes::{controlled, is_active, is_ready, pod_of};
use super::{Again, MANAGER, condition, set_condition};
use crate::cluster::Cluster;
use crate::json::{self, text};
use crate::storage::Key;

const TELLER: &str = "job-controller";
/// Before a failed pod is replaced; a real cluster waits ten seconds.
const RETRY: Duration = Duration::from_millis(200);

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let job = cluster.get(&key.resource, &key.namespace, &key.name)?;
    let is = |kind: &str| condition(&job, kind).is_some_and(|c| text(c, "/status") == "True");
    if is("Complete") || is("Failed") {
        return finished(cluster, key, &job);
    }
    if json::is_deleting(&job) {
        return None;
    }
    let pods = controlled(cluster, "pods", &job);
    let count = |test: &dyn Fn(&Value) -> bool| -> i64 {
        i64::try_from(pods.iter().filter(|pod| test(pod)).count()).unwrap_or(i64::MAX)
    };
    let succeeded = count(&|pod| text(pod, "/status/phase") == "Succeeded");
    let failed = count(&|pod| text(pod, "/status/phase") == "Failed");
    let restarts: i64 = pods
        .iter()
        .flat_map(|pod| json::items(pod, "/status/containerStatuses"))
        .filter_map(|status| json::int(status, "/restartCount"))
        .sum();
    let active = count(&is_active);
    let parallelism = json::int(&job, "/spec/parallelism").unwrap_or(1);
    let completions = json::int(&job, "/spec/completions");
    let limit = json::int(&job, "/spec/backoffLimit").unwrap_or(6);
    let is_suspended = json::flag(&job, "/spec/suspend");
    let is_done = match completions {
        Some(wanted) => succeeded >= wanted,
        None => succeeded > 0 && active == 0,
    };
    let has_failed = failed + restarts > limit;
    let mut again = None;
    if is_suspended || has_failed || is_done {
        for pod in pods.iter().filter(|pod| is_active(pod)) {
            let key = Key::new("pods", json::namespace(pod), json::name(pod));
            cluster.drop_object(&key, "Background");
        }
    } else {
        let left = completions.map_or(parallelism, |wanted| wanted - succeeded);
        for _ in active..parallelism.min(left) {
            if !create(cluster, key, &job) {
                again = Some(RETRY);
                break;
            }
        }
    }
    let active = controlled(cluster, "pods", &job).iter().filter(|pod| is_active(pod)).count();
    let ready = count(&is_ready);
    cluster.set_status(MANAGER, key, |status| {
        json::put_default(status, &["startTime"], crate::time::now());
        json::put(status, &["uncountedTerminatedPods"], json!({}));
        json::put(status, &["ready"], if is_done { 0 } else { ready });
        json::put(status, &["terminating"], 0);
        for (field, number) in [
            ("active", i64::try_from(active).unwrap_or_default()),
            ("succeeded", succeeded),
            ("failed", failed),
        ] {
            if number == 0 {
                json::take(status, &[field]);
            } else {
                json::put(status, &[field], number);
            }
        }
        if is_done {
            let message = "Reached expected number of succeeded pods";
            json::put(status, &["completionTime"], crate::time::now());
            for kind in ["SuccessCriteriaMet", "Complete"] {
                set_condition(status, kind, "True", "CompletionsReached", message);
            }
        } else if has_failed {
            let message = "Job has reached the specified backoff limit";
            for kind in ["FailureTarget", "Failed"] {
                set_condition(status, kind, "True", "BackoffLimitExceeded", message);
            }
        } else if is_suspended {
            set_condition(status, "Suspended", "True", "JobSuspended", "Job suspended");
        }
    });
    if is_done {
        cluster.tell(TELLER, &job, "Normal", "Completed", "Job completed");
    } else if has_failed {
        let message = "Job has reached the specified backoff limit";
        cluster.tell(TELLER, &job, "Warning", "BackoffLimitExceeded", message);
    }
    again
}

fn create(cluster: &Cluster, key: &Key, job: &Value) -> bool {
    let template = job.pointer("/spec/template").unwrap_or(&Value::Null);
    let mut pod = pod_of(job, template);
    json::put(&mut pod, &["metadata", "generateName"], format!("{}-", key.name));
    match cluster.make(MANAGER, "pods", &key.namespace, pod) {
        Ok(pod) => {
            let message = format!("Created pod: {}", json::name(&pod));
            cluster.tell(TELLER, job, "Normal", "SuccessfulCreate", &message);
            true
        }
        Err(error) => {
            let message = format!("Error creating: {}", error.message);
            cluster.tell(TELLER, job, "Warning", "FailedCreate", &message);
            false
        }
    }
}

/// A finished job goes when its time to live is over.
fn finished(cluster: &Cluster, key: &Key, job: &Value) -> Again {
    let lives = json::int(job, "/spec/ttlSecondsAfterFinished")?;
    let end = ["Complete", "Failed"]
        .iter()
        .find_map(|kind| condition(job, kind))
        .map(|c| text(c, "/lastTransitionTime"))?;
    let left = lives - crate::time::seconds_since(end)?;
    if left > 0 {
        return u64::try_from(left).ok().map(Duration::from_secs);
    }
    cluster.drop_object(key, "Background");
    None
}
