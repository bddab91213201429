//! From what is recorded of a deployment to how its rollout stands.

use std::collections::BTreeMap;

use super::commands::commands;
use super::doing::doing;
use super::runs::{checking_of, run_of};
use super::{RUNS_SHOWN_MAX, RolloutTrack, RolloutView, RolloutWorkload};
use crate::Timestamp;
use crate::deployment::{
    Action, Deployment, DeploymentRecord, Outcome, Step, StepKind, StepStatus,
};
use crate::plan::{Manifests, Plan};
use crate::rollout::course::Came;
use crate::rollout::{
    Choice, Footing, Led, STABLE, Tracks, Via, Way, WorkloadTracks, course, footing, ways,
};

/// What belongs to a deployment, as far as it is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recorded<'a> {
    /// Its plan.
    pub plan: Option<&'a Plan>,
    /// Its manifests.
    pub new: Option<&'a Manifests>,
    /// Those of what ran before.
    pub current: Option<&'a Manifests>,
}

/// How the rollout of a deployment stands.
pub fn rollout_view(
    record: &DeploymentRecord,
    recorded: Recorded<'_>,
    now: Timestamp,
) -> RolloutView {
    let work = record.work.as_ref();
    let active = work.filter(|_| record.outcome.is_none());
    let rollout = work.and_then(|work| work.rollout.as_ref());
    let checking = active
        .and_then(|work| work.steps.iter().rev().find(|step| step.is_open()))
        .and_then(|step| checking_of(step, recorded.plan));
    RolloutView {
        deployment: record.id.clone(),
        environment: record.environment.clone(),
        number: record.number,
        phase: record.phase,
        outcome: record.outcome,
        at: now,
        strategy: recorded.plan.and_then(|plan| plan.strategy.as_ref()).map(|it| it.plugin.clone()),
        progress: rollout.map_or(0, |rollout| rollout.progress.min(100)),
        message: rollout.map(|rollout| rollout.message.clone()).unwrap_or_default(),
        held: active.and_then(|work| work.held.clone()),
        doing: active.and_then(|work| doing(work, checking.as_ref(), now)),
        workloads: work.map(|work| workloads(record, work, recorded)).unwrap_or_default(),
        pods_counted: None,
        pods_unknown: None,
        checks: work.map(|work| checks(work, recorded.plan, now)).unwrap_or_default(),
        next: match active.filter(|work| work.rollout.is_some()) {
            Some(work) => commands(&record.environment, work),
            None => Vec::new(),
        },
        lost: Vec::new(),
    }
}

fn checks(work: &Deployment, plan: Option<&Plan>, now: Timestamp) -> Vec<super::CheckRun> {
    let newest = work.steps.iter().rev();
    let runs = newest.filter_map(|step: &Step| run_of(work, step, plan, now));
    let mut found: Vec<_> = runs.take(RUNS_SHOWN_MAX).collect();
    found.reverse();
    found
}

fn workloads(
    record: &DeploymentRecord,
    work: &Deployment,
    recorded: Recorded<'_>,
) -> Vec<RolloutWorkload> {
    let (Some(plan), Some(new)) = (recorded.plan, recorded.new) else { return Vec::new() };
    let names = || plan.workloads.iter().map(|workload| workload.name.as_str());
    // What was undone stands as it did before; the actions do not say so.
    let tracks = match record.outcome {
        Some(Outcome::RolledBack | Outcome::Cancelled) => Tracks::stable(names()),
        _ => course::after(names(), begun(work)),
    };
    let choice = plan.strategy.as_ref().map(|strategy| strategy.traffic).unwrap_or_default();
    // A way that can't be was refused; what there is can be told all the same.
    let ways = ways(new, recorded.current, choice)
        .or_else(|_| ways(new, recorded.current, Choice::Auto))
        .unwrap_or_default();
    names()
        .filter_map(|name| {
            let own = tracks.of(name)?;
            let way = ways.get(name);
            let standing = footing(new, recorded.current, name, own, way);
            Some(workload(name, own, way, &standing))
        })
        .collect()
}

/// What was begun of its rollout; what is done now counts, and what has failed is
/// told apart.
fn begun(work: &Deployment) -> impl Iterator<Item = (&Action, Came)> {
    work.steps.iter().filter_map(|step| match (&step.kind, step.status == StepStatus::Failed) {
        (StepKind::Rollout { action }, true) => Some((action, Came::Failed)),
        (StepKind::Rollout { action }, false) => step.started.map(|_| (action, Came::Done)),
        _ => None,
    })
}

fn workload(
    name: &str,
    tracks: &WorkloadTracks,
    way: Option<&Way>,
    standing: &Footing,
) -> RolloutWorkload {
    let shares = shares(standing);
    let others = standing.pods.keys().filter(|track| *track != STABLE);
    let stable = standing.pods.get_key_value(STABLE).map(|(track, _)| track);
    let found = stable.into_iter().chain(others).filter_map(|track| {
        let pods = standing.pods.get(track)?;
        let weight = shares.get(track).copied().unwrap_or(0);
        let wanted = tracks.weight(track);
        // Where nothing leads to it, nothing is missing.
        let short = standing.led != Led::Nobody && wanted != weight;
        Some(RolloutTrack {
            name: track.clone(),
            version: pods.version,
            replicas: pods.replicas,
            ready: None,
            weight,
            wanted: short.then_some(wanted),
        })
    });
    RolloutWorkload {
        name: name.to_owned(),
        via: way.map_or(Via::None, |way| way.via),
        divided: way.map(|way| way.sentence.clone()).unwrap_or_default(),
        reachable: way.and_then(|way| way.weights.clone()),
        tracks: found.collect(),
        headers: tracks.headers.clone(),
        mirror: tracks.mirror.clone(),
    }
}

/// The percent of the requests that each track gets.
fn shares(standing: &Footing) -> BTreeMap<String, u8> {
    match &standing.led {
        Led::Nobody => BTreeMap::new(),
        Led::To(track) => BTreeMap::from([(track.clone(), 100)]),
        Led::ByWeight(weights) => weights.clone(),
        Led::ByPods => by_pods(standing),
    }
}

/// All pods alike: others rounded up, as the weights that can be reached are,
/// and `stable` the rest.
fn by_pods(standing: &Footing) -> BTreeMap<String, u8> {
    let total: u64 = standing.pods.values().map(|pods| u64::from(pods.replicas)).sum();
    let mut rest = 100u8;
    let mut found = BTreeMap::new();
    for (track, pods) in standing.pods.iter().filter(|(track, _)| *track != STABLE) {
        let percent = u64::from(pods.replicas).saturating_mul(100);
        let percent = if total == 0 { 0 } else { percent.div_ceil(total) };
        let percent = u8::try_from(percent).unwrap_or(100).min(rest);
        rest = rest.saturating_sub(percent);
        found.insert(track.clone(), percent);
    }
    if standing.pods.contains_key(STABLE) {
        found.insert(STABLE.to_owned(), rest);
    }
    found
}
