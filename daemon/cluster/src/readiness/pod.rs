//! Pods.

use serde_json::Value;

use super::State;
use crate::fields::{condition, holds, items, text, text_or_empty};

pub(super) fn readiness(object: &Value) -> State {
    match text_or_empty(object, "/status/phase") {
        "Succeeded" => State::Ready,
        "Failed" => {
            let reason = text(object, "/status/reason").unwrap_or("it ended with an error");
            let message = text(object, "/status/message").map(|m| format!(": {m}"));
            State::failed("pod-failed", format!("{reason}{}", message.unwrap_or_default()))
        }
        _ if holds(object, "Ready") => State::Ready,
        _ => State::progressing(waits_for(object).unwrap_or("not ready")),
    }
}

/// What a pod that is not ready waits for, in Kubernetes' words; none when it
/// is ready or has ended well.
pub(super) fn waits_for(pod: &Value) -> Option<&str> {
    let phase = text_or_empty(pod, "/status/phase");
    if phase == "Succeeded" || holds(pod, "Ready") {
        return None;
    }
    for statuses in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        for container in items(pod, statuses) {
            if let Some(reason) = text(container, "/state/waiting/reason") {
                return Some(reason);
            }
        }
    }
    if let Some(scheduled) = condition(pod, "PodScheduled")
        && text(scheduled, "/status") == Some("False")
    {
        return Some(text(scheduled, "/reason").unwrap_or("not scheduled"));
    }
    Some(match phase {
        "" | "Pending" => "pending",
        "Running" => "not ready",
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let unscheduled =
            json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
        let table = [
            (json!({"phase": "Running", "conditions": ready}), State::Ready),
            (json!({"phase": "Running"}), State::progressing("not ready")),
            (json!({"phase": "Succeeded"}), State::Ready),
            (json!({"phase": "Pending"}), State::progressing("pending")),
            (
                json!({"phase": "Pending", "conditions": unscheduled}),
                State::progressing("Unschedulable"),
            ),
            (
                json!({"phase": "Pending", "containerStatuses": [
                {"state": {"waiting": {"reason": "ContainerCreating"}}}]}),
                State::progressing("ContainerCreating"),
            ),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}),
                State::failed("pod-failed", "Evicted: disk"),
            ),
        ];
        for (status, expected) in table {
            let object = json!({"kind": "Pod", "status": status});
            assert_eq!(readiness(&object), expected, "{object}");
        }
    }
}
