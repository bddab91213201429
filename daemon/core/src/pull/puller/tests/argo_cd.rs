use serde_json::{Value, json};

use super::super::*;
use super::{BEFORE, Case, LATER, OURS, expect, now, ours, with};

const REPOSITORY: &str = "https://git.example.com/platform/environments.git";

/// One that has brought what was committed.
fn application() -> Value {
    let source = json!({"repoURL": REPOSITORY, "path": "apps/shop", "targetRevision": "main"});
    let destination = json!({"server": "https://kubernetes.default.svc", "namespace": "shop"});
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd", "generation": 41},
        "spec": {"project": "default", "source": source, "destination": destination,
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}}},
        "status": {
            "sync": {"status": "Synced", "revision": OURS,
                "comparedTo": {"source": source, "destination": destination}},
            "health": {"status": "Healthy", "lastTransitionTime": "2026-11-23T10:00:30Z"},
            "history": [
                {"id": 0, "revision": BEFORE, "deployedAt": "2026-11-22T10:00:00Z"},
                {"id": 1, "revision": OURS, "deployedAt": "2026-11-23T10:00:05Z"}],
            "operationState": {"phase": "Succeeded",
                "message": "successfully synced (all tasks run)",
                "operation": {"sync": {"revision": OURS, "prune": true},
                    "initiatedBy": {"automated": true}, "retry": {"limit": 5}},
                "syncResult": {"revision": OURS, "source": source, "resources": [
                    {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop",
                        "name": "web", "status": "Synced", "hookPhase": "Running",
                        "message": "deployment.apps/web configured", "syncPhase": "Sync"}]},
                "startedAt": "2026-11-23T10:00:00Z", "finishedAt": "2026-11-23T10:00:05Z"},
            "resources": [{"group": "apps", "version": "v1", "kind": "Deployment",
                "namespace": "shop", "name": "web", "status": "Synced",
                "health": {"status": "Healthy"}}],
            "reconciledAt": "2026-11-23T10:00:30Z", "sourceType": "Directory"}})
}

/// The same before it has seen what was committed.
fn before() -> Value {
    with(
        application(),
        &[
            ("/status/sync/revision", json!(BEFORE)),
            ("/status/history/1/revision", json!(BEFORE)),
            ("/status/operationState/operation/sync/revision", json!(BEFORE)),
            ("/status/operationState/syncResult/revision", json!(BEFORE)),
        ],
    )
}

/// The same while what was committed is new to it.
fn out_of_sync() -> Value {
    let changes =
        [("/status/sync/revision", json!(OURS)), ("/status/sync/status", json!("OutOfSync"))];
    with(before(), &changes)
}

/// The same after the sync of what was committed has failed.
fn failed() -> Value {
    let state = "/status/operationState";
    with(
        out_of_sync(),
        &[
            (&format!("{state}/phase"), json!("Failed")),
            (
                &format!("{state}/message"),
                json!("one or more objects failed to apply (retried 5 times)."),
            ),
            (&format!("{state}/operation/sync/revision"), json!(OURS)),
            (&format!("{state}/syncResult/revision"), json!(OURS)),
            (&format!("{state}/syncResult/resources/0/status"), json!("SyncFailed")),
            (
                &format!("{state}/syncResult/resources/0/message"),
                json!("Deployment.apps \"web\" is invalid: spec.selector: field is immutable"),
            ),
            (
                "/status/conditions",
                json!([{"type": "SyncError", "lastTransitionTime": "2026-11-23T10:01:00Z",
                    "message": format!("Failed sync attempt to {OURS}: one or more objects failed")}]),
            ),
        ],
    )
}

fn read(object: &Value) -> PullerState {
    PullerState::of(PullerKind::ArgoCd, object, REPOSITORY)
}

#[test]
fn what_becomes_of_what_was_committed() {
    let health = |status: &str| ("/status/health/status", json!(status));
    let running = |message: &str| {
        with(
            failed(),
            &[
                ("/status/operationState/phase", json!("Running")),
                ("/status/operationState/message", json!(message)),
                ("/status/conditions", Value::Null),
            ],
        )
    };
    let condition = |object: Value, kind: &str, message: &str| {
        with(object, &[("/status/conditions", json!([{"type": kind, "message": message}]))])
    };
    let by_hand = [("/spec/syncPolicy", Value::Null)];
    let degraded = with(
        application(),
        &[
            health("Degraded"),
            (
                "/status/resources/0/health",
                json!({"status": "Degraded", "message": "Deployment \"web\" exceeded its progress deadline"}),
            ),
        ],
    );
    let table: &[Case<'_>] = &[
        ("brought and healthy", application(), ("there", &[])),
        (
            "not seen yet",
            before(),
            (
                "waiting",
                &["argocd/shop has brought aaaaaaaaaaaa, which does not have", "has not looked"],
            ),
        ),
        ("seen, not begun", out_of_sync(), ("waiting", &["has brought aaaaaaaaaaaa"])),
        (
            "asked for, not begun",
            with(out_of_sync(), &[("/operation", json!({"sync": {"revision": OURS}}))]),
            ("waiting", &["brings 3f2a1b4c5d6e, and is about to sync"]),
        ),
        (
            "under way",
            running("waiting for healthy state of apps/Deployment/web"),
            ("waiting", &["brings 3f2a1b4c5d6e, and syncs: waiting for healthy state"]),
        ),
        (
            "tried again by itself",
            with(
                running("one or more objects failed to apply. Retrying attempt #2 at 10:02AM."),
                &[("/status/operationState/retryCount", json!(1))],
            ),
            ("waiting", &["syncs, attempt 2: one or more objects failed"]),
        ),
        (
            "its hooks still run",
            with(
                application(),
                &[
                    ("/status/operationState/phase", json!("Running")),
                    (
                        "/status/operationState/message",
                        json!("waiting for completion of hook batch/Job/smoke"),
                    ),
                ],
            ),
            ("waiting", &["hook batch/Job/smoke"]),
        ),
        (
            "failed",
            failed(),
            (
                "failed",
                &[
                    "puller-sync-failed: Application argocd/shop could not bring 3f2a1b4c5d6e",
                    "retried 5 times",
                    "Deployment shop/web is SyncFailed: Deployment.apps \"web\" is invalid",
                ],
            ),
        ),
        (
            "in error before anything was sent",
            with(
                failed(),
                &[
                    ("/status/operationState/phase", json!("Error")),
                    ("/status/operationState/syncResult", Value::Null),
                ],
            ),
            ("failed", &["sync Error"]),
        ),
        (
            "what was before has failed, and ours comes next",
            with(
                failed(),
                &[
                    ("/status/operationState/operation/sync/revision", json!(BEFORE)),
                    ("/status/operationState/syncResult/revision", json!(BEFORE)),
                    ("/status/conditions", Value::Null),
                ],
            ),
            ("waiting", &["has brought aaaaaaaaaaaa"]),
        ),
        (
            "what came after ours has failed",
            with(
                failed(),
                &[
                    ("/status/history/1/revision", json!(OURS)),
                    ("/status/sync/revision", json!(LATER)),
                    ("/status/operationState/operation/sync/revision", json!(LATER)),
                    ("/status/operationState/syncResult/revision", json!(LATER)),
                ],
            ),
            ("there", &[]),
        ),
        (
            "a refused sync",
            condition(out_of_sync(), "SyncError", "auto-sync will wipe out all resources"),
            ("failed", &["wipe out all resources"]),
        ),
        (
            "manifests that can't be generated",
            condition(
                with(out_of_sync(), &[("/status/sync", json!({"status": "Unknown"}))]),
                "ComparisonError",
                "Failed to load target state: failed to generate manifest",
            ),
            ("waiting", &["ComparisonError: Failed to load target state"]),
        ),
        (
            "manifests that can't be generated, after a sync that has failed",
            condition(
                with(failed(), &[("/status/sync", json!({"status": "Unknown"}))]),
                "ComparisonError",
                "Failed to load target state",
            ),
            ("waiting", &["it is kept from more by ComparisonError: Failed to load"]),
        ),
        (
            "settings that can't be",
            condition(before(), "InvalidSpecError", "application destination is not permitted"),
            ("failed", &["puller-invalid", "destination is not permitted"]),
        ),
        (
            "by hand",
            with(out_of_sync(), &by_hand),
            (
                "waiting",
                &[
                    "it does not sync by itself",
                    "somebody has to run: argocd app sync shop --app-namespace argocd",
                ],
            ),
        ),
        (
            "switched off",
            with(
                out_of_sync(),
                &[("/spec/syncPolicy/automated", json!({"enabled": false, "prune": true}))],
            ),
            ("waiting", &["argocd app sync shop"]),
        ),
        ("by hand, and done", with(application(), &by_hand), ("there", &[])),
        (
            "on its way",
            with(application(), &[health("Progressing")]),
            ("waiting", &["has brought 3f2a1b4c5d6e, which is progressing"]),
        ),
        ("gone", with(application(), &[health("Missing")]), ("waiting", &["missing"])),
        (
            "paused",
            with(application(), &[health("Suspended")]),
            ("waiting", &["is suspended", "promoted or resumed"]),
        ),
        (
            "degraded",
            degraded.clone(),
            (
                "failed",
                &[
                    "puller-degraded",
                    "Deployment shop/web is Degraded: Deployment \"web\" exceeded",
                ],
            ),
        ),
        (
            "degraded for a moment",
            with(degraded, &[("/status/health/lastTransitionTime", json!("2026-11-23T10:09:30Z"))]),
            ("waiting", &["it may recover"]),
        ),
        (
            "degraded before ours came",
            with(before(), &[health("Degraded")]),
            ("waiting", &["has brought aaaaaaaaaaaa"]),
        ),
        (
            "brought, and something else changes it all the time",
            with(application(), &[("/status/sync/status", json!("OutOfSync"))]),
            ("there", &[]),
        ),
        (
            "a part of it was synced by hand",
            with(
                out_of_sync(),
                &[
                    (
                        "/status/operationState/operation/sync/resources",
                        json!([{"kind": "Service"}]),
                    ),
                    ("/status/operationState/operation/sync/revision", json!(OURS)),
                    ("/status/operationState/syncResult/revision", json!(OURS)),
                ],
            ),
            ("waiting", &["has brought aaaaaaaaaaaa"]),
        ),
        (
            "gone back to what was before",
            with(
                out_of_sync(),
                &[("/status/history/1/revision", json!(OURS)), ("/status/history/0/id", json!(2))],
            ),
            ("waiting", &["has brought aaaaaaaaaaaa"]),
        ),
        (
            "compared before its source was changed",
            with(
                application(),
                &[
                    ("/spec/source/path", json!("apps/other")),
                    ("/status/history/1/revision", json!(BEFORE)),
                ],
            ),
            ("waiting", &["has brought aaaaaaaaaaaa"]),
        ),
        (
            "new",
            with(application(), &[("/status", json!({}))]),
            ("waiting", &["has brought nothing"]),
        ),
    ];
    for (name, object, expected) in table {
        expect(name, &judge(&read(object), ours, now()), *expected);
    }
}

#[test]
fn of_several_sources_ours_counts() {
    let sources = json!([
        {"repoURL": "https://charts.example.com", "chart": "base", "targetRevision": "1.2.3"},
        {"repoURL": "git@git.example.com:platform/environments.git", "path": "apps/shop",
            "targetRevision": "main"}]);
    let object = with(
        application(),
        &[
            ("/spec/source", Value::Null),
            ("/spec/sources", sources),
            ("/status/sync", json!({"status": "Synced", "revisions": ["1.2.3", OURS]})),
            ("/status/history", json!([{"id": 0, "revisions": ["1.2.3", BEFORE]}])),
            ("/status/operationState/syncResult", json!({"revisions": ["1.2.3", OURS]})),
        ],
    );
    let state = read(&object);
    assert_eq!(state.synced.as_deref(), Some(OURS));
    assert_eq!(judge(&state, ours, now()), Verdict::There);
    let object = with(object, &[("/status/sync/status", json!("OutOfSync"))]);
    assert_eq!(read(&object).synced.as_deref(), Some(BEFORE));
}

#[test]
fn a_commit_that_nobody_knows_is_waited_for() {
    let verdict = judge(&read(&application()), |_| None, now());
    expect("unknown", &verdict, ("waiting", &["nobody knows whether it is ours"]));
}

#[test]
fn a_failure_names_what_it_is_about() {
    let Verdict::Failed(fault) = judge(&read(&failed()), ours, now()) else { panic!() };
    assert_eq!(fault.detail["puller"]["name"], "shop");
    assert_eq!(
        (&fault.detail["synced"], &fault.detail["attempted"]),
        (&json!(BEFORE), &json!(OURS))
    );
    assert_eq!(fault.detail["resources"][0]["object"]["name"], "web");
    let state = read(&application());
    assert_eq!(
        state.sentence(),
        "Application argocd/shop has brought 3f2a1b4c5d6e, which is healthy"
    );
    assert_eq!(state.revisions().into_iter().collect::<Vec<_>>(), [OURS]);
}
