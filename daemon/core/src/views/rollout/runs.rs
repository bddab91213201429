//! Runs of checks: how far each has got, or what it has come to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{CheckRun, RolloutCheck};
use crate::deployment::{Action, Deployment, Step, StepKind, StepStatus};
use crate::plan::Plan;
use crate::rollout::checking::{CheckProgress, CheckReport, CheckResult, Checking, Point};
use crate::{Name, Timestamp};

/// The progress of a run of checks: what its step's token has of it, or a run
/// that begins.
pub(super) fn checking_of(step: &Step, plan: Option<&Plan>) -> Option<Checking> {
    let StepKind::Rollout { action: Action::RunChecks { checks, for_ms, .. } } = &step.kind else {
        return None;
    };
    let token = match &step.status {
        StepStatus::Pending { token, .. } => Some(token),
        _ => step.operation.as_ref(),
    };
    if let Some(known) = token.and_then(|token| serde_json::from_str(token).ok()) {
        return Some(known);
    }
    let planned =
        plan?.checks.iter().filter(|(name, _)| checks.iter().any(|it| it == name.as_str()));
    let timings = planned.map(|(name, check)| (name.clone(), check.timing));
    Some(Checking::new(timings, *for_ms, step.started?))
}

/// A run of checks; none for a step that is something else, or has not begun.
pub(super) fn run_of(
    work: &Deployment,
    step: &Step,
    plan: Option<&Plan>,
    now: Timestamp,
) -> Option<CheckRun> {
    let StepKind::Rollout { action: Action::RunChecks { track, baseline, .. } } = &step.kind else {
        return None;
    };
    step.started?;
    let checking = checking_of(step, plan)?;
    let end = step.ended.map(|at| end_of(work, step, at));
    let is_over = end.is_some();
    let mut reports = end.as_ref().map(|end| end.reports.clone()).unwrap_or_default();
    let checks: Vec<RolloutCheck> = checking
        .checks()
        .iter()
        .map(|(name, progress)| {
            let mut check = check_of(name, progress, (!is_over).then_some(now));
            if let Some((report, end)) = reports.remove(name).zip(end.as_ref()) {
                conclude(&mut check, progress, report, end.at);
            }
            check
        })
        .collect();
    let any = |wanted| checks.iter().any(|check| check.verdict == wanted);
    let verdict = if any(CheckResult::Failed) {
        CheckResult::Failed
    } else if any(CheckResult::Inconclusive) {
        CheckResult::Inconclusive
    } else if is_over && checks.iter().all(|check| check.verdict == CheckResult::Passed) {
        CheckResult::Passed
    } else {
        CheckResult::Running
    };
    Some(CheckRun {
        step: step.id.clone(),
        track: track.clone(),
        baseline: baseline.clone(),
        since: Some(checking.started()),
        ended: step.ended,
        skipped: end.is_some_and(|end| end.skipped),
        verdict,
        checks,
    })
}

/// How a run of checks has ended.
struct End {
    at: Timestamp,
    skipped: bool,
    reports: BTreeMap<Name, CheckReport>,
}

/// What the strategy was told of it, or what its fault says.
fn end_of(work: &Deployment, step: &Step, at: Timestamp) -> End {
    let position = work.steps.iter().position(|it| it.id == step.id).unwrap_or(usize::MAX);
    let observed =
        work.steps.iter().skip(position.saturating_add(1)).find_map(|next| match &next.kind {
            StepKind::Decide { observation } => observation.as_ref(),
            _ => None,
        });
    let told = observed.and_then(|observed| observed.get("checks"));
    let failed = step.fault.as_ref().and_then(|fault| fault.detail.get("checks"));
    let outcome = observed.and_then(|observed| observed.get("outcome")).and_then(Value::as_str);
    let reports: Vec<CheckReport> =
        told.or(failed).and_then(|checks| Vec::deserialize(checks).ok()).unwrap_or_default();
    End {
        at,
        skipped: outcome == Some("promoted"),
        reports: reports.into_iter().map(|report| (report.name.clone(), report)).collect(),
    }
}

fn check_of(name: &Name, progress: &CheckProgress, now: Option<Timestamp>) -> RolloutCheck {
    let limits = progress.timing;
    let next = now.filter(|_| progress.goes_on()).map(|now| progress.due.max(now));
    let message = match (&progress.pending, &progress.last) {
        (Some(pending), _) => pending.message.clone(),
        (None, Some(last)) => last.message.clone(),
        (None, None) => "nothing is measured yet".to_owned(),
    };
    RolloutCheck {
        name: name.clone(),
        verdict: progress.result(),
        message,
        passes: progress.passes,
        needed: limits.count,
        failures: progress.failures,
        failure_limit: limits.failure_limit,
        inconclusives: progress.inconclusives,
        inconclusive_limit: limits.inconclusive_limit,
        errors: progress.errors,
        error_limit: limits.error_limit,
        next,
        next_in_ms: next.zip(now).map(|(next, now)| next.ms_since(now)),
        points: progress.tail.iter().cloned().collect(),
    }
}

/// Puts in what a check has come to. The token of a step is older than its last
/// measurement, of which the report alone tells.
fn conclude(
    check: &mut RolloutCheck,
    progress: &CheckProgress,
    report: CheckReport,
    at: Timestamp,
) {
    let known = progress.last.as_ref();
    let is_new = known.is_none_or(|last| {
        last.message != report.message || last.measurements != report.measurements
    });
    check.verdict = report.verdict;
    check.message = report.message;
    if !is_new || report.measurements.is_empty() {
        return;
    }
    let counted = match report.verdict {
        CheckResult::Passed => &mut check.passes,
        CheckResult::Failed => &mut check.failures,
        CheckResult::Inconclusive => &mut check.inconclusives,
        // What this one has shown is not in the report.
        CheckResult::Running | CheckResult::Error => return,
    };
    *counted = counted.saturating_add(1);
    check.points.push(Point { at, result: report.verdict, values: report.measurements });
}
