use serde_json::{Value, json};

use super::super::*;
use super::{BEFORE, Case, LATER, OURS, expect, now, ours, with};

fn revision(commit: &str) -> Value {
    json!(format!("main@sha1:{commit}"))
}

/// One that has brought what was committed.
fn kustomization() -> Value {
    json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "shop", "namespace": "flux-system", "generation": 2},
        "spec": {"interval": "10m", "path": "./apps/shop", "prune": true, "wait": true,
            "sourceRef": {"kind": "GitRepository", "name": "environments"}},
        "status": {
            "observedGeneration": 2,
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded",
                    "message": format!("Applied revision: main@sha1:{OURS}"),
                    "lastTransitionTime": "2026-11-23T10:00:30Z", "observedGeneration": 2},
                {"type": "Healthy", "status": "True", "reason": "Succeeded",
                    "message": "Health check passed in 20s", "observedGeneration": 2}],
            "inventory": {"entries": [{"id": "shop_web_apps_Deployment", "v": "v1"}]},
            "lastAppliedRevision": revision(OURS), "lastAttemptedRevision": revision(OURS)}})
}

/// The same while it works on what was committed, or has failed with it.
fn unready(status: &str, reason: &str, message: &str, attempted: &str) -> Value {
    let retry = if status == "False" { "ProgressingWithRetry" } else { "Progressing" };
    let conditions = json!([
        {"type": "Ready", "status": status, "reason": reason, "message": message,
            "observedGeneration": 2},
        {"type": "Reconciling", "status": "True", "reason": retry,
            "message": format!("Building manifests for revision main@sha1:{attempted}"),
            "observedGeneration": 2}]);
    with(
        kustomization(),
        &[
            // It moves on only with success.
            ("/status/observedGeneration", json!(1)),
            ("/status/conditions", conditions),
            ("/status/lastAppliedRevision", revision(BEFORE)),
            ("/status/lastAttemptedRevision", revision(attempted)),
        ],
    )
}

fn before() -> Value {
    with(
        kustomization(),
        &[
            ("/status/lastAppliedRevision", revision(BEFORE)),
            ("/status/lastAttemptedRevision", revision(BEFORE)),
        ],
    )
}

#[test]
fn what_becomes_of_what_was_committed() {
    let suspend = ("/spec/suspend", json!(true));
    let table: &[Case<'_>] = &[
        ("brought and healthy", kustomization(), ("there", &[])),
        (
            "not fetched yet",
            before(),
            (
                "waiting",
                &["Kustomization flux-system/shop has brought aaaaaaaaaaaa", "has not looked"],
            ),
        ),
        (
            "under way",
            unready("Unknown", "Progressing", "Reconciliation in progress", OURS),
            ("waiting", &["brings 3f2a1b4c5d6e, and is at work: Building manifests"]),
        ),
        (
            "can't be built",
            unready("False", "BuildFailed", "kustomize build failed: accumulating resources", OURS),
            (
                "failed",
                &[
                    "puller-sync-failed",
                    "could not bring 3f2a1b4c5d6e: BuildFailed: kustomize build",
                ],
            ),
        ),
        (
            "can't be applied",
            unready("False", "ReconciliationFailed", "Deployment/shop/web dry-run failed", OURS),
            ("failed", &["ReconciliationFailed: Deployment/shop/web dry-run failed"]),
        ),
        (
            "does not become healthy",
            unready(
                "False",
                "HealthCheckFailed",
                "timeout waiting for: [Deployment/shop/web]",
                OURS,
            ),
            ("failed", &["HealthCheckFailed: timeout waiting for: [Deployment/shop/web]"]),
        ),
        (
            "what was before fails",
            unready("False", "BuildFailed", "kustomize build failed", BEFORE),
            ("waiting", &["kept from bringing aaaaaaaaaaaa by BuildFailed"]),
        ),
        (
            "what it needs is not ready",
            unready(
                "False",
                "DependencyNotReady",
                "dependency 'flux-system/crds' is not ready",
                BEFORE,
            ),
            ("waiting", &["DependencyNotReady: dependency 'flux-system/crds' is not ready"]),
        ),
        (
            "its source was not fetched",
            unready(
                "False",
                "ArtifactFailed",
                "Source artifact not found, retrying in 30s",
                BEFORE,
            ),
            ("waiting", &["Source artifact not found"]),
        ),
        (
            "it was healthy, and is not any more",
            with(
                unready(
                    "False",
                    "HealthCheckFailed",
                    "failed early due to stalled resources",
                    OURS,
                ),
                &[("/status/lastAppliedRevision", revision(OURS))],
            ),
            ("failed", &["stalled resources"]),
        ),
        (
            "what came after ours fails",
            with(
                unready("False", "BuildFailed", "kustomize build failed", LATER),
                &[("/status/lastAppliedRevision", revision(OURS))],
            ),
            ("there", &[]),
        ),
        (
            "settings that can't be",
            with(
                unready("False", "InvalidCELExpression", "failed to parse", BEFORE),
                &[(
                    "/status/conditions/1",
                    json!({"type": "Stalled", "status": "True",
                    "reason": "InvalidCELExpression", "message": "failed to parse"}),
                )],
            ),
            ("failed", &["puller-invalid", "failed to parse"]),
        ),
        (
            "suspended",
            with(before(), &[suspend.clone(), ("/metadata/generation", json!(3))]),
            ("waiting", &["it is suspended", "flux resume kustomization shop -n flux-system"]),
        ),
        (
            "suspended afterwards",
            with(kustomization(), &[suspend, ("/metadata/generation", json!(3))]),
            ("there", &[]),
        ),
        (
            "its settings have changed since",
            with(kustomization(), &[("/metadata/generation", json!(3))]),
            ("waiting", &["has not looked at the last change of its settings"]),
        ),
        (
            "a failure from before its settings have changed",
            with(
                unready("False", "BuildFailed", "path not found", OURS),
                &[("/metadata/generation", json!(3))],
            ),
            ("waiting", &["has not looked at the last change"]),
        ),
        (
            "new",
            with(kustomization(), &[("/status", json!({"observedGeneration": -1}))]),
            ("waiting", &["has brought nothing", "has not looked"]),
        ),
    ];
    for (name, object, expected) in table {
        let state = PullerState::of(PullerKind::FluxKustomization, object, "");
        expect(name, &judge(&state, ours, now()), *expected);
    }
}

#[test]
fn the_source_is_told_of_as_well() {
    let source_of = |ready: Value, suspend: bool| {
        json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "environments", "namespace": "flux-system", "generation": 1},
            "spec": {"url": "https://git.example.com/x.git", "suspend": suspend},
            "status": {"observedGeneration": 1, "conditions": ready,
                "artifact": {"revision": revision(BEFORE)}}})
    };
    let away = json!([{"type": "Ready", "status": "False", "reason": "GitOperationFailed",
        "message": "failed to checkout and determine revision: authentication required",
        "observedGeneration": 1}]);
    let read = |object: &Value, source: &Value| {
        PullerState::of(PullerKind::FluxKustomization, object, "").with_source(source)
    };
    let reference = source(PullerKind::FluxKustomization, &before()).unwrap();
    assert_eq!(reference.api_version, "source.toolkit.fluxcd.io/v1");
    assert_eq!(reference.to_string(), "GitRepository flux-system/environments");
    let state = read(&before(), &source_of(away.clone(), false));
    expect(
        "not let in",
        &judge(&state, ours, now()),
        ("waiting", &["GitOperationFailed", "environments: failed to checkout", "authentication"]),
    );
    let stalled = json!([away[0], {"type": "Stalled", "status": "True", "reason": "URLInvalid"}]);
    let state = read(&before(), &source_of(stalled, false));
    expect("stalled", &judge(&state, ours, now()), ("failed", &["puller-invalid"]));
    let state = read(&before(), &source_of(json!([]), true));
    expect(
        "suspended",
        &judge(&state, ours, now()),
        (
            "waiting",
            &[
                "GitRepository flux-system/environments is suspended",
                "flux resume source git environments -n flux-system",
            ],
        ),
    );
    // What was brought stays, whatever becomes of the source.
    let state = read(&kustomization(), &source_of(away, true));
    assert_eq!(judge(&state, ours, now()), Verdict::There);
}

#[test]
fn of_other_sources_what_they_were_made_of_counts() {
    let digest = format!("latest@sha256:{}", "d".repeat(64));
    let object = with(
        kustomization(),
        &[
            ("/spec/sourceRef/kind", json!("OCIRepository")),
            ("/status/lastAppliedRevision", json!(digest)),
            ("/status/lastAttemptedRevision", json!(digest)),
        ],
    );
    let read = |object: &Value| PullerState::of(PullerKind::FluxKustomization, object, "");
    assert_eq!(read(&object).revisions().len(), 0);
    let named = with(object, &[("/status/lastAppliedOriginRevision", revision(OURS))]);
    assert_eq!(judge(&read(&named), ours, now()), Verdict::There);
}

#[test]
fn who_does_not_wait_for_health_says_so() {
    let read = |object: &Value| PullerState::of(PullerKind::FluxKustomization, object, "");
    assert!(read(&kustomization()).awaits_health);
    let none = with(kustomization(), &[("/spec/wait", Value::Null)]);
    assert!(!read(&none).awaits_health);
    let some = with(none, &[("/spec/healthChecks", json!([{"kind": "Deployment"}]))]);
    assert!(read(&some).awaits_health);
    let release = PullerState::of(PullerKind::FluxHelmRelease, &release(), "");
    assert!(release.awaits_health);
}

fn chart(commit: &str) -> String {
    format!("1.0.0+{}", &commit[..12])
}

/// One that has brought what was committed.
fn release() -> Value {
    json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 1},
        "spec": {"interval": "10m", "chart": {"spec": {"chart": "./apps/shop",
            "reconcileStrategy": "Revision", "sourceRef": {"kind": "GitRepository",
                "name": "environments", "namespace": "flux-system"}}}},
        "status": {
            "observedGeneration": 1, "helmChart": "flux-system/shop-shop",
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "UpgradeSucceeded",
                    "message": "Helm upgrade succeeded for release shop/shop.v2",
                    "observedGeneration": 1},
                {"type": "Released", "status": "True", "reason": "UpgradeSucceeded",
                    "message": "Helm upgrade succeeded for release shop/shop.v2",
                    "observedGeneration": 1}],
            "history": [
                {"name": "shop", "namespace": "shop", "version": 2, "status": "deployed",
                    "chartName": "shop", "chartVersion": chart(OURS)},
                {"name": "shop", "namespace": "shop", "version": 1, "status": "superseded",
                    "chartName": "shop", "chartVersion": chart(BEFORE)}],
            "lastAttemptedRevision": chart(OURS), "lastAttemptedReleaseAction": "upgrade",
            "lastAttemptedGeneration": 1}})
}

#[test]
fn what_becomes_of_a_chart() {
    let upgrade_failed = |more: Value| {
        let message = "Helm upgrade failed for release shop/shop with chart shop: timed out";
        let ready = json!({"type": "Ready", "status": "False", "reason": "UpgradeFailed",
            "message": message, "observedGeneration": 1});
        with(
            release(),
            &[
                ("/status/conditions", json!([ready, more])),
                ("/status/history/0/status", json!("failed")),
                ("/status/history/1/status", json!("deployed")),
            ],
        )
    };
    let stalled = json!({"type": "Stalled", "status": "True", "reason": "RetriesExceeded",
        "message": "Failed to upgrade after 1 attempt(s)"});
    let retrying = json!({"type": "Reconciling", "status": "True",
        "reason": "ProgressingWithRetry", "message": "retrying after error"});
    let before = [
        ("/status/history/0/chartVersion", json!(chart(BEFORE))),
        ("/status/lastAttemptedRevision", json!(chart(BEFORE))),
    ];
    let table: &[Case<'_>] = &[
        ("brought and healthy", release(), ("there", &[])),
        (
            "with files of values",
            with(
                release(),
                &[("/status/history/0/chartVersion", json!(format!("{}.1", chart(OURS))))],
            ),
            ("there", &[]),
        ),
        (
            "not seen yet",
            with(release(), &before),
            ("waiting", &["HelmRelease shop/shop has brought aaaaaaaaaaaa"]),
        ),
        (
            "failed for good",
            upgrade_failed(stalled.clone()),
            ("failed", &["could not bring 3f2a1b4c5d6e: UpgradeFailed: Helm upgrade failed"]),
        ),
        (
            "tried again by itself",
            upgrade_failed(retrying),
            ("waiting", &["kept from bringing 3f2a1b4c5d6e by UpgradeFailed"]),
        ),
        (
            "what was before failed for good",
            with(
                upgrade_failed(stalled),
                &[("/status/lastAttemptedRevision", json!(chart(BEFORE)))],
            ),
            ("waiting", &["UpgradeFailed"]),
        ),
        (
            "a version that names no commit",
            with(
                release(),
                &[
                    ("/status/history/0/chartVersion", json!("1.0.0")),
                    ("/status/lastAttemptedRevision", json!("1.0.0")),
                ],
            ),
            ("waiting", &["version 1.0.0 of its chart names no commit", "reconcileStrategy"]),
        ),
        (
            "suspended",
            with(with(release(), &before), &[("/spec/suspend", json!(true))]),
            ("waiting", &["flux resume helmrelease shop -n shop"]),
        ),
    ];
    for (name, object, expected) in table {
        let state = PullerState::of(PullerKind::FluxHelmRelease, object, "");
        expect(name, &judge(&state, ours, now()), *expected);
    }
    let found = source(PullerKind::FluxHelmRelease, &release()).unwrap();
    assert_eq!(found.to_string(), "GitRepository flux-system/environments");
}
