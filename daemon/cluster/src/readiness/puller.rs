//! Objects by which others bring what is in a repository to a cluster: Argo CD's
//! Application, Flux's Kustomization and HelmRelease. Whichever revision they bring is
//! meant: who has applied such an object knows of none.

use deployd_core::config::PullerKind;
use deployd_core::pull::puller::{About, Health, PullerState};
use serde_json::Value;

use super::State;
use crate::fields::{text, text_or_empty};

pub(super) fn readiness(kind: PullerKind, object: &Value) -> State {
    let state = PullerState::of(kind, object, "");
    if let Some(trouble) = state.trouble.as_ref().filter(|it| it.about != About::Passing) {
        return State::failed("not-ready", trouble.sentence());
    }
    let sync = text_or_empty(object, "/status/sync/status");
    let is_synced = kind != PullerKind::ArgoCd || sync == "Synced";
    match (state.busy.as_ref(), state.health) {
        (Some(busy), _) => State::progressing(busy),
        (None, Health::Healthy) if is_synced => State::Ready,
        (None, health) => {
            let mut said = match text(object, "/status/sync/status") {
                Some(sync) => format!("is {health} and {sync}"),
                None => format!("is {health}"),
            };
            if let Some(trouble) = &state.trouble {
                said.push_str(&format!(": {}", trouble.sentence()));
            }
            if let Some(command) = state.command().filter(|_| !is_synced) {
                said.push_str(&format!("; somebody has to run: {command}"));
            }
            State::Progressing(said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn applications() {
        let application = |automated: bool, status: Value| {
            let policy = if automated { json!({"automated": {}}) } else { json!({}) };
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
                "metadata": {"name": "base", "namespace": "argocd"},
                "spec": {"syncPolicy": policy}, "status": status})
        };
        let status = |sync: &str, health: &str| json!({"sync": {"status": sync, "revision": "1.2.3"}, "health": {"status": health}});
        let mut failed = status("OutOfSync", "Missing");
        failed["operationState"] = json!({"phase": "Failed", "message": "one or more objects failed",
            "syncResult": {"revision": "1.2.3"}});
        let table = [
            (true, json!({}), State::progressing("is in an unknown state")),
            (true, status("Synced", "Healthy"), State::Ready),
            (
                true,
                status("Synced", "Progressing"),
                State::progressing("is progressing and Synced"),
            ),
            (true, status("OutOfSync", "Healthy"), State::progressing("is healthy and OutOfSync")),
            // It may recover; the deadline tells.
            (true, status("Synced", "Degraded"), State::progressing("is degraded and Synced")),
            (
                false,
                status("OutOfSync", "Missing"),
                State::progressing(
                    "is missing and OutOfSync; somebody has to run: argocd app sync base \
                     --app-namespace argocd",
                ),
            ),
            (true, failed, State::failed("not-ready", "sync Failed: one or more objects failed")),
        ];
        for (automated, status, expected) in table {
            let object = application(automated, status);
            assert_eq!(super::super::readiness(&object, &[]), expected, "{object}");
        }
    }

    #[test]
    fn objects_of_flux() {
        let ready = |status: &str, reason: &str, seen: i64| {
            json!({"observedGeneration": seen, "conditions": [{"type": "Ready", "status": status,
                "reason": reason, "message": "so it is", "observedGeneration": seen}]})
        };
        let waits = "has not looked at the last change of its settings yet";
        let table = [
            (ready("True", "ReconciliationSucceeded", 2), State::Ready),
            (ready("True", "ReconciliationSucceeded", 1), State::progressing(waits)),
            (
                ready("False", "DependencyNotReady", 2),
                State::progressing("is progressing: DependencyNotReady: so it is"),
            ),
            (ready("False", "BuildFailed", 2), State::failed("not-ready", "BuildFailed: so it is")),
            (ready("False", "BuildFailed", 1), State::progressing(waits)),
        ];
        for (status, expected) in table {
            let object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization", "metadata": {"name": "base", "generation": 2},
                "status": status});
            assert_eq!(super::super::readiness(&object, &[]), expected, "{object}");
        }
        // A chart of a registry, whose version names no commit.
        let mut release = json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": {"name": "base", "generation": 2},
            "status": ready("True", "InstallSucceeded", 2)});
        release["status"]["history"] = json!([{"status": "deployed", "chartVersion": "1.2.3"}]);
        assert_eq!(super::super::readiness(&release, &[]), State::Ready);
    }
}
