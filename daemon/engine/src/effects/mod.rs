//! Performs steps. Each file is about one kind; none decides what comes next.

mod apply;
mod checks;
mod contents;
mod course;
mod guard;
mod jobs;
mod message;
mod policies;
mod provision;
mod publish;
mod pulled;
mod pulling;
mod reach;
mod rollout;
mod sensitive;
mod unfinished;

use std::collections::BTreeMap;
use std::sync::Arc;

use deployd_core::config::WhenUnused;
use deployd_core::deployment::{
    Deployment, DestroyStep, EnvironmentState, Event, Origin, ResourceStep, Step, StepId, StepKind,
    StepStatus,
};
use deployd_core::graph::{self, Node, Uid};
use deployd_core::journal::Version;
use deployd_core::plan::{Manifests, Plan, PlannedResource, UnusedResource};
use deployd_core::ports::{CallLog, LogLevel, Object, Provisioned, Put, Scope};
use deployd_core::resolve;
use deployd_core::seeded::{Bug, seeded};
use deployd_core::set::{DeploymentSet, SetOrigin};
use deployd_core::{DeploymentId, Digest, EnvironmentId, Fault, Timestamp};
use serde_json::Value;
use tokio::sync::watch;

use crate::details::SNAPSHOTS;
use crate::environments::EnvironmentEntry;
use crate::planner::{self, is_unsafe};
use crate::records::{self, content, object};
use crate::{EngineError, Inner};

pub(crate) use apply::manifests;
pub(crate) use checks::{Subject, request};
pub(crate) use contents::Contents;
pub(crate) use course::ways;
pub(crate) use guard::guard;
pub(crate) use jobs::undone_on_the_way;
pub(crate) use publish::Brought;
pub(crate) use reach::Way;
pub(crate) use rollout::{Rolled, check, workloads};
pub(crate) use sensitive::objects;

/// What is to be recorded of a step.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) event: Event,
    /// Content that it names.
    pub(crate) objects: Vec<Object>,
    /// What can be found by it.
    pub(crate) puts: Vec<Put>,
    /// The last lines of its log.
    pub(crate) lines: Vec<Put>,
}

impl From<Event> for Record {
    fn from(event: Event) -> Self {
        Self { event, objects: Vec::new(), puts: Vec::new(), lines: Vec::new() }
    }
}

/// What came of performing a step.
pub(crate) enum Performed {
    /// To be recorded.
    Record(Box<Record>),
    /// Nothing new: ask again then.
    StillPending { poll_at: Timestamp },
    /// It was left for the next start to go on with.
    Left,
}

/// What came of a step, before it is an event.
pub(crate) enum Ended {
    /// It is done.
    Done(Option<Object>),
    /// The manifests are made, and what is told of them.
    Rendered(Object, Option<Value>),
    /// It is done, and what was found: by checks, or by policies.
    Observed(Value),
    /// It goes on later.
    Pending { token: String, poll_after_ms: u64, message: String },
    /// What the strategy decided.
    Decided(deployd_core::ports::Decision),
    /// The plan.
    Planned(Box<planner::Planned>),
    /// It was left for the next start to go on with.
    Left,
}

/// All that performing a step needs.
pub(crate) struct Work {
    pub(crate) engine: Arc<Inner>,
    pub(crate) environment: EnvironmentId,
    pub(crate) state: EnvironmentState,
    pub(crate) deployment: Deployment,
    pub(crate) step: Step,
    pub(crate) log: CallLog,
    pub(crate) leave: watch::Receiver<Leave>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) brought: Brought,
}

/// Whether a step that only watches should go on. What changes something is
/// short, and ends by itself: cut off in the middle, what it has sent could
/// still arrive after what brings back the old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It should.
    Stay,
    /// The deployment ends, and nobody waits for it any more.
    Abandoned,
    /// deployd stops; the next start goes on with it.
    Stopping,
}

/// Performs a step, and says what came of it.
pub(crate) async fn perform(
    engine: Arc<Inner>,
    environment: EnvironmentId,
    entry: Arc<EnvironmentEntry>,
    id: &DeploymentId,
    step: &StepId,
    leave: watch::Receiver<Leave>,
    contents: Arc<Contents>,
) -> Performed {
    let failed = |fault: Fault| Event::StepFailed {
        deployment: id.clone(),
        step: step.clone(),
        fault,
        published: None,
    };
    let state = entry.state.clone();
    let found = state
        .active
        .clone()
        .and_then(|deployment| Some((deployment.step(step)?.clone(), deployment)));
    let Some((known, deployment)) = found else {
        let fault = Fault::bug("no-such-step", format!("there is no step {step}"));
        return Performed::Record(Box::new(failed(fault).into()));
    };
    let log = CallLog::default();
    let brought = Brought::default();
    let work =
        Work { engine, environment, state, deployment, step: known, log, leave, contents, brought };
    let result = work.engine.logged(id, &step.0, &work.log, Box::pin(work.run())).await;
    let now = work.engine.ports.clock.now();
    let ended = match result {
        Ok(ended) => work.outcome(ended, now).await,
        Err(error) => Err(error),
    };
    let outcome = ended.unwrap_or_else(|error| {
        let fault = error.into_fault();
        work.log.line(LogLevel::Error, fault.message.clone());
        Performed::Record(Box::new(failed(fault).into()))
    });
    let lines = work.log.take();
    match outcome {
        Performed::Record(mut record) => {
            work.attach(&mut record);
            // In one transaction with what came of it.
            record.lines = work.engine.lines(id, &step.0, lines).await;
            Performed::Record(record)
        }
        other => {
            work.engine.log(id, &step.0, lines).await;
            other
        }
    }
}

impl Work {
    async fn run(&self) -> Result<Ended, EngineError> {
        match &self.step.kind {
            StepKind::Plan => self.plan_step().await,
            StepKind::Provision { uid, .. } => self.provision(uid).await,
            StepKind::Render => self.render_step().await,
            StepKind::Policies => self.policies_step().await,
            StepKind::Propose => self.propose().await,
            StepKind::Withdraw => self.withdraw().await,
            StepKind::ApplyResources => self.apply_resources().await,
            StepKind::Decide { observation } => self.decide(observation.as_ref()).await,
            StepKind::Rollout { action } => self.act(action).await,
            StepKind::Job { job } => self.run_job(job).await,
            StepKind::Undo { job, of } => self.undo_job(job, of).await,
            StepKind::Restore => self.restore().await,
            StepKind::Prune => self.prune().await,
            StepKind::Destroy { uid } => match self.step.inputs {
                None => self.destroy(uid).await,
                Some(inputs) => self.destroy_unfinished(uid, inputs).await,
            },
        }
    }

    async fn outcome(&self, ended: Ended, now: Timestamp) -> Result<Performed, EngineError> {
        let deployment = self.deployment.id.clone();
        let step = self.step.id.clone();
        let mut puts = Vec::new();
        let (event, objects) = match ended {
            Ended::Done(result) => {
                puts.extend(self.snapshot().await?);
                let digest = result.as_ref().map(|object| object.digest);
                let event = Event::StepSucceeded {
                    deployment,
                    step,
                    result: digest,
                    observed: None,
                    published: None,
                };
                (event, result.into_iter().collect())
            }
            Ended::Rendered(manifests, observed) => {
                let result = Some(manifests.digest);
                let event =
                    Event::StepSucceeded { deployment, step, result, observed, published: None };
                (event, vec![manifests])
            }
            Ended::Observed(found) => {
                let observed = Some(found);
                let event = Event::StepSucceeded {
                    deployment,
                    step,
                    result: None,
                    observed,
                    published: None,
                };
                (event, Vec::new())
            }
            Ended::Left => return Ok(Performed::Left),
            Ended::Pending { token, poll_after_ms, message } => {
                let poll_at = now.plus_ms(poll_after_ms.clamp(POLL_MS_MIN, POLL_MS_MAX));
                match &self.step.status {
                    // Recording every look would fill the journal with nothing.
                    StepStatus::Pending { token: known, .. } if *known == token => {
                        return Ok(Performed::StillPending { poll_at });
                    }
                    _ => {
                        let event =
                            Event::StepPending { deployment, step, token, poll_at, message };
                        (event, Vec::new())
                    }
                }
            }
            Ended::Decided(decision) => {
                let event = Event::RolloutDecided {
                    deployment,
                    step,
                    state: decision.state,
                    action: decision.action,
                    progress: decision.progress,
                    message: decision.message,
                };
                (event, Vec::new())
            }
            Ended::Planned(planned) => {
                let planner::Planned { plan, mut objects, basis, .. } = *planned;
                let content = object(&plan)?;
                let set: Option<Arc<DeploymentSet>> = match plan.teardown {
                    true => None,
                    false => Some(self.set().await?),
                };
                let event =
                    planned_event(deployment, (content.digest, &plan), set.as_deref(), basis)?;
                if let Some(set) = &set {
                    let origin = SetOrigin::planned(
                        &set.application,
                        &self.deployment.actor,
                        self.engine.ports.clock.now(),
                    );
                    puts = self.engine.remember_set(plan.set, &origin).await?;
                }
                self.contents.plan.put(content.digest, plan).await;
                objects.push(content);
                (event, objects)
            }
        };
        Ok(Performed::Record(Box::new(Record { event, objects, puts, lines: Vec::new() })))
    }

    /// Has what was brought to a branch recorded with what came of the step.
    fn attach(&self, record: &mut Record) {
        let Some((brought, files)) = self.brought.get() else { return };
        if let Event::StepSucceeded { published, .. } | Event::StepFailed { published, .. } =
            &mut record.event
        {
            *published = Some(Box::new(brought));
            record.objects.extend(object(&files).ok());
        }
    }

    async fn plan_step(&self) -> Result<Ended, EngineError> {
        let (environment, state) = (&self.environment, &self.state);
        let errand = self.deployment.request.origin.errand();
        let mut planned = match &self.deployment.request.teardown {
            Some(teardown) => {
                Box::pin(self.engine.teardown_plan(environment, state, teardown)).await?
            }
            None if let Some(of) = self.deployment.request.exact() => {
                Box::pin(self.engine.exact_plan(environment, state, (of, errand))).await?
            }
            None => {
                let set = self.set().await?;
                let of = (&*self.deployment.id.0, errand);
                Box::pin(self.engine.plan(environment, state, &set, of)).await?
            }
        };
        // What others have changed is what this is for.
        let heals = matches!(self.deployment.request.origin, Origin::Drift { .. });
        planned.plan.take_over_fields |= heals;
        let expected = self.deployment.request.expected_plan;
        if let Some(expected) = expected.filter(|_| !seeded(Bug::PlanNotCompared)) {
            let found = Digest::of_json(&planned.plan).map_err(EngineError::bug)?;
            if found != expected {
                return Err(Fault::conflict(
                    "plan-changed",
                    format!(
                        "the plan would be {found} now, and only {expected} was asked for: something has changed since; plan again"
                    ),
                )
                .into());
            }
        }
        // Whoever has approved the plan has seen it.
        let confirmed = self.deployment.request.confirm_replace || expected.is_some();
        let replaced = planned.plan.replaced();
        if !replaced.is_empty() && !confirmed && !seeded(Bug::ReplacedUnconfirmed) {
            let names: Vec<&str> = replaced.iter().map(String::as_str).collect();
            return Err(Fault::denied(
                "replace-not-confirmed",
                format!(
                    "{} would be made anew, and what is in the old lost; deploy with --confirm-replace, or with the plan that shows it, if that is meant",
                    names.join(", ")
                ),
            )
            .with_detail(serde_json::json!({ "replaced": replaced }))
            .into());
        }
        Box::pin(self.judge_plan(&planned)).await?;
        let count = planned.plan.graph.nodes.len();
        self.log.line(LogLevel::Info, format!("planned: {count} resources"));
        Ok(Ended::Planned(Box::new(planned)))
    }

    /// At the end of a rollout, how its pods are, for those who ask later. One
    /// that can't be had is no reason to fail.
    async fn snapshot(&self) -> Result<Option<Put>, EngineError> {
        let deployment = &self.deployment;
        let wanted = self.step.kind == StepKind::Prune
            && !deployment.is_restoring()
            && !deployment.is_teardown();
        if !wanted {
            return Ok(None);
        }
        let (plan, manifests) = (self.plan().await?, self.rendered().await?);
        let entry = EnvironmentEntry { version: Version(0), state: self.state.clone() };
        match self.engine.seen(&entry, &plan, &manifests).await {
            Ok(seen) => {
                let value = (seen.at, seen.snapshot);
                Ok(Some(records::put(SNAPSHOTS, deployment.id.0.as_bytes().to_vec(), &value)?))
            }
            Err(fault) => {
                let message = format!("how the pods are could not be seen: {}", fault.message);
                self.log.line(LogLevel::Debug, message);
                Ok(None)
            }
        }
    }

    async fn render_step(&self) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        self.engine.still_lent(&plan).await?;
        if let Some(pinned) = &plan.pinned {
            let manifests = self.manifests_at(pinned.manifests).await?;
            let count = manifests.objects.len();
            self.log.line(LogLevel::Info, format!("{count} objects, as {} has them", pinned.of));
            return self.made(&plan, object(&*manifests)?, &manifests).await;
        }
        let set = self.set().await?;
        let resources = self.resources(&plan, plan.graph.nodes.keys()).await?;
        let outputs: BTreeMap<Uid, Value> =
            resources.iter().map(|(uid, p)| (uid.clone(), p.outputs.clone())).collect();
        let missing = deployd_core::resolve::Missing::Fault;
        let rendered = self
            .engine
            .render(&plan, &set, &outputs, missing, &self.scope(&plan), &self.log)
            .await?;
        let manifests = apply::manifests(&plan, &resources, rendered)?;
        self.log.line(LogLevel::Info, format!("rendered {} objects", manifests.objects.len()));
        let content = object(&manifests)?;
        let made = self.made(&plan, content.clone(), &manifests).await?;
        self.contents.manifests.put(content.digest, manifests).await;
        Ok(made)
    }

    /// The plan that is executed.
    pub(crate) async fn plan(&self) -> Result<Arc<Plan>, EngineError> {
        let digest =
            self.deployment.plan.ok_or_else(|| EngineError::bug("a step without a plan"))?;
        self.plan_at(digest).await
    }

    pub(crate) async fn plan_at(&self, digest: Digest) -> Result<Arc<Plan>, EngineError> {
        self.contents.plan.get(&*self.engine.ports.store, "plan", digest).await
    }

    /// What is deployed.
    pub(crate) async fn set(&self) -> Result<Arc<DeploymentSet>, EngineError> {
        self.set_at(self.deployment.request.set).await
    }

    pub(crate) async fn set_at(&self, digest: Digest) -> Result<Arc<DeploymentSet>, EngineError> {
        self.contents.set.get(&*self.engine.ports.store, "set", digest).await
    }

    /// The manifests that are deployed.
    pub(crate) async fn rendered(&self) -> Result<Arc<Manifests>, EngineError> {
        let digest = self
            .deployment
            .result("render")
            .ok_or_else(|| EngineError::bug("a step before manifests are rendered"))?;
        self.manifests_at(digest).await
    }

    pub(crate) async fn manifests_at(&self, digest: Digest) -> Result<Arc<Manifests>, EngineError> {
        self.contents.manifests.get(&*self.engine.ports.store, "manifests", digest).await
    }

    pub(crate) fn scope(&self, plan: &Plan) -> Scope {
        planner::scope(plan, &self.deployment.id.0)
    }

    /// What is there of these resources; what is borrowed, without its objects,
    /// which are its lender's.
    pub(crate) async fn resources(
        &self,
        plan: &Plan,
        uids: impl Iterator<Item = &Uid>,
    ) -> Result<BTreeMap<Uid, Provisioned>, EngineError> {
        self.engine.provisioned(&self.state, plan, uids).await
    }

    /// What is there of a resource, and of what it refers to.
    pub(crate) async fn resources_for(
        &self,
        plan: &Plan,
        uid: &Uid,
    ) -> Result<BTreeMap<Uid, Provisioned>, EngineError> {
        let after = plan.graph.nodes.get(uid).into_iter().flat_map(|node| &node.after);
        self.resources(plan, after.chain([uid])).await
    }
}

impl Inner {
    /// What is there of these resources; what is borrowed, without its objects,
    /// which are its lender's.
    pub(crate) async fn provisioned(
        &self,
        state: &EnvironmentState,
        plan: &Plan,
        uids: impl Iterator<Item = &Uid>,
    ) -> Result<BTreeMap<Uid, Provisioned>, EngineError> {
        let store = &*self.ports.store;
        let mut found = BTreeMap::new();
        for uid in uids {
            if let Some(borrowed) = plan.borrowed.get(uid) {
                let there: Provisioned = content(store, "resource", borrowed.provisioned).await?;
                found.insert(uid.clone(), Provisioned { manifests: Vec::new(), ..there });
            } else if let Some(active) = state.resources.get(uid) {
                let provisioned = content(store, "resource", active.provisioned).await?;
                found.insert(uid.clone(), provisioned);
            }
        }
        Ok(found)
    }
}

/// Between looks at what is pending.
const POLL_MS_MIN: u64 = 100;
/// A driver that wants to be asked later than this forgets itself.
const POLL_MS_MAX: u64 = deployd_core::deployment::WAIT_MS_MAX;

fn planned_event(
    deployment: DeploymentId,
    (digest, plan): (Digest, &Plan),
    set: Option<&DeploymentSet>,
    basis: Option<Digest>,
) -> Result<Event, EngineError> {
    let order = graph::order(&plan.graph).unwrap_or_default();
    let mut resources = Vec::with_capacity(order.len());
    for uid in &order {
        let (Some(node), Some(planned)) = (plan.graph.nodes.get(uid), plan.resources.get(uid))
        else {
            continue;
        };
        resources.push(ResourceStep {
            uid: uid.clone(),
            name: node.key.to_string(),
            // What is borrowed is there already, and no step.
            after: node
                .after
                .iter()
                .filter(|uid| plan.resources.contains_key(uid))
                .cloned()
                .collect(),
            unsafe_to_repeat: is_unsafe(planned.effect),
            inputs: Some(inputs_of(plan, set, node, planned)?),
        });
    }
    let goes = |uid: &Uid| {
        let of_it = |unused: &&UnusedResource| unused.uid == *uid;
        plan.unused.iter().find(of_it).is_some_and(|one| one.when_unused == WhenUnused::Destroy)
    };
    let mut destroy = Vec::new();
    for unused in plan.unused.iter().filter(|one| one.when_unused == WhenUnused::Destroy) {
        let after: Vec<Uid> = unused.gone_before.iter().filter(|uid| goes(uid)).cloned().collect();
        let there = (!unused.only_unfinished).then_some((None, unused.effect));
        let begun = unused.unfinished.iter().map(|begun| (begun.inputs, begun.effect));
        destroy.extend(there.into_iter().chain(begun).map(|(inputs, effect)| DestroyStep {
            uid: unused.uid.clone(),
            unsafe_to_repeat: effect.is_some_and(is_unsafe),
            after: Some(after.clone()),
            inputs,
        }));
    }
    let (gates, policies) = (plan.gates.clone(), !plan.policies.is_empty());
    let proposes = plan.pull.as_ref().is_some_and(|git| git.pull_request.is_some());
    let plan = digest;
    Ok(Event::DeploymentPlanned {
        deployment,
        plan,
        gates,
        resources,
        destroy,
        basis,
        policies,
        proposes: proposes && set.is_some(),
    })
}

/// What tells a making of a resource from another: the same driver with the
/// same inputs finds what it has begun before. Not its version, which goes on
/// with what the one before has made.
fn inputs_of(
    plan: &Plan,
    set: Option<&DeploymentSet>,
    node: &Node,
    planned: &PlannedResource,
) -> Result<Digest, EngineError> {
    let workload = node.workload.as_ref().and_then(|name| set?.workloads.get(name));
    let metadata = workload.map_or(Value::Null, resolve::metadata_of);
    let all = (&planned.driver.name, &node.params, &node.inputs, &plan.values, metadata);
    Digest::of_json(&all).map_err(EngineError::bug)
}
