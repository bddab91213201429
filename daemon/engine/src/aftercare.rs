//! Looks after what was deployed: runs the checks that an environment's type names
//! for the time after a deployment, and goes back when one fails.
//!
//! How far they have got is not stored: after a start they begin anew, for what
//! is left of the time.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::config::{AfterwardsSpec, OnDegradation};
use deployd_core::deployment::{Deployed, DeploymentRecord, Mode, Origin, Request, Schedule};
use deployd_core::journal::StreamId;
use deployd_core::plan::{Manifests, ObjectOwner, Plan};
use deployd_core::ports::{Batch, Call, CallLog, CheckOutcome, ObjectRef, all_there};
use deployd_core::quarantine::{QUARANTINE, Quarantined, quarantine_key};
use deployd_core::rollout::STABLE;
use deployd_core::rollout::checking::{CheckResult, Checking, Standing};
use deployd_core::set::DeploymentSet;
use deployd_core::views::RollbackRequest;
use deployd_core::{Actor, DeploymentId, EnvironmentId, Fault, Name, Timestamp};
use futures::FutureExt;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::effects::{Contents, Subject, Way, request};
use crate::journal::until_no_conflict;
use crate::planner::scope;
use crate::records::{content, object, put};
use crate::{Caller, Engine, EngineError, Inner};

/// Between looks for what is to be measured, where any type wants that: checks are
/// mostly measured once a minute, and a look reads what is in memory.
const LOOK: Duration = Duration::from_secs(5);

/// Environments whose checks are measured at a time: each measurement is a call
/// of a plugin and a request.
const AT_ONCE: usize = 8;

/// Begins to look.
pub(crate) fn start(engine: &Arc<Inner>) {
    let inner = engine.clone();
    engine.tasks.spawn(async move {
        let mut care = Aftercare::default();
        while !inner.workers.is_stopping() {
            let looked = AssertUnwindSafe(care.look(&inner)).catch_unwind().await;
            let again = match looked {
                Ok(Ok(again)) => again,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what was deployed is looked after again in a while");
                    Some(LOOK)
                }
                Err(_) => {
                    tracing::error!("looking after deployments has panicked; please report it");
                    Some(LOOK)
                }
            };
            tokio::select! {
                () = inner.aftercare.rung() => {}
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
            }
        }
    });
}

/// What is looked after.
#[derive(Debug, Default)]
struct Aftercare {
    known: BTreeMap<EnvironmentId, Watched>,
    /// What has come to an end, well or not: it is not looked at again.
    done: BTreeMap<EnvironmentId, DeploymentId>,
}

/// A deployment that is looked after.
#[derive(Debug)]
struct Watched {
    deployed: Deployed,
    plan: Arc<Plan>,
    namespace: String,
    /// What runs the pods.
    running: Vec<ObjectRef>,
    checking: Checking,
    reaction: OnDegradation,
}

impl Aftercare {
    /// Looks once; when to look again, if any type wants anything to be looked
    /// after.
    async fn look(&mut self, engine: &Arc<Inner>) -> Result<Option<Duration>, EngineError> {
        let configuration = engine.configuration().await?;
        if configuration.environment_types.values().all(|of_type| of_type.afterwards.is_none()) {
            *self = Self::default();
            return Ok(None);
        }
        let mut wanted = BTreeSet::new();
        for (id, spec) in &configuration.environments {
            let of_type = configuration.environment_types.get(&spec.environment_type);
            let Some(afterwards) = of_type.and_then(|of_type| of_type.afterwards.as_ref()) else {
                continue;
            };
            if self.begin(engine, id, afterwards).await? {
                wanted.insert(id.clone());
            }
        }
        self.known.retain(|id, _| wanted.contains(id));
        let mut watched: Vec<(&EnvironmentId, &mut Watched)> = self.known.iter_mut().collect();
        let mut ended = Vec::new();
        for some in watched.chunks_mut(AT_ONCE) {
            let measured = some.iter_mut().map(|(id, watched)| watched.measure(engine, id));
            let now = engine.ports.clock.now();
            join_all(measured).await;
            for (id, watched) in some {
                if !matches!(watched.checking.standing(now), Standing::Running { .. }) {
                    ended.push((*id).clone());
                }
            }
        }
        for id in ended {
            let Some(watched) = self.known.remove(&id) else { continue };
            let now = engine.ports.clock.now();
            match watched.checking.standing(now) {
                Standing::Failed => Box::pin(engine.degraded(&id, &watched)).await?,
                Standing::Inconclusive => {
                    let deployment = &watched.deployed.deployment;
                    let told = reports(&watched.checking, CheckResult::Inconclusive);
                    tracing::warn!(environment = %id, %deployment, "whether it does well can't be told: {told}");
                }
                Standing::Passed | Standing::Running { .. } => {}
            }
            self.done.insert(id, watched.deployed.deployment);
        }
        Ok(Some(LOOK))
    }

    /// Whether something is looked after in an environment.
    async fn begin(
        &mut self,
        engine: &Arc<Inner>,
        id: &EnvironmentId,
        spec: &AfterwardsSpec,
    ) -> Result<bool, EngineError> {
        let entry = engine.environment(id).await?;
        let now = engine.ports.clock.now();
        let Some(deployed) = entry.state.deployed.clone() else { return Ok(false) };
        let left = spec.window.ms().saturating_sub(now.ms_since(deployed.at));
        let is_done = self.done.get(id) == Some(&deployed.deployment);
        if left == 0 || is_done || entry.state.busy().is_some() {
            return Ok(false);
        }
        if self.known.get(id).is_some_and(|it| it.deployed.deployment == deployed.deployment) {
            return Ok(true);
        }
        let plan: Plan = content(&*engine.ports.store, "plan", deployed.plan).await?;
        let timings: Vec<_> = plan
            .checks
            .iter()
            .filter(|(name, _)| spec.checks.contains(name))
            .map(|(name, check)| (name.clone(), check.timing))
            .collect();
        // One that was planned before the type named these has none of them.
        if timings.is_empty() {
            return Ok(false);
        }
        let manifests: Manifests =
            content(&*engine.ports.store, "manifests", deployed.manifests).await?;
        let watched = Watched {
            deployed,
            plan: Arc::new(plan),
            running: running(&manifests),
            namespace: manifests.namespace,
            checking: Checking::new(timings, left, now),
            reaction: spec.on_failure,
        };
        self.known.insert(id.clone(), watched);
        Ok(true)
    }
}

impl Watched {
    /// Measures what is due.
    async fn measure(&mut self, engine: &Arc<Inner>, id: &EnvironmentId) {
        let now = engine.ports.clock.now();
        let due: Vec<Name> = self.checking.due(now).into_iter().cloned().collect();
        let measured = join_all(due.iter().map(|name| self.one(engine, id, name, now))).await;
        for (name, came) in due.iter().zip(measured) {
            if let Err(fault) = &came {
                tracing::debug!(environment = %id, check = %name, fault = %fault.message, "not measured");
            }
            self.checking.measured(name, came, engine.ports.clock.now());
        }
    }

    async fn one(
        &self,
        engine: &Arc<Inner>,
        id: &EnvironmentId,
        name: &Name,
        now: Timestamp,
    ) -> Result<CheckOutcome, Fault> {
        let (Some(check), Some(progress)) =
            (self.plan.checks.get(name), self.checking.checks().get(name))
        else {
            return Err(Fault::bug("check-unknown", format!("check {name} is not in the plan")));
        };
        engine.need(&check.plugin).await.map_err(EngineError::into_fault)?;
        let workloads = self.plan.workloads.iter().map(|workload| workload.name.clone());
        let subject = Subject {
            deployment: &self.deployed.deployment,
            namespace: &self.namespace,
            workloads: workloads.collect(),
            track: STABLE,
            baseline: None,
            since: self.checking.started(),
            // Nobody waits for an answer once the deployment has ended.
            callback: Value::Null,
            observed: match check.pods {
                true => self.observed(engine, id).await.map_err(EngineError::into_fault)?,
                false => Value::Null,
            },
        };
        let key = format!("afterwards {}", self.deployed.deployment);
        let request = request(check, (name, progress), &subject, key.as_bytes(), now);
        let (scope, log) = (scope(&self.plan, &self.deployed.deployment.0), CallLog::default());
        let call = Call { plugin: &check.plugin, scope: &scope, log: &log };
        engine.ports.checks.run(call, &request).await
    }
}

impl Watched {
    /// How the pods are of what was deployed.
    async fn observed(
        &self,
        engine: &Arc<Inner>,
        id: &EnvironmentId,
    ) -> Result<Value, EngineError> {
        let entry = engine.environment(id).await?;
        let (contents, log) = (Contents::default(), CallLog::default());
        let way = Way {
            engine,
            state: &entry.state,
            plan: &self.plan,
            deployment: &self.deployed.deployment.0,
            key: format!("{}-afterwards-access", self.deployed.deployment),
            contents: &contents,
            log: &log,
        };
        let mut reach = way.reach(&self.namespace).await?;
        loop {
            match engine.ports.cluster.observe(&reach.target, &self.running).await {
                Ok(observed) => return Ok(json!(all_there(&self.running, observed)?)),
                Err(fault) => way.again(&mut reach, fault).await?,
            }
        }
    }
}

/// What runs the pods of workloads.
fn running(manifests: &Manifests) -> Vec<ObjectRef> {
    let of_workloads = manifests.of(|owner| matches!(owner, ObjectOwner::Workload(_)));
    let references = of_workloads.iter().filter_map(|object| manifests.reference(object));
    references.filter(ObjectRef::runs_pods).collect()
}

fn reports(checking: &Checking, result: CheckResult) -> String {
    let reports = checking.reports();
    let told = reports.iter().filter(|report| report.verdict == result);
    told.map(|report| format!("{}: {}", report.name, report.message)).collect::<Vec<_>>().join("; ")
}

impl Inner {
    /// What runs does no longer well: its images go into quarantine, and what ran
    /// before runs again, if the type wants that, and nobody does anything else.
    async fn degraded(
        self: &Arc<Self>,
        id: &EnvironmentId,
        watched: &Watched,
    ) -> Result<(), EngineError> {
        let deployment = &watched.deployed.deployment;
        let message = reports(&watched.checking, CheckResult::Failed);
        tracing::warn!(environment = %id, %deployment, "degraded: {message}");
        let caller = Caller::new(Actor::deployd());
        self.note_degraded(&caller, id, watched, &message).await?;
        if watched.reaction == OnDegradation::Report {
            return Ok(());
        }
        match Box::pin(self.go_back(&caller, id, deployment, &message)).await {
            Ok(Some(record)) => {
                tracing::info!(environment = %id, deployment = %record.id, "goes back");
                Ok(())
            }
            Ok(None) => Ok(()),
            // Nothing ran before, or it can't be had: people have been told.
            Err(error) if !error.may_pass() => {
                tracing::error!(environment = %id, %error, "can't go back");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn note_degraded(
        self: &Arc<Self>,
        caller: &Caller,
        id: &EnvironmentId,
        watched: &Watched,
        message: &str,
    ) -> Result<(), EngineError> {
        let store = &*self.ports.store;
        let new: DeploymentSet = content(store, "set", watched.deployed.set).await?;
        let mut images: BTreeSet<String> = new.images().into_values().collect();
        if let Some(previous) = &watched.plan.previous {
            let old: DeploymentSet = content(store, "set", previous.set).await?;
            for image in old.images().values() {
                images.remove(image);
            }
        }
        let at = self.ports.clock.now();
        let failed: Vec<Quarantined> = images
            .into_iter()
            .map(|image| Quarantined {
                image,
                deployment: watched.deployed.deployment.clone(),
                at,
                code: "degraded".to_owned(),
                message: message.to_owned(),
            })
            .collect();
        let stream = StreamId::artifacts(&id.application);
        until_no_conflict(|| async {
            let version = self.version(&stream).await?;
            let puts = failed
                .iter()
                .map(|one| put(QUARANTINE, quarantine_key(id, &one.image), one))
                .collect::<Result<Vec<_>, _>>()?;
            let body = json!({
                "type": "degradation-found",
                "environment": id.environment,
                "deployment": watched.deployed.deployment,
                "message": message,
                "checks": watched.checking.reports(),
                "quarantined": failed,
            });
            let batch = Batch { puts, ..Batch::default() };
            let batch = self.note(stream.clone(), version, caller, body, batch)?;
            self.commit(caller, (), batch, &[]).await
        })
        .await
    }

    /// Asks for a rollback, if what is meant still runs and nothing else is under
    /// way.
    async fn go_back(
        self: &Arc<Self>,
        caller: &Caller,
        id: &EnvironmentId,
        from: &DeploymentId,
        message: &str,
    ) -> Result<Option<DeploymentRecord>, EngineError> {
        let engine = Engine { inner: self.clone() };
        // What can't be had as it was is resolved anew: it ran well before.
        let ask = RollbackRequest { resolve: true, ..RollbackRequest::default() };
        let back = Box::pin(engine.rollback_plan(id, &ask)).await?;
        if !back.not_undone.is_empty() {
            let what = back.not_undone.join("; ");
            tracing::error!(environment = %id, "does not go back by itself: what was changed of {what} can't be undone; a person has to decide");
            return Ok(None);
        }
        let record = engine.deployment(&back.to).await?;
        let set = engine.set(record.request.set).await?;
        let wanted = Request {
            set: record.request.set,
            mode: Mode::Manual,
            origin: Origin::Rollback {
                to: back.to,
                from: back.from,
                exact: back.exact,
                recent: back.recent,
            },
            comment: Some(format!("degraded: {message}")),
            expected_plan: None,
            confirm_replace: false,
            teardown: None,
            schedule: Schedule::default(),
        };
        let still = |entry: &crate::environments::EnvironmentEntry,
                     _: &crate::configuration::Configuration| {
            let runs = entry.state.deployed.as_ref().is_some_and(|it| it.deployment == *from);
            runs && entry.state.busy().is_none()
        };
        self.accept_if(caller, id, wanted, object(&set)?, Some(&still)).await
    }
}
