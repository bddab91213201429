//! The cells of pods: what a pod is at, in one word.

use serde_json::{Value, json};

use super::{Columns, NONE, age, duration, or_none};
use crate::json::{self, int, items, text};

pub(super) fn columns(kind: &str) -> Option<Columns> {
    (kind == "Pod").then_some((
        &[
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "+IP",
            "+Node",
            "+Nominated Node",
            "+Readiness Gates",
        ],
        cells,
    ))
}

fn cells(pod: &Value) -> Vec<Value> {
    let statuses = items(pod, "/status/containerStatuses");
    let ready = statuses.iter().filter(|s| json::flag(s, "/ready")).count();
    let all = items(pod, "/spec/containers").len();
    vec![
        json!(format!("{ready}/{all}")),
        json!(status(pod)),
        json!(restarts(pod)),
        age(pod),
        or_none(text(pod, "/status/podIP")),
        or_none(text(pod, "/spec/nodeName")),
        or_none(text(pod, "/status/nominatedNodeName")),
        json!(gates(pod)),
    ]
}

/// The word for what a pod is at.
fn status(pod: &Value) -> String {
    if json::is_deleting(pod) {
        return "Terminating".to_owned();
    }
    if let Some(initialising) = initialising(pod) {
        return initialising;
    }
    let mut word = match text(pod, "/status/reason") {
        "" => text(pod, "/status/phase").to_owned(),
        reason => reason.to_owned(),
    };
    let mut any_running = false;
    for status in items(pod, "/status/containerStatuses").iter().rev() {
        if let Some(reason) = reason(status) {
            word = reason;
        } else if json::flag(status, "/ready") && json::has(status, "/state/running") {
            any_running = true;
        }
    }
    if word == "Completed" && any_running {
        let is_ready = crate::controllers::condition(pod, "Ready")
            .is_some_and(|condition| text(condition, "/status") == "True");
        word = if is_ready { "Running" } else { "NotReady" }.to_owned();
    }
    word
}

/// Why a container waits or how it ended.
fn reason(status: &Value) -> Option<String> {
    let waits = text(status, "/state/waiting/reason");
    if !waits.is_empty() {
        return Some(waits.to_owned());
    }
    let ended = status.pointer("/state/terminated")?;
    Some(match (text(ended, "/reason"), int(ended, "/signal").unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", int(ended, "/exitCode").unwrap_or_default()),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    })
}

/// What the first init container that is not done is at.
fn initialising(pod: &Value) -> Option<String> {
    let specs = items(pod, "/spec/initContainers");
    let is_sidecar = |index: usize| {
        specs.get(index).is_some_and(|spec| text(spec, "/restartPolicy") == "Always")
    };
    for (index, status) in items(pod, "/status/initContainerStatuses").iter().enumerate() {
        let code = int(status, "/state/terminated/exitCode");
        if code == Some(0) || (is_sidecar(index) && json::flag(status, "/started")) {
            continue;
        }
        return Some(match reason(status) {
            Some(reason) if code.is_some() || reason != "PodInitializing" => {
                format!("Init:{reason}")
            }
            _ => format!("Init:{index}/{}", specs.len()),
        });
    }
    None
}

/// How often containers were started again, and when last.
fn restarts(pod: &Value) -> String {
    let statuses = items(pod, "/status/containerStatuses");
    let count: i64 = statuses.iter().filter_map(|s| int(s, "/restartCount")).sum();
    let last = statuses
        .iter()
        .map(|status| text(status, "/lastState/terminated/finishedAt"))
        .max()
        .and_then(crate::time::seconds_since);
    match last {
        Some(seconds) if count > 0 => format!("{count} ({} ago)", duration(seconds)),
        _ => count.to_string(),
    }
}

fn gates(pod: &Value) -> String {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let open = gates.iter().filter(|gate| {
        crate::controllers::condition(pod, text(gate, "/conditionType"))
            .is_some_and(|condition| text(condition, "/status") == "True")
    });
    format!("{}/{}", open.count(), gates.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_in_one_word() {
        let waiting = json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}});
        let running = json!({"ready": true, "state": {"running": {}}});
        let done = json!({"state": {"terminated": {"reason": "Completed", "exitCode": 0}}});
        let failed = json!({"state": {"terminated": {"exitCode": 3}}});
        let pod = |phase: &str, statuses: Value, init: Value| {
            json!({"spec": {"initContainers": [{}, {}]}, "status": {"phase": phase,
                "containerStatuses": statuses, "initContainerStatuses": init,
                "conditions": [{"type": "Ready", "status": "True"}]}})
        };
        for (pod, word) in [
            (pod("Pending", json!([]), json!([])), "Pending"),
            (pod("Pending", json!([waiting]), json!([])), "ImagePullBackOff"),
            (pod("Running", json!([running]), json!([])), "Running"),
            (pod("Running", json!([done, running]), json!([])), "Running"),
            (pod("Succeeded", json!([done]), json!([])), "Completed"),
            (pod("Failed", json!([failed]), json!([])), "ExitCode:3"),
            (pod("Pending", json!([]), json!([done, running])), "Init:1/2"),
            (pod("Pending", json!([]), json!([failed])), "Init:ExitCode:3"),
        ] {
            assert_eq!(status(&pod), word, "{pod}");
        }
    }
}
