//! Plays a rollout: an engine of its own, in the practice cluster, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deployd_cluster::{ClusterOptions, KubeCluster};
use deployd_core::deployment::{DeploymentRecord, Outcome, Skip, StepId};
use deployd_core::plan::Manifests;
use deployd_core::ports::{NoGit, Rehearsed, Staged, Strategies};
use deployd_core::rehearsal::{Scenario, Steers};
use deployd_core::rollout::ways;
use deployd_core::set::DeploymentSet;
use deployd_core::steering::Steering;
use deployd_core::views::DeployRequest;
use deployd_core::{Actor, DeploymentId, Fault};
use deployd_engine::{Caller, Engine, EngineError, Ports};
use deployd_practice::Fault::Latency;
use deployd_practice::{Practice, PracticeOptions, RequestMatch};
use deployd_store::MemoryStore;
use futures::StreamExt;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until};

use super::decisions;
use super::documents;
use super::objects::{prepared, text, workload_of};
use super::outside::Outside;
use super::telling::{Ended, report};
use super::traffic::Entry;
use super::world::{PACE, World, milliseconds};

/// Back-off of the practice cluster, which begins with twice as much: as kubelets
/// have it, 10, 20, 40 s.
const BACK_OFF: Duration = Duration::from_secs(5);

/// How long a request to the API server takes: so much as one that is busy needs.
/// Meanwhile users see what there is.
const REQUEST: Duration = Duration::from_millis(100);

/// How long pods take to stop: they have been asked to, and get no requests.
const STOP: Duration = Duration::from_secs(2);

/// The most simulated time: a rollout that takes longer than a month has not been
/// thought through.
const SIMULATED_MAX: Duration = Duration::from_secs(31 * 24 * 3_600);

/// The longest that what runs before is left alone, so that all of its pods have been
/// there for long: more than pods need that are ready ever.
const GROUND_MAX: Duration = Duration::from_secs(24 * 3_600);

/// A rehearsal that can begin.
struct Stage {
    world: Arc<World>,
    outside: Arc<Outside>,
    rehearsed: Arc<decisions::Rehearsed>,
    engine: Engine,
    staged: Staged,
}

/// Plays it to its end. Has to be called in a paused runtime.
pub(super) async fn play(
    staged: Staged,
    strategies: Arc<dyn Strategies>,
    daemon: Handle,
) -> Result<Rehearsed, Fault> {
    let stage = Stage::set(staged, strategies, daemon)?;
    let came = Box::pin(stage.play()).await.map_err(|error| match error {
        EngineError::Fault(fault) => fault,
        other => Fault::bug("rehearsal", format!("the rehearsal can't be done: {other}")),
    });
    stage.world.practice.shutdown();
    stage.engine.abort();
    came
}

impl Stage {
    fn set(staged: Staged, strategies: Arc<dyn Strategies>, daemon: Handle) -> Result<Self, Fault> {
        let options = PracticeOptions::new().pace(PACE).back_off(BACK_OFF).stop(STOP);
        let practice = Practice::within(options);
        practice.faults().always(RequestMatch::any(), Latency(REQUEST));
        let (new, before) = prepared(&practice, &staged.new, staged.current.as_ref());
        let choice = staged.strategy.traffic;
        let ways = ways(&staged.new, staged.current.as_ref(), choice)
            .map_err(|error| Fault::invalid("traffic-impossible", error.to_string()))?;
        let mut entries = BTreeMap::new();
        for manifests in [Some(&staged.new), staged.current.as_ref()].into_iter().flatten() {
            for (workload, entry) in entries_of(manifests, &new.namespace) {
                entries.entry(workload).or_insert(entry);
            }
        }
        let server = practice.clone();
        let cluster =
            KubeCluster::within(ClusterOptions::default(), practice.token(), move || {
                server.connect()
            })?;
        let world = Arc::new(World::new(practice, staged.scenario.clone(), entries));
        let plugin = staged.strategy.plugin.clone();
        let rehearsed = decisions::Rehearsed::new(daemon, strategies, plugin, ways, world.clone());
        let (rehearsed, outside) = (Arc::new(rehearsed), Arc::new(Outside::of(new, before)));
        let engine = Engine::new(Ports {
            store: Arc::new(MemoryStore::new()),
            vault: outside.clone(),
            vault_admin: outside.clone(),
            catalog: outside.clone(),
            drivers: outside.clone(),
            templaters: outside.clone(),
            strategies: rehearsed.clone(),
            checks: world.clone(),
            notifiers: outside.clone(),
            receivers: outside.clone(),
            policies: outside.clone(),
            issuers: outside.clone(),
            attestations: outside.clone(),
            registries: outside.clone(),
            references: outside.clone(),
            repositories: Arc::new(NoGit),
            forges: Arc::new(NoGit),
            cluster: Arc::new(cluster),
            sender: outside.clone(),
            clock: outside.clone(),
            random: outside.clone(),
            rehearsals: outside.clone(),
        });
        Ok(Self { world, outside, rehearsed, engine, staged })
    }

    async fn play(&self) -> Result<Rehearsed, EngineError> {
        let staged = &self.staged;
        self.engine.start().await?;
        self.engine.apply(&caller(), documents::platform(staged)?, false).await?;
        if let Some(current) = &staged.current {
            Box::pin(self.ground(current)).await?;
        }
        self.world.is_as_the_scenario_says();
        self.outside.is_new.store(true, Ordering::Relaxed);
        self.engine.apply(&caller(), vec![documents::rehearsed(staged)?], false).await?;
        let workloads = staged.workloads.iter().map(|it| (it.name.as_str(), &it.after));
        let set = documents::set(&staged.environment.application, workloads)?;
        let id = Box::pin(self.deploy(set)).await?;
        let (record, aborted_ms) = Box::pin(self.watch(&id)).await?;
        let ledger = self.world.settle();
        let decisions = self.rehearsed.decisions();
        let mut notes = decisions.shortfalls.clone();
        notes.extend(self.outside.new.notes.iter().cloned());
        let had_current = staged.current.is_some();
        let at_ms = self.world.now_ms();
        let ended = Ended { record: &record, at_ms, aborted_ms, had_current };
        let checks = staged.checks.keys().map(deployd_core::Name::as_str);
        let report = report(&ended, decisions, &ledger, checks);
        Ok(Rehearsed { report, notes: notes.into_iter().collect() })
    }

    /// Has run what runs before.
    async fn ground(&self, current: &Manifests) -> Result<(), EngineError> {
        self.world.is_well();
        let none = BTreeSet::new();
        let workloads = workloads_of(current);
        let workloads = workloads.iter().map(|name| (*name, &none));
        let set = documents::set(&self.staged.environment.application, workloads)?;
        let id = Box::pin(self.deploy(set)).await?;
        let mut updates = pin!(self.engine.watch_record(&id));
        while let Some(update) = updates.next().await {
            let Some(record) = update?.record else { continue };
            match record.outcome {
                None => {}
                Some(Outcome::Succeeded) => break,
                Some(_) => {
                    let why = record.fault.map(|fault| fault.message).unwrap_or_default();
                    let message = format!(
                        "what runs now does not come up in the cluster of rehearsals, so that nothing can be rehearsed upon it: {why}"
                    );
                    return Err(Fault::permanent("rehearsal-ground", message).into());
                }
            }
        }
        let long = Duration::from_millis(self.world.scenario.current.ready_after_ms);
        sleep(long.min(GROUND_MAX)).await;
        Ok(())
    }

    async fn deploy(&self, set: DeploymentSet) -> Result<DeploymentId, EngineError> {
        let environment = Some(self.staged.environment.clone());
        let request = DeployRequest { environment, set: Some(set), ..DeployRequest::default() };
        Ok(self.engine.deploy(&caller(), request).await?.id)
    }

    /// Watches the rollout until it has ended, and does what happens beside it. When
    /// a person has aborted it.
    async fn watch(
        &self,
        id: &DeploymentId,
    ) -> Result<(DeploymentRecord, Option<u64>), EngineError> {
        let World { practice, scenario, .. } = &*self.world;
        let mut updates = pin!(self.engine.watch_record(id));
        let (mut changes, mut decided) = (practice.changes(), self.rehearsed.decided());
        let mut person = PersonBeside::default();
        let mut aborted_ms = None;
        let mut outage = Outage::default();
        let end = Instant::now() + SIMULATED_MAX;
        loop {
            let began = self.world.settle().began;
            outage.follow(practice, scenario, began);
            let next = [outage.next, person.due.as_ref().map(|(_, at)| *at), Some(end)];
            let next = next.into_iter().flatten().min().unwrap_or(end);
            tokio::select! {
                biased;
                update = updates.next() => {
                    let gone = || Fault::bug("rehearsal", "a rollout that has no end");
                    let Some(record) = update.ok_or_else(gone)??.record else { continue };
                    if record.outcome.is_some() {
                        return Ok((*record, aborted_ms));
                    }
                    person.sees(&record, scenario);
                }
                // Neither sender is gone while the stage is there.
                _ = changes.changed() => {}
                _ = decided.changed() => {}
                () = sleep_until(next) => {
                    if Instant::now() >= end {
                        let message = "the rehearsal has come to more than a month of simulated time";
                        let mut record = self.engine.deployment(id).await?;
                        record.fault = Some(Fault::bug("rollout-without-end", message));
                        return Ok((record, None));
                    }
                    if person.is_due() {
                        if scenario.person.does == Steers::Aborts {
                            aborted_ms = Some(self.world.now_ms());
                        }
                        Box::pin(self.steer(id, scenario.person.does)).await?;
                    }
                }
            }
        }
    }

    async fn steer(&self, id: &DeploymentId, does: Steers) -> Result<(), EngineError> {
        let how = match does {
            Steers::Resumes => Steering::Resume,
            Steers::Promotes => Steering::Promote(Skip::Step),
            Steers::PromotesAll => Steering::Promote(Skip::All),
            Steers::Retries => Steering::Retry,
            Steers::Aborts => {
                self.engine.cancel(&caller(), id, None).await?;
                return Ok(());
            }
        };
        match self.engine.steer(&caller(), id, how, None).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // What does not wait any more needs nobody.
                let record = self.engine.deployment(id).await?;
                let waits = record.work.as_ref().and_then(|work| work.paused()).is_some();
                if waits { Err(error) } else { Ok(()) }
            }
        }
    }
}

/// Who looks at a rollout that waits for somebody.
#[derive(Default)]
struct PersonBeside {
    /// In which step it waits, and when they come.
    due: Option<(StepId, Instant)>,
    /// Where they have been.
    seen: Option<StepId>,
}

impl PersonBeside {
    fn sees(&mut self, record: &DeploymentRecord, scenario: &Scenario) {
        let step = record.work.as_ref().and_then(|work| work.paused()).map(|step| &step.id);
        let Some(step) = step.filter(|step| self.seen.as_ref() != Some(step)) else { return };
        if self.due.as_ref().is_none_or(|(known, _)| known != step) {
            let after = Duration::from_millis(scenario.person.after_ms).min(SIMULATED_MAX);
            self.due = Some((step.clone(), Instant::now() + after));
        }
    }

    fn is_due(&mut self) -> bool {
        let due = self.due.take_if(|(_, at)| *at <= Instant::now());
        let is_due = due.is_some();
        if let Some((step, _)) = due {
            self.seen = Some(step);
        }
        is_due
    }
}

/// When the API server is away.
#[derive(Default)]
struct Outage {
    is_away: bool,
    /// When that changes.
    next: Option<Instant>,
}

impl Outage {
    fn follow(&mut self, practice: &Practice, scenario: &Scenario, began: Option<Instant>) {
        self.next = None;
        let (Some(away), Some(began)) = (scenario.api_server_away, began) else { return };
        let passed = milliseconds(began.elapsed());
        let back_ms = away.at_ms.saturating_add(away.for_ms);
        let in_ms = |ms: u64| {
            let left = Duration::from_millis(ms.saturating_sub(passed)).min(SIMULATED_MAX);
            Some(Instant::now() + left)
        };
        let is_away = (away.at_ms..back_ms).contains(&passed);
        if passed < back_ms {
            self.next = in_ms(if is_away { back_ms } else { away.at_ms });
        }
        match (self.is_away, is_away) {
            (false, true) => practice.faults().go_away(),
            (true, false) => practice.faults().come_back(),
            _ => {}
        }
        self.is_away = is_away;
    }
}

fn caller() -> Caller {
    Caller::new(Actor::deployd())
}

/// The workloads that some manifests have.
fn workloads_of(manifests: &Manifests) -> BTreeSet<&str> {
    let owners = manifests.objects.iter().map(|manifest| &manifest.owner);
    owners.filter_map(workload_of).collect()
}

/// The Service by which users reach each workload: its first that has an address.
fn entries_of(manifests: &Manifests, namespace: &str) -> Vec<(String, Entry)> {
    let entry = |(name, object): (&str, &Value)| {
        let is_asked = text(object, "/kind") == "Service"
            && text(object, "/spec/clusterIP") != "None"
            && object.pointer("/spec/selector").is_some();
        let place = match text(object, "/metadata/namespace") {
            "" => namespace,
            own => own,
        };
        is_asked.then(|| {
            let service = text(object, "/metadata/name").to_owned();
            (name.to_owned(), Entry { namespace: place.to_owned(), service })
        })
    };
    let objects = manifests.objects.iter();
    let of_workloads = objects.filter_map(|it| Some((workload_of(&it.owner)?, &it.object)));
    of_workloads.filter_map(entry).collect()
}
