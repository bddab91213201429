//! Jobs.

use serde_json::Value;

use super::State;
use crate::fields::{condition, count, flag, holds, number, text_or_empty};

pub(super) fn readiness(object: &Value) -> State {
    if holds(object, "Complete") || holds(object, "SuccessCriteriaMet") {
        return State::Ready;
    }
    // The target is set when the verdict is in but pods still end.
    for kind in ["Failed", "FailureTarget"] {
        if holds(object, kind) {
            let failed = condition(object, kind).unwrap_or(&Value::Null);
            let reason = text_or_empty(failed, "/reason");
            let message = text_or_empty(failed, "/message");
            return State::failed("job-failed", format!("{reason}: {message}"));
        }
    }
    // Nothing will happen until somebody resumes it; that was asked for.
    if flag(object, "/spec/suspend") {
        return State::Ready;
    }
    let wanted = number(object, "/spec/completions").unwrap_or(1);
    let succeeded = count(object, "/status/succeeded");
    let active = count(object, "/status/active");
    let failed = count(object, "/status/failed");
    let mut text = format!("{succeeded} of {wanted} completed, {active} running");
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    State::Progressing(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table() {
        let condition = |kind: &str| {
            json!({"conditions": [{"type": kind, "status": "True",
                "reason": "BackoffLimitExceeded", "message": "too often"}]})
        };
        let failed = State::failed("job-failed", "BackoffLimitExceeded: too often");
        let table = [
            (json!({}), json!({}), State::progressing("0 of 1 completed, 0 running")),
            (
                json!({}),
                json!({"active": 1, "failed": 2}),
                State::progressing("0 of 1 completed, 1 running, 2 failed"),
            ),
            (json!({}), condition("Complete"), State::Ready),
            (json!({}), condition("Failed"), failed.clone()),
            (json!({}), condition("FailureTarget"), failed),
            (json!({"suspend": true}), json!({}), State::Ready),
        ];
        for (spec, status, expected) in table {
            let object = json!({"kind": "Job", "spec": spec, "status": status});
            assert_eq!(readiness(&object), expected, "{object}");
        }
    }
}
