//! What is proposed to a branch, and waits for somebody else to merge it.
//!
//! Until it is merged nothing of it is in the cluster, so that it makes way as what waits
//! at gates does; its pull request is closed first.

use super::event::Event;
use super::next::Intent;
use super::state::{Deployment, EnvironmentState};
use super::step::{Step, StepId, StepKind, StepStatus};
use super::transition::push;
use super::turn::deferral;
use super::yielding::{goes_back, replaces};
use crate::Timestamp;
use crate::calendar::Outlook;
use crate::pull::Published;
use crate::seeded::{Bug, seeded};

/// The code of the fault when somebody has closed a pull request: they don't agree.
pub const CLOSED: &str = "pull-request-closed";

/// What a step has brought to the branch is there from now on, whatever came of the step.
pub(super) fn brought(
    state: &mut EnvironmentState,
    deployment: &mut Deployment,
    step: &StepId,
    published: Option<&Published>,
) {
    let Some(published) = published else { return };
    state.published = Some(Box::new(published.clone()));
    if let Some(step) = deployment.steps.find_mut(&step.0) {
        // An earlier attempt may have made the commit, and this one found it.
        let before = step.published.as_ref().is_some_and(|before| before.changed);
        let changed = before || published.changed;
        step.published = Some(Box::new(Published { changed, ..published.clone() }));
    }
}

/// Steps of what is committed for others to merge, before anything is applied.
pub(super) fn push_propose(deployment: &mut Deployment, after: &str) -> &'static str {
    push(deployment, "propose", StepKind::Propose, vec![StepId(after.to_owned())]);
    "propose"
}

/// Has a pull request closed that nobody is to merge any more.
pub(super) fn withdraw(deployment: &mut Deployment) {
    let is_withdraw = |step: &Step| step.kind == StepKind::Withdraw;
    let is_open = deployment.steps.iter().any(|step| {
        step.kind == StepKind::Propose
            && step.started.is_some()
            && step.status != StepStatus::Succeeded
            && step.fault.as_ref().is_none_or(|fault| fault.code != CLOSED)
    });
    if is_open && !deployment.steps.iter().any(is_withdraw) && !seeded(Bug::RequestLeftOpen) {
        push(deployment, "withdraw", StepKind::Withdraw, Vec::new());
    }
}

/// What an event makes of the active deployment whose place a newer one takes while it
/// waits to be merged.
pub(super) fn superseded(
    state: &mut EnvironmentState,
    deployment: &mut Deployment,
    by: &crate::DeploymentId,
) -> Result<(), String> {
    if !state.queue.iter().any(|queued| queued.id == *by) {
        return Err(format!("{by} does not wait"));
    }
    deployment.superseded = Some(by.clone());
    deployment.cancel = Some(format!("{by} takes its place"));
    withdraw(deployment);
    Ok(())
}

/// That the active deployment makes way, if it waits to be merged; or when that is to be
/// looked at again.
pub(super) fn makes_way(
    state: &EnvironmentState,
    now: Timestamp,
    outlook: &Outlook,
) -> Vec<Intent> {
    let active = state.active.as_ref().filter(|active| active.waits_for_merge());
    let Some(active) = active else { return Vec::new() };
    let deployment = active.id.clone();
    let newer = state.queue.iter().filter(|queued| queued.number > active.number);
    let newer = newer.filter(|newer| replaces(&newer.request, &active.request, true));
    if let Some(newest) = newer.max_by_key(|newer| newer.number) {
        let by = newest.id.clone();
        return vec![Intent::Append(Event::DeploymentSuperseded { deployment, by })];
    }
    if goes_back(&active.request) {
        return Vec::new();
    }
    let mut later = Vec::new();
    for queued in state.queue.iter().filter(|queued| goes_back(&queued.request)) {
        match deferral(&queued.request, now, outlook) {
            None => {
                let reason = format!(
                    "{} goes back meanwhile, and waits for nobody's merge: deploy again after it",
                    queued.id
                );
                let reason = Some(reason);
                return vec![Intent::Append(Event::CancelRequested { deployment, reason })];
            }
            Some(deferral) => later.extend(deferral.until.map(Intent::WakeAt)),
        }
    }
    later
}

impl Deployment {
    /// Whether it waits for its pull request to be merged, and nothing of it was begun to
    /// be applied.
    pub fn waits_for_merge(&self) -> bool {
        let proposes = |step: &Step| {
            step.kind == StepKind::Propose && matches!(step.status, StepStatus::Pending { .. })
        };
        !self.is_stopping() && !self.has_applied() && self.steps.iter().any(proposes)
    }
}
