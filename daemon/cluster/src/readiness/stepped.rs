//! Objects by which others bring a version step by step: the Rollout of Argo Rollouts
//! (`argoproj.io/v1alpha1`), and the Canary of Flagger (`flagger.app/v1beta1`).

use serde_json::Value;

use super::State;
use crate::fields::{condition, count, flag, items, name, number, text, text_or_empty};

pub(super) fn rollout(object: &Value) -> State {
    if !is_rollout_observed(object) {
        return State::progressing("waits for Argo Rollouts");
    }
    let message = text_or_empty(object, "/status/message");
    if flag(object, "/status/abort") {
        return State::failed("rollout-aborted", said("it was aborted", message));
    }
    let progressing = condition(object, "Progressing").unwrap_or(&Value::Null);
    let is_late = text(progressing, "/reason") == Some("ProgressDeadlineExceeded");
    match text_or_empty(object, "/status/phase") {
        "Healthy" => State::Ready,
        "Degraded" if is_late => State::failed("progress-deadline", said("it is late", message)),
        "Degraded" => State::failed("not-ready", said("it is degraded", message)),
        "Paused" => State::Progressing(match waits_for_somebody(object) {
            Some(command) => {
                said(&format!("{} is paused until somebody runs {command}", step(object)), message)
            }
            None => said(&format!("{} is a pause that ends by itself", step(object)), message),
        }),
        _ => State::Progressing(said(&format!("{} is under way", step(object)), message)),
    }
}

/// Whether the controller has seen the object as it is now. The generation is a text; in
/// versions before 1.0 it was a hash, with which nothing can be compared.
fn is_rollout_observed(object: &Value) -> bool {
    let generation = count(object, "/metadata/generation");
    match text(object, "/status/observedGeneration") {
        Some(seen) => seen.parse::<i64>().map_or(true, |seen| seen >= generation),
        None => number(object, "/status/observedGeneration").is_some_and(|it| it >= generation),
    }
}

/// `step 2 of 5`, or `it` where there are none.
fn step(object: &Value) -> String {
    let steps = items(object, "/spec/strategy/canary/steps").len();
    match number(object, "/status/currentStepIndex").and_then(|it| usize::try_from(it).ok()) {
        Some(at) if steps > 0 => format!("step {} of {steps}", (at + 1).min(steps)),
        _ => "it".to_owned(),
    }
}

/// By which command a person has to let it go on, if it does not by itself.
fn waits_for_somebody(object: &Value) -> Option<String> {
    let place = match text(object, "/metadata/namespace") {
        Some(namespace) => format!("{} -n {namespace}", name(object)),
        None => name(object).to_owned(),
    };
    if flag(object, "/spec/paused") {
        return Some(format!("kubectl argo rollouts resume {place}"));
    }
    let at = count(object, "/status/currentStepIndex");
    let has_end = object
        .pointer(&format!("/spec/strategy/canary/steps/{at}/pause/duration"))
        .or_else(|| object.pointer("/spec/strategy/blueGreen/autoPromotionSeconds"))
        .is_some();
    let is_unsure = items(object, "/status/pauseConditions")
        .iter()
        .any(|it| text(it, "/reason") == Some("InconclusiveAnalysisRun"));
    (is_unsure || !has_end).then(|| format!("kubectl argo rollouts promote {place}"))
}

pub(super) fn canary(object: &Value) -> State {
    let promoted = condition(object, "Promoted").unwrap_or(&Value::Null);
    let message = text_or_empty(promoted, "/message");
    let of = |field: &str| text_or_empty(object, field);
    match of("/status/phase") {
        // What is promoted is what was seen last.
        "Initialized" | "Succeeded"
            if of("/status/lastPromotedSpec").is_empty()
                || of("/status/lastPromotedSpec") == of("/status/lastAppliedSpec") =>
        {
            State::Ready
        }
        "Failed" => State::failed("rollout-aborted", said("its analysis has failed", message)),
        "" => State::progressing("waits for Flagger"),
        "WaitingPromotion" => State::Progressing(said("waits to be promoted", message)),
        "Waiting" => State::Progressing(said("waits for a gate before it begins", message)),
        "Progressing" => {
            let (weight, failed) =
                (count(object, "/status/canaryWeight"), count(object, "/status/failedChecks"));
            let failed = match failed {
                0 => String::new(),
                1 => ", 1 check has failed".to_owned(),
                failed => format!(", {failed} checks have failed"),
            };
            State::Progressing(format!("gets {weight} % of the traffic{failed}"))
        }
        phase => State::Progressing(format!("is {}", phase.to_ascii_lowercase())),
    }
}

/// `it is late: ReplicaSet "web" has timed out progressing`.
fn said(what: &str, message: &str) -> String {
    match message {
        "" => what.to_owned(),
        message => format!("{what}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn progress(text: &str) -> State {
        State::progressing(text)
    }

    #[test]
    fn rollouts() {
        let seen = |mut status: Value| {
            status["observedGeneration"] = json!("2");
            status
        };
        let steps = json!({"strategy": {"canary": {"steps": [
            {"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {"duration": "10m"}}]}}});
        let blue_green = json!({"strategy": {"blueGreen": {"autoPromotionEnabled": false}}});
        let late = json!([{"type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded"}]);
        let unsure = json!([{"reason": "InconclusiveAnalysisRun"}]);
        let table = [
            (&steps, json!({}), progress("waits for Argo Rollouts")),
            (
                &steps,
                json!({"observedGeneration": "1", "phase": "Healthy"}),
                progress("waits for Argo Rollouts"),
            ),
            (&steps, seen(json!({"phase": "Healthy"})), State::Ready),
            // Before 1.0.
            (&steps, json!({"observedGeneration": "6f7d9bc7f", "phase": "Healthy"}), State::Ready),
            (
                &steps,
                seen(json!({"phase": "Progressing", "currentStepIndex": 0,
                    "message": "more replicas need to be updated"})),
                progress("step 1 of 4 is under way: more replicas need to be updated"),
            ),
            (
                &steps,
                seen(json!({"phase": "Paused", "message": "CanaryPauseStep",
                    "currentStepIndex": 1})),
                progress(
                    "step 2 of 4 is paused until somebody runs kubectl argo rollouts promote web \
                     -n shop: CanaryPauseStep",
                ),
            ),
            (
                &steps,
                seen(json!({"phase": "Paused", "message": "CanaryPauseStep",
                    "currentStepIndex": 3})),
                progress("step 4 of 4 is a pause that ends by itself: CanaryPauseStep"),
            ),
            (
                &steps,
                seen(json!({"phase": "Paused", "currentStepIndex": 3, "pauseConditions": unsure})),
                progress(
                    "step 4 of 4 is paused until somebody runs kubectl argo rollouts promote web \
                     -n shop",
                ),
            ),
            (
                &blue_green,
                seen(json!({"phase": "Paused", "message": "BlueGreenPause"})),
                progress(
                    "it is paused until somebody runs kubectl argo rollouts promote web -n shop: \
                     BlueGreenPause",
                ),
            ),
            (
                &json!({"paused": true}),
                seen(json!({"phase": "Paused", "message": "manually paused"})),
                progress(
                    "it is paused until somebody runs kubectl argo rollouts resume web -n shop: \
                     manually paused",
                ),
            ),
            (
                &steps,
                seen(json!({"phase": "Degraded", "abort": true, "message":
                    "RolloutAborted: Rollout aborted update to revision 2"})),
                State::failed(
                    "rollout-aborted",
                    "it was aborted: RolloutAborted: Rollout aborted update to revision 2",
                ),
            ),
            (
                &steps,
                seen(json!({"phase": "Degraded", "conditions": late, "message":
                    "ProgressDeadlineExceeded: ReplicaSet \"web-1\" has timed out progressing."})),
                State::failed(
                    "progress-deadline",
                    "it is late: ProgressDeadlineExceeded: ReplicaSet \"web-1\" has timed out \
                     progressing.",
                ),
            ),
            (
                &steps,
                seen(json!({"phase": "Degraded", "message": "InvalidSpec: no selector"})),
                State::failed("not-ready", "it is degraded: InvalidSpec: no selector"),
            ),
        ];
        for (spec, status, expected) in table {
            let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "metadata": {"name": "web", "namespace": "shop", "generation": 2},
                "spec": spec, "status": status});
            assert_eq!(super::super::readiness(&object, &[]), expected, "{object}");
        }
    }

    #[test]
    fn canaries() {
        let promoted = json!([{"type": "Promoted", "status": "False", "reason": "Failed",
            "message": "Canary analysis failed, Deployment scaled to zero."}]);
        let of = |phase: &str, applied: &str, promoted: &str| json!({"phase": phase, "lastAppliedSpec": applied, "lastPromotedSpec": promoted});
        let table = [
            (json!({}), progress("waits for Flagger")),
            (of("Initializing", "", ""), progress("is initializing")),
            (of("Initialized", "5978589476", "5978589476"), State::Ready),
            (of("Initialized", "5978589476", ""), State::Ready),
            (of("Succeeded", "5978589476", "5978589476"), State::Ready),
            (of("Succeeded", "7d6c5b4a39", "5978589476"), progress("is succeeded")),
            (
                json!({"phase": "Progressing", "canaryWeight": 15, "failedChecks": 1}),
                progress("gets 15 % of the traffic, 1 check has failed"),
            ),
            (json!({"phase": "Waiting"}), progress("waits for a gate before it begins")),
            (json!({"phase": "WaitingPromotion"}), progress("waits to be promoted")),
            (json!({"phase": "Promoting"}), progress("is promoting")),
            (json!({"phase": "Finalising"}), progress("is finalising")),
            (
                json!({"phase": "Failed", "conditions": promoted}),
                State::failed(
                    "rollout-aborted",
                    "its analysis has failed: Canary analysis failed, Deployment scaled to zero.",
                ),
            ),
        ];
        for (status, expected) in table {
            let object = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary",
                "metadata": {"name": "web", "generation": 2}, "status": status});
            assert_eq!(super::super::readiness(&object, &[]), expected, "{object}");
        }
    }
}
