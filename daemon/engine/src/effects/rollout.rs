//! Asks the strategy what to do, and does it.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::Fault;
use deployd_core::deployment::{Action, StepStatus};
use deployd_core::plan::{Manifests, ObjectOwner, Plan};
use deployd_core::ports::{Call, Decision, LogLevel, StrategyContext};
use deployd_core::rehearsal::span;
use deployd_core::rollout::{STABLE, Tracks, Version, Way, course, sleeping};
use serde_json::{Value, json};

use super::checks::{Run, known};
use super::course::is_of;
use super::{Ended, Work};
use crate::EngineError;
use crate::records::object;

/// The longest that a strategy can have readiness waited for: a day.
const DEADLINE_MS_MAX: u64 = 24 * 3_600_000;

/// A paused rollout goes on by an event; looking at it in between has no use.
const PAUSE_POLL_MS: u64 = 15 * 60_000;

impl Work {
    pub(super) async fn decide(&self, observation: Option<&Value>) -> Result<Ended, EngineError> {
        let course = self.course().await?;
        let strategy = course
            .plan
            .strategy
            .as_ref()
            .ok_or_else(|| EngineError::bug("a rollout without a strategy"))?;
        let recent = self.deployment.request.origin.is_recent();
        let context = StrategyContext {
            config: strategy.config.clone(),
            workloads: workloads(&Rolled {
                plan: &course.plan,
                new: &course.new,
                current: course.current.as_deref(),
                ways: &course.ways,
                recent,
            }),
        };
        let scope = self.scope(&course.plan);
        self.engine.need(&strategy.plugin).await?;
        let call = Call { plugin: &strategy.plugin, scope: &scope, log: &self.log };
        let strategies = &self.engine.ports.strategies;
        let decision = match (observation, &self.deployment.rollout) {
            (Some(observation), Some(rollout)) => {
                strategies.next(call, &context, &rollout.state, observation).await?
            }
            _ => strategies.start(call, &context).await?,
        };
        self.log.line(LogLevel::Info, decision.message.clone());
        let new = &course.new;
        let current = course.current.as_deref();
        check(&decision, &course.plan, &course.tracks, (new, current), &course.ways)?;
        Ok(Ended::Decided(decision))
    }

    pub(super) async fn act(&self, action: &Action) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        match action {
            // What most rollouts do: exchange in place what runs, no tracks.
            Action::Apply { track, workloads, .. }
                if track == STABLE && self.state.tracks.is_empty() && plan.pull.is_none() =>
            {
                let manifests = self.rendered().await?;
                let references =
                    self.apply(&plan, &manifests, |owner| is_of(owner, workloads)).await?;
                Ok(Ended::Done(Some(object(&references)?)))
            }
            Action::Apply { .. }
            | Action::Scale { .. }
            | Action::Shift { .. }
            | Action::Retire { .. } => self.follow(action).await,
            Action::AwaitReady { track, workloads, deadline_ms } => {
                // Begins anew with each attempt: the clock on the wall, which
                // alone goes on between two lives, must not end a rollout.
                let deadline_ms = (*deadline_ms).min(DEADLINE_MS_MAX);
                self.await_track(track, workloads, deadline_ms).await
            }
            Action::RunChecks { checks, track, baseline, workloads, for_ms } => {
                self.run_checks(Run {
                    checks,
                    track: track.as_deref(),
                    baseline: baseline.as_deref(),
                    workloads: workloads.as_deref(),
                    for_ms: *for_ms,
                })
                .await
            }
            Action::Sleep { ms } => {
                let token = match &self.step.status {
                    StepStatus::Pending { token, .. } => Some(token.as_str()),
                    _ => None,
                };
                Ok(match sleeping::nap(*ms, token) {
                    Some(nap) => Ended::Pending {
                        token: nap.token,
                        poll_after_ms: nap.ms,
                        message: format!("waiting for {}", span(*ms)),
                    },
                    None => Ended::Done(None),
                })
            }
            Action::Pause { message } => Ok(Ended::Pending {
                token: "paused".to_owned(),
                poll_after_ms: PAUSE_POLL_MS,
                message: message.clone(),
            }),
            Action::Complete {} | Action::RollBack { .. } => {
                Err(EngineError::bug("an action that is no step"))
            }
        }
    }
}

/// Whether what a strategy has decided can be done, before it is recorded: what
/// can't be is a fault of its decision, and leads back to what ran before.
pub(crate) fn check(
    decision: &Decision,
    plan: &Plan,
    tracks: &Tracks,
    (new, current): (&Manifests, Option<&Manifests>),
    ways: &BTreeMap<String, Way>,
) -> Result<Option<Tracks>, EngineError> {
    // What is no action at all is told by the state machine.
    let Ok(action) = serde_json::from_value::<Action>(decision.action.clone()) else {
        return Ok(None);
    };
    if let Action::AwaitReady { track, workloads, .. } = &action {
        let runs = |name: &str| {
            let mut before = current.iter().flat_map(|current| &current.objects);
            before.any(|it| matches!(&it.owner, ObjectOwner::Workload(of) if of == name))
        };
        let missing = workloads.iter().find(|name| {
            match tracks.of(name).and_then(|tracks| tracks.track(track)) {
                // A workload that is new has nothing to wait for before it is applied.
                Some(there) => there.version == Version::Current && !runs(name),
                None => true,
            }
        });
        if let Some(name) = missing {
            let message = format!(
                "the strategy waits for the track {track} of workload {name}, which it has not applied"
            );
            return Err(Fault::bug("track-unknown", message).into());
        }
    }
    known(plan, &action)?;
    // An empty set has nothing that could be forgotten.
    if plan.workloads.is_empty() {
        return Ok(Some(tracks.clone()));
    }
    let possible = course::possible(tracks, &action, new, current, ways);
    Ok(Some(possible.map_err(|refused| refused.fault())?))
}

/// What a strategy is told of workloads.
pub(crate) struct Rolled<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) new: &'a Manifests,
    pub(crate) current: Option<&'a Manifests>,
    pub(crate) ways: &'a BTreeMap<String, Way>,
    /// Whether this has run here before, and is gone back to.
    pub(crate) recent: bool,
}

/// Workloads in dependency order, as strategies see them (`wit/README.md`).
pub(crate) fn workloads(rolled: &Rolled<'_>) -> Value {
    let Rolled { plan, new, current, ways, recent } = rolled;
    let of = |manifests: &Manifests, name: &str| {
        manifests.of(|owner| matches!(owner, ObjectOwner::Workload(of) if of == name))
    };
    let previous = plan.previous.as_ref().filter(|_| current.is_some());
    plan.workloads
        .iter()
        .map(|workload| {
            let name = workload.name.as_str();
            let objects = of(new, name);
            let replicas = objects
                .iter()
                .find_map(|object| object.pointer("/spec/replicas").and_then(Value::as_u64))
                .unwrap_or(1);
            let added = previous
                .is_none_or(|previous| previous.delta.workloads.add.contains_key(&workload.name));
            let changed = current.is_none_or(|current| of(current, name) != objects);
            let way = ways.get(name);
            // All of it is one commit: which comes first is up to who pulls it.
            let none = BTreeSet::new();
            let after = if plan.pull.is_some() { &none } else { &workload.after };
            json!({
                "name": name,
                "replicas": replicas,
                "after": after,
                "current": previous.filter(|_| !added).map(|previous| &previous.deployment),
                "changed": changed,
                "recent": recent,
                "tracks": way.is_some_and(|way| way.no_tracks.is_none()),
                "traffic": way.map(|way| json!({
                    "way": way.via,
                    "weights": way.weights,
                    "headers": way.headers,
                    "mirror": way.mirror,
                })),
            })
        })
        .collect()
}
