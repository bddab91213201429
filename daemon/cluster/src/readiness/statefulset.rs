//! Stateful sets.

use serde_json::Value;

use super::State;
use crate::fields::{count, number, observed, text};

pub(super) fn readiness(object: &Value) -> State {
    if !observed(object) {
        return State::progressing("waits for the stateful set controller");
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let all = count(object, "/status/replicas");
    let updated = count(object, "/status/updatedReplicas");
    let ready = count(object, "/status/readyReplicas");
    // Servers before 1.22 don't say.
    let available = number(object, "/status/availableReplicas").unwrap_or(ready).min(ready);
    let on_delete = text(object, "/spec/updateStrategy/type") == Some("OnDelete");
    // Pods with a lower ordinal than the partition keep the old version.
    let partition = count(object, "/spec/updateStrategy/rollingUpdate/partition");
    let to_update = if on_delete { 0 } else { (wanted - partition).max(0) };
    let same_version = text(object, "/status/updateRevision").is_none()
        || text(object, "/status/updateRevision") == text(object, "/status/currentRevision");
    // Once the update is complete the update revision is the current one.
    let is_updated = updated >= to_update && (partition > 0 || on_delete || same_version);
    if is_updated && available >= wanted && all == wanted {
        return State::Ready;
    }
    State::Progressing(if on_delete {
        format!("{available} of {wanted} replicas available")
    } else {
        format!("{updated} of {to_update} replicas updated, {available} of {wanted} available")
    })
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // documents written in place
mod tests {
    use super::*;
    use serde_json::json;

    fn set(spec: Value, status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 2},
            "spec": spec, "status": status})
    }

    #[test]
    fn table() {
        let three = json!({"replicas": 3});
        let partition = json!({"replicas": 3,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        let on_delete = json!({"replicas": 3, "updateStrategy": {"type": "OnDelete"}});
        let status = |updated: i64, available: i64, current: &str| {
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": updated,
                "readyReplicas": 3, "availableReplicas": available,
                "currentRevision": current, "updateRevision": "new"})
        };
        let progress = State::progressing;
        let table = [
            (
                &three,
                json!({"observedGeneration": 1}),
                progress("waits for the stateful set controller"),
            ),
            (
                &three,
                json!({"observedGeneration": 2}),
                progress("0 of 3 replicas updated, 0 of 3 available"),
            ),
            (&three, status(3, 3, "new"), State::Ready),
            (&three, status(2, 3, "old"), progress("2 of 3 replicas updated, 3 of 3 available")),
            (&three, status(3, 3, "old"), progress("3 of 3 replicas updated, 3 of 3 available")),
            (&three, status(3, 2, "new"), progress("3 of 3 replicas updated, 2 of 3 available")),
            (
                &partition,
                status(0, 3, "old"),
                progress("0 of 1 replicas updated, 3 of 3 available"),
            ),
            (&partition, status(1, 3, "old"), State::Ready),
            (&on_delete, status(0, 3, "old"), State::Ready),
            (&on_delete, status(0, 1, "old"), progress("1 of 3 replicas available")),
        ];
        for (spec, status, expected) in table {
            assert_eq!(readiness(&set(spec.clone(), status.clone())), expected, "{spec} {status}");
        }
    }

    #[test]
    fn scaling_down_is_waited_for() {
        let status = json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": 3,
            "updatedReplicas": 3});
        assert_ne!(readiness(&set(json!({"replicas": 1}), status)), State::Ready);
    }
}
