//! The flow of applications: how it stands, why something is not there yet, and what
//! goes on by itself once it is verified.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::calendar::Errand;
use deployd_core::config::{ApplicationSpec, Promotion, Stage};
use deployd_core::deployment::projection::BY_ENVIRONMENT;
use deployd_core::deployment::{DeploymentRecord, Event, Hold, Mode, Origin, Request, Schedule};
use deployd_core::flow::{
    FlowStage, FlowView, Newest, ReleaseRequest, Runs, SUBJECT_CHARS_MAX, SUBJECT_CHARS_MIN,
    StageFacts, WhyView, candidate, promoted, standing, unverified, wakes, why,
};
use deployd_core::ports::Order;
use deployd_core::set::DeploymentSet;
use deployd_core::{Actor, DeploymentId, Digest, EnvironmentId, Name, Timestamp};
use futures::FutureExt;

use crate::configuration::Configuration;
use crate::journal::until_no_conflict;
use crate::records::{below, content, decode, head_of_deployment, object};
use crate::{Caller, Engine, EngineError, Inner};

/// Between looks, if nothing happens: somebody may have set the clock.
const LOOK: Duration = Duration::from_secs(60);

/// Between looks, however much happens: a look asks for every stage that something
/// comes to by itself.
const REST: Duration = Duration::from_millis(500);

/// Begins to look what goes on by itself.
pub(crate) fn start(engine: &Arc<Inner>) {
    let inner = engine.clone();
    engine.tasks.spawn(async move {
        while !inner.workers.is_stopping() {
            let looked = AssertUnwindSafe(look(&inner)).catch_unwind().await;
            let again = match looked {
                Ok(Ok(again)) => again,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what goes on by itself is looked for again in a while");
                    Some(LOOK)
                }
                Err(_) => {
                    tracing::error!(
                        "the look for what goes on by itself has panicked; please report it"
                    );
                    Some(LOOK)
                }
            };
            tokio::select! {
                () = inner.flow.rung() => {}
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
            }
            if again.is_some() && !inner.workers.is_stopping() {
                tokio::time::sleep(REST).await;
            }
        }
    });
}

/// Looks once; when to look again, if anything comes anywhere by itself.
async fn look(engine: &Arc<Inner>) -> Result<Option<Duration>, EngineError> {
    let configuration = engine.configuration().await?;
    let mut again = None;
    for (application, spec) in &configuration.applications {
        for stage in spec.flow.iter().filter(|it| it.promotion == Promotion::Automatic) {
            let now = engine.ports.clock.now();
            again.get_or_insert(LOOK);
            let looked = Box::pin(engine.go_on(application, spec, stage)).await;
            // What is wrong with one application holds up no other.
            match looked {
                Ok(Some(at)) => {
                    let wait = Duration::from_millis(at.ms_since(now));
                    again = again.map(|sooner: Duration| sooner.min(wait));
                }
                Ok(None) => {}
                Err(error) => {
                    let environment = &stage.environment;
                    tracing::warn!(%application, %environment, %error, "its flow does not go on");
                }
            }
        }
    }
    Ok(again)
}

impl Engine {
    /// How the flow of an application stands.
    pub async fn flow(&self, application: &Name) -> Result<FlowView, EngineError> {
        let inner = &self.inner;
        let configuration = inner.configuration().await?;
        let spec = of(&configuration, application)?;
        let facts = inner.facts(application, &spec.flow).await?;
        let now = inner.ports.clock.now();
        let stages = spec.flow.iter().map(|stage| {
            let own = facts.get(&stage.environment).cloned().unwrap_or_default();
            FlowStage::of(application, stage, &own, standing(stage, &facts, now))
        });
        Ok(FlowView { application: application.clone(), stages: stages.collect() })
    }

    /// Why what a text names (an image, a part of its name or digest, a set) is not in
    /// an environment yet.
    pub async fn why(&self, id: &EnvironmentId, subject: &str) -> Result<WhyView, EngineError> {
        let length = subject.chars().count();
        if !(SUBJECT_CHARS_MIN..=SUBJECT_CHARS_MAX).contains(&length) {
            let message = format!(
                "found {length} characters, expected {SUBJECT_CHARS_MIN} to {SUBJECT_CHARS_MAX}: an image, a part of its name or digest, or a set"
            );
            return Err(EngineError::invalid("subject", message));
        }
        let flow = self.flow(&id.application).await?;
        why(&flow, subject, &id.environment).ok_or_else(|| {
            EngineError::not_found(format!(
                "stage {} in the flow of application {}",
                id.environment, id.application
            ))
        })
    }
}

impl Engine {
    /// Has automation go on in an environment in which somebody went back. Gives what
    /// was held.
    pub async fn release(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: ReleaseRequest,
    ) -> Result<Hold, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        let hold = until_no_conflict(|| async {
            let entry = inner.environment(id).await?;
            let hold = entry.state.hold.clone().ok_or_else(|| EngineError::Conflict {
                message: format!("nothing is held in {id}: nobody went back there last, or that is still under way"),
            })?;
            let event = Event::HoldReleased {
                deployment: hold.deployment.clone(),
                reason: request.reason.clone(),
            };
            let mut appended = inner.prepare(id, &entry, caller, &[event]).await?;
            let batch = std::mem::take(&mut appended.batch);
            inner.commit(caller, hold, batch, &[appended]).await
        })
        .await?;
        inner.workers.wake(inner, id);
        inner.flow.ring();
        Ok(hold)
    }
}

fn of<'c>(
    configuration: &'c Configuration,
    application: &Name,
) -> Result<&'c ApplicationSpec, EngineError> {
    let found = configuration.applications.get(application);
    found.ok_or_else(|| EngineError::not_found(format!("application {application}")))
}

impl Inner {
    /// What is known of the environments of stages.
    async fn facts(
        &self,
        application: &Name,
        stages: &[Stage],
    ) -> Result<BTreeMap<Name, StageFacts>, EngineError> {
        let store = &*self.ports.store;
        let mut facts = BTreeMap::new();
        for stage in stages {
            let id = place(application, &stage.environment);
            let mut own =
                StageFacts { newest: self.newest_of(&id).await?, ..StageFacts::default() };
            let entry = self.environment(&id).await?;
            own.hold.clone_from(&entry.state.hold);
            if let Some(deployed) = &entry.state.deployed {
                let record = head_of_deployment(store, &deployed.deployment).await?;
                let set: DeploymentSet = content(store, "set", deployed.set).await?;
                let images = set.images().into_iter();
                own.images = images
                    .map(|((workload, container), image)| {
                        (format!("{workload}/{container}"), image)
                    })
                    .collect();
                own.runs = Some(Runs {
                    deployment: deployed.deployment.clone(),
                    set: deployed.set,
                    since: deployed.at,
                    went_back: matches!(record.request.origin, Origin::Rollback { .. }),
                });
            }
            facts.insert(stage.environment.clone(), own);
        }
        let now = self.ports.clock.now();
        for stage in stages {
            let (Some(set), _) = candidate(stage, &facts, now) else { continue };
            let set: DeploymentSet = content(store, "set", set).await?;
            let id = place(application, &stage.environment);
            let kept = self.kept_from(&id, set.images().values()).await?;
            if let Some(own) = facts.get_mut(&stage.environment) {
                own.quarantined = kept.into_iter().map(|one| one.image).collect();
            }
        }
        Ok(facts)
    }

    /// The newest deployment of an environment.
    async fn newest_of(&self, id: &EnvironmentId) -> Result<Option<Newest>, EngineError> {
        let store = &*self.ports.store;
        let range = below(&[&id.to_string()]);
        let page = store.scan(BY_ENVIRONMENT, range, Order::Descending, 1).await?;
        let Some((_, bytes)) = page.entries.first() else { return Ok(None) };
        let deployment: DeploymentId = decode("deployment id", bytes)?;
        let record = head_of_deployment(store, &deployment).await?;
        let DeploymentRecord { request, outcome, work, .. } = record;
        let gives_way = request.mode == Mode::Automatic
            && request.origin.errand() == Errand::Deployment
            && work.is_none_or(|work| work.waits_at_gates());
        Ok(Some(Newest { deployment, set: request.set, outcome, gives_way }))
    }

    /// Deploys what is verified to a stage that takes it by itself; when time alone
    /// will change something.
    async fn go_on(
        self: &Arc<Self>,
        application: &Name,
        spec: &ApplicationSpec,
        stage: &Stage,
    ) -> Result<Option<Timestamp>, EngineError> {
        let concerned = |other: &&Stage| {
            other.environment == stage.environment
                || stage.after.iter().any(|before| before.environment == other.environment)
        };
        let stages: Vec<Stage> = spec.flow.iter().filter(concerned).cloned().collect();
        let facts = self.facts(application, &stages).await?;
        let now = self.ports.clock.now();
        let Some(set) = promoted(stage, &facts, now) else {
            return Ok(wakes(stage, &facts, now));
        };
        let Some(before) = stage.after.first() else { return Ok(None) };
        let found = facts.get(&before.environment).and_then(|facts| facts.runs.as_ref());
        let Some(from) = found.map(|runs| runs.deployment.clone()) else { return Ok(None) };
        let id = place(application, &stage.environment);
        let known = facts.get(&stage.environment).and_then(|facts| facts.newest.as_ref());
        let known = known.map(|newest| newest.deployment.clone());
        let of = place(application, &before.environment);
        let wanted = Request {
            set,
            mode: stage.batching.mode(),
            origin: Origin::Promotion { from: of.clone(), deployment: from.clone() },
            comment: None,
            expected_plan: None,
            confirm_replace: false,
            teardown: None,
            schedule: Schedule::default(),
        };
        let found: DeploymentSet = content(&*self.ports.store, "set", set).await?;
        let content = object(&found)?;
        // Nobody has asked for anything else meanwhile.
        let is_as_seen = |entry: &crate::environments::EnvironmentEntry, _: &Configuration| {
            let state = &entry.state;
            let queued = state.queue.iter().map(|queued| (queued.number, &queued.id));
            let active = state.active.as_ref().map(|active| (active.number, &active.id));
            // By the numbers: who has made way is behind those that came after it.
            let newest = queued.chain(active).max().map(|(_, id)| id);
            newest.is_none() || newest == known.as_ref()
        };
        let caller = Caller::new(Actor("deployd".to_owned()));
        let accepted = self.accept_if(&caller, &id, wanted, content, Some(&is_as_seen)).await?;
        if let Some(record) = accepted {
            tracing::info!(environment = %id, deployment = %record.id, from = %of, "promoted");
        }
        Ok(None)
    }

    /// Refuses what has not run in the stages before, unless it ran here, or somebody
    /// says why it is wanted all the same.
    pub(crate) async fn verified(
        &self,
        id: &EnvironmentId,
        set: Digest,
        origin: &Origin,
    ) -> Result<(), EngineError> {
        let configuration = self.configuration().await?;
        let spec = configuration.applications.get(&id.application);
        let stages = spec.map(|spec| spec.flow.as_slice()).unwrap_or_default();
        let Some(stage) = stages.iter().find(|stage| stage.environment == id.environment) else {
            return Ok(());
        };
        let ran_here = match origin {
            Origin::Redeploy { of, .. } => {
                head_of_deployment(&*self.ports.store, of).await?.environment == *id
            }
            _ => false,
        };
        if stage.after.is_empty() || ran_here {
            return Ok(());
        }
        let facts = self.facts(&id.application, stages).await?;
        let held = unverified(stage, &facts, set, self.ports.clock.now());
        if held.is_empty() {
            return Ok(());
        }
        let reasons: Vec<String> =
            held.iter().map(|held| held.view(&id.application, &id.to_string()).message).collect();
        let message = format!(
            "{id} takes only what has run in the stages before it: {}; `--unverified REASON` deploys it all the same",
            reasons.join("; ")
        );
        Err(EngineError::Conflict { message })
    }
}

fn place(application: &Name, environment: &Name) -> EnvironmentId {
    EnvironmentId { application: application.clone(), environment: environment.clone() }
}
