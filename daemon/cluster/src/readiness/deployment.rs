//! Deployments.

use serde_json::Value;

use super::State;
use crate::fields::{condition, count, flag, number, observed, text, text_or_empty};

pub(super) fn readiness(object: &Value) -> State {
    if !observed(object) {
        return State::progressing("waits for the deployment controller");
    }
    if let Some(progressing) = condition(object, "Progressing")
        && text(progressing, "/status") == Some("False")
        && text(progressing, "/reason") == Some("ProgressDeadlineExceeded")
    {
        return State::failed("progress-deadline", text_or_empty(progressing, "/message"));
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let all = count(object, "/status/replicas");
    let updated = count(object, "/status/updatedReplicas");
    let available = count(object, "/status/availableReplicas");
    let old = (all - updated).max(0);
    if updated >= wanted && old == 0 && available >= wanted && updated <= wanted {
        return State::Ready;
    }
    let mut text = format!("{updated} of {wanted} replicas updated, {available} available");
    if old > 0 {
        text.push_str(&format!(", {old} old"));
    }
    if flag(object, "/spec/paused") {
        text.push_str("; its rollout is paused");
    }
    State::Progressing(text)
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // documents written in place
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(wanted: i64, status: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "frontend", "generation": 2},
            "spec": {"replicas": wanted}, "status": status,
        })
    }

    #[test]
    fn table() {
        let progress = State::progressing;
        let table = [
            (2, json!({}), progress("waits for the deployment controller")),
            (
                2,
                json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
                "availableReplicas": 2}),
                progress("waits for the deployment controller"),
            ),
            (2, json!({"observedGeneration": 2}), progress("0 of 2 replicas updated, 0 available")),
            (
                2,
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1,
                "availableReplicas": 2}),
                progress("1 of 2 replicas updated, 2 available, 2 old"),
            ),
            (
                2,
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2,
                "availableReplicas": 3}),
                progress("2 of 2 replicas updated, 3 available, 1 old"),
            ),
            (
                2,
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                "availableReplicas": 1}),
                progress("2 of 2 replicas updated, 1 available"),
            ),
            (
                2,
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                "availableReplicas": 2}),
                State::Ready,
            ),
            (
                2,
                json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2,
                "availableReplicas": 2}),
                State::Ready,
            ),
            (0, json!({"observedGeneration": 2}), State::Ready),
            (
                0,
                json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}),
                progress("1 of 0 replicas updated, 0 available"),
            ),
            (
                2,
                json!({"observedGeneration": 2, "conditions": [{"type": "Progressing",
                "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]}),
                State::failed("progress-deadline", "late"),
            ),
            // Of the version before: not said about this one.
            (
                2,
                json!({"observedGeneration": 1, "conditions": [{"type": "Progressing",
                "status": "False", "reason": "ProgressDeadlineExceeded"}]}),
                progress("waits for the deployment controller"),
            ),
        ];
        for (wanted, status, expected) in table {
            assert_eq!(readiness(&deployment(wanted, status.clone())), expected, "{status}");
        }
    }

    #[test]
    fn replicas_are_one_unless_said() {
        let object =
            json!({"status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}});
        assert_eq!(readiness(&object), State::Ready);
    }

    #[test]
    fn a_paused_rollout_says_so() {
        let object = json!({"spec": {"paused": true}});
        let State::Progressing(text) = readiness(&object) else { panic!() };
        assert!(text.ends_with("; its rollout is paused"), "{text}");
    }
}
