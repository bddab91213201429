//! Daemon sets and replica sets.

use serde_json::Value;

use super::State;
use crate::fields::{count, number, observed, text};

pub(super) fn daemon_set(object: &Value) -> State {
    if !observed(object) {
        return State::progressing("waits for the daemon set controller");
    }
    let wanted = count(object, "/status/desiredNumberScheduled");
    let updated = count(object, "/status/updatedNumberScheduled");
    let available = count(object, "/status/numberAvailable");
    let on_delete = text(object, "/spec/updateStrategy/type") == Some("OnDelete");
    if available >= wanted && (on_delete || updated >= wanted) {
        return State::Ready;
    }
    State::Progressing(format!("{updated} of {wanted} nodes updated, {available} available"))
}

pub(super) fn replica_set(object: &Value) -> State {
    if !observed(object) {
        return State::progressing("waits for its controller");
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let all = count(object, "/status/replicas");
    let available = count(object, "/status/availableReplicas");
    if all == wanted && available >= wanted {
        return State::Ready;
    }
    State::Progressing(format!("{all} of {wanted} replicas, {available} available"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn daemon_sets() {
        let table = [
            (json!({}), json!({"observedGeneration": 1}), false),
            (json!({}), json!({"observedGeneration": 2}), true),
            (
                json!({}),
                json!({"observedGeneration": 2, "desiredNumberScheduled": 2,
                "updatedNumberScheduled": 1, "numberAvailable": 2}),
                false,
            ),
            (
                json!({}),
                json!({"observedGeneration": 2, "desiredNumberScheduled": 2,
                "updatedNumberScheduled": 2, "numberAvailable": 1}),
                false,
            ),
            (
                json!({}),
                json!({"observedGeneration": 2, "desiredNumberScheduled": 2,
                "updatedNumberScheduled": 2, "numberAvailable": 2}),
                true,
            ),
            (
                json!({"updateStrategy": {"type": "OnDelete"}}),
                json!({"observedGeneration": 2,
                "desiredNumberScheduled": 2, "numberAvailable": 2}),
                true,
            ),
        ];
        for (spec, status, ready) in table {
            let object = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
            assert_eq!(daemon_set(&object) == State::Ready, ready, "{object}");
        }
    }

    #[test]
    fn replica_sets() {
        let table = [
            (json!({"observedGeneration": 1, "replicas": 2, "availableReplicas": 2}), false),
            (json!({"observedGeneration": 2, "replicas": 1, "availableReplicas": 1}), false),
            (json!({"observedGeneration": 2, "replicas": 3, "availableReplicas": 3}), false),
            (json!({"observedGeneration": 2, "replicas": 2, "availableReplicas": 2}), true),
        ];
        for (status, ready) in table {
            let object =
                json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
            assert_eq!(replica_set(&object) == State::Ready, ready, "{object}");
        }
    }
}
