//! Flux's Kustomization and HelmRelease, and the sources that they get it from.
//!
//! A generation counts as seen once the condition `Ready` is about it: the status's own
//! `observedGeneration` moves on only with success, so that a failure would never count.

use serde_json::Value;

use super::revision::{commit, commit_of_chart};
use super::status::{condition, flag, holding, list, number, reference_of, text, text_or_empty};
use super::{About, Health, PullerState, Trouble, cut};
use crate::config::PullerKind;
use crate::ports::ObjectRef;

/// Reasons of `Ready` that pass by themselves: what is needed is not there yet.
const PASSING: &[&str] = &[
    "ArtifactFailed",
    "DependencyNotReady",
    "HealthCheckCanceled",
    "Progressing",
    "SourceNotReady",
];

/// Reasons of `Stalled` that are about what was tried, and not about settings.
const OF_ATTEMPT: &[&str] = &["MissingRollbackTarget", "RetriesExceeded"];

/// The API of sources.
const SOURCES: &str = "source.toolkit.fluxcd.io/v1";

pub(super) fn kustomization(object: &Value) -> PullerState {
    // Of other sources, what they were made of counts: their own revisions are no commits.
    let is_git = text(object, "/spec/sourceRef/kind") == Some("GitRepository");
    let (applied, tried) = (
        text(object, "/status/lastAppliedRevision"),
        text(object, "/status/lastAttemptedRevision"),
    );
    let origin = text(object, "/status/lastAppliedOriginRevision").and_then(commit);
    let synced = origin.or_else(|| applied.filter(|_| is_git).and_then(commit));
    let attempted = match tried {
        Some(_) if tried == applied => synced.clone(),
        Some(tried) if is_git => commit(tried),
        _ => None,
    };
    let is_retried = |reason: &str| PASSING.contains(&reason);
    let object_ref = reference_of(object, "kustomize.toolkit.fluxcd.io/v1", "Kustomization");
    let mut state = standing(PullerKind::FluxKustomization, object_ref, object, is_retried);
    (state.synced, state.attempted) = (synced, attempted);
    state.awaits_health =
        flag(object, "/spec/wait") || !list(object, "/spec/healthChecks").is_empty();
    state
}

pub(super) fn helm_release(object: &Value) -> PullerState {
    let deployed = list(object, "/status/history")
        .iter()
        .find(|it| text(it, "/status") == Some("deployed"))
        .and_then(|it| text(it, "/chartVersion"));
    let is_retrying = holding(object, "Reconciling").is_some();
    let is_retried = |reason: &str| PASSING.contains(&reason) || is_retrying;
    let object_ref = reference_of(object, "helm.toolkit.fluxcd.io/v2", "HelmRelease");
    let mut state = standing(PullerKind::FluxHelmRelease, object_ref, object, is_retried);
    state.synced = deployed.and_then(commit_of_chart);
    state.attempted = text(object, "/status/lastAttemptedRevision").and_then(commit_of_chart);
    state.awaits_health =
        !flag(object, "/spec/install/disableWait") && !flag(object, "/spec/upgrade/disableWait");
    if let (Some(version), None, None) = (deployed, &state.synced, &state.trouble) {
        let message = format!(
            "the version {version} of its chart names no commit; set spec.chart.spec.\
             reconcileStrategy to Revision"
        );
        state.trouble = Some(Trouble::new(About::Passing, "RevisionUnknown", &message));
    }
    state
}

/// What both have in common: all but the revisions.
fn standing(
    kind: PullerKind,
    reference: ObjectRef,
    object: &Value,
    is_retried: impl Fn(&str) -> bool,
) -> PullerState {
    let suspended = flag(object, "/spec/suspend");
    let ready = condition(object, "Ready").unwrap_or(&Value::Null);
    let message = cut(text_or_empty(ready, "/message"));
    let reason = text_or_empty(ready, "/reason");
    let mut busy = None;
    let mut trouble = None;
    let health = match text_or_empty(ready, "/status") {
        // Who is stopped looks at nothing new: what was said last still holds.
        _ if is_stale(object, ready) && !suspended => {
            busy = Some("has not looked at the last change of its settings yet".to_owned());
            Health::Progressing
        }
        "True" => Health::Healthy,
        "False" => {
            let about = match holding(object, "Stalled").map(|it| text_or_empty(it, "/reason")) {
                Some(why) if OF_ATTEMPT.contains(&why) => About::Attempt,
                Some(_) => About::Settings,
                None if is_retried(reason) => About::Passing,
                None => About::Attempt,
            };
            trouble = Some(Trouble::new(about, reason, &message));
            match (about, reason) {
                (About::Passing, _) => Health::Progressing,
                (_, "HealthCheckFailed" | "TestFailed") => Health::Degraded,
                _ => Health::Unknown,
            }
        }
        _ => {
            let doing = holding(object, "Reconciling").map(|it| text_or_empty(it, "/message"));
            busy = Some(match doing.map(cut).filter(|doing| !doing.is_empty()) {
                Some(doing) => format!("is at work: {doing}"),
                None => "has not looked at anything yet".to_owned(),
            });
            Health::Progressing
        }
    };
    if trouble.is_none() && text(object, "/metadata/deletionTimestamp").is_some() {
        trouble = Some(Trouble::new(About::Passing, "Deleting", "it is being deleted"));
    }
    PullerState {
        kind,
        object: reference,
        synced: None,
        attempted: None,
        busy,
        health_message: if trouble.is_some() { String::new() } else { message },
        health,
        degraded_since: None,
        trouble,
        resources: Vec::new(),
        automated: true,
        suspended,
        source_suspended: None,
        awaits_health: true,
    }
}

/// Whether a status is about settings that have changed since.
fn is_stale(object: &Value, ready: &Value) -> bool {
    let generation = number(object, "/metadata/generation").unwrap_or(0);
    let seen = number(ready, "/observedGeneration")
        .or_else(|| number(object, "/status/observedGeneration"));
    seen.is_some_and(|seen| seen < generation)
}

/// The source from which somebody of Flux gets what it brings: to be read and given to
/// [`PullerState::with_source`]. None of Argo CD, which has no such object.
pub fn source(kind: PullerKind, object: &Value) -> Option<ObjectRef> {
    let own = text(object, "/metadata/namespace");
    let named = |at: &str| {
        Some(ObjectRef {
            api_version: text(object, &format!("{at}/apiVersion")).unwrap_or(SOURCES).to_owned(),
            kind: text(object, &format!("{at}/kind"))?.to_owned(),
            namespace: text(object, &format!("{at}/namespace")).or(own).map(str::to_owned),
            name: text(object, &format!("{at}/name"))?.to_owned(),
        })
    };
    match kind {
        PullerKind::ArgoCd => None,
        PullerKind::FluxKustomization => named("/spec/sourceRef"),
        PullerKind::FluxHelmRelease => {
            named("/spec/chart/spec/sourceRef").or_else(|| named("/spec/chartRef"))
        }
    }
}

pub(super) fn with_source(mut state: PullerState, source: &Value) -> PullerState {
    let object = reference_of(source, SOURCES, "GitRepository");
    if flag(source, "/spec/suspend") {
        state.source_suspended = Some(object);
        return state;
    }
    let ready = condition(source, "Ready").unwrap_or(&Value::Null);
    let is_unready = text(ready, "/status") == Some("False") && !is_stale(source, ready);
    let is_worse = state.trouble.as_ref().is_none_or(|it| it.about == About::Passing);
    if is_unready && is_worse {
        let about = match holding(source, "Stalled") {
            Some(_) => About::Settings,
            None => About::Passing,
        };
        let message = format!("{object}: {}", text_or_empty(ready, "/message"));
        state.trouble = Some(Trouble::new(about, text_or_empty(ready, "/reason"), &message));
    }
    state
}
