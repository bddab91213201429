//! Deployments driven to their end by `next` and `transition` alone.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::projection::EnvironmentHead;
use super::*;
use crate::graph::Uid;
use crate::journal::Version;
use crate::plan::{Gate, GateCondition};
use crate::ports::{Index, KeyRange, Put};
use crate::{Actor, DeploymentId, Digest, EnvironmentId, Fault, Timestamp};

/// An engine without a world: whatever is to be performed is answered by a
/// function.
struct World<'a> {
    state: EnvironmentState,
    now: Timestamp,
    history: Vec<(Timestamp, Event)>,
    last: Option<DeploymentRecord>,
    /// Projections, as a store would have them.
    kept: BTreeMap<(Index, Vec<u8>), Vec<u8>>,
    /// Bytes that the last event has changed of them.
    changed: usize,
    answer: &'a dyn Fn(&Step) -> Event,
}

fn environment() -> EnvironmentId {
    "shop/development".parse().unwrap()
}

impl<'a> World<'a> {
    fn new(answer: &'a dyn Fn(&Step) -> Event) -> Self {
        Self {
            state: EnvironmentState::default(),
            now: Timestamp(1_000),
            history: Vec::new(),
            last: None,
            kept: BTreeMap::new(),
            changed: 0,
            answer,
        }
    }

    fn append(&mut self, event: Event) -> Result<(), Illegal> {
        let (state, record) =
            transition(&environment(), self.state.clone(), self.now, &Actor::deployd(), &event)?;
        self.history.push((self.now, event));
        let mut changes = projection::Changes::default();
        changes.add(&environment(), &self.state, &state, record.as_ref()).unwrap();
        let version = Version(self.history.len() as u64);
        let puts = changes.finish(&environment(), version, &state).unwrap();
        self.changed = puts.iter().map(|put| put.value.as_ref().map_or(0, Vec::len)).sum();
        for Put { index, key, value } in puts {
            match value {
                Some(value) => drop(self.kept.insert((index, key), value)),
                None => assert!(self.kept.remove(&(index, key)).is_some(), "nothing to remove"),
            }
        }
        self.state = state;
        self.last = record;
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, index: Index, keys: &KeyRange) -> Vec<(Vec<u8>, T)> {
        let within =
            |key: &Vec<u8>| *key >= keys.start && keys.end.as_ref().is_none_or(|e| key < e);
        let all = self.kept.iter().filter(|((of, key), _)| *of == index && within(key));
        all.map(|((_, key), value)| (key.clone(), serde_json::from_slice(value).unwrap())).collect()
    }

    fn kept_record(&self, id: &DeploymentId) -> DeploymentRecord {
        let at = (projection::DEPLOYMENTS, id.0.as_bytes().to_vec());
        let mut record: DeploymentRecord = serde_json::from_slice(&self.kept[&at]).unwrap();
        if let Some(work) = &mut record.work {
            let steps = self.read(projection::STEPS, &projection::step_keys(id));
            work.steps = steps.into_iter().map(|(_, step): (_, Step)| step).collect();
        }
        record
    }

    /// The state, read from the projections alone.
    fn kept_state(&self) -> EnvironmentState {
        let at = (projection::ENVIRONMENTS, projection::environment_key(&environment()));
        let head: EnvironmentHead = serde_json::from_slice(&self.kept[&at]).unwrap();
        assert_eq!(head.version.0 as usize, self.history.len());
        let active = head.active.as_ref().map(|id| self.kept_record(id));
        let queue = head.queue.iter().map(|id| self.kept_record(id)).collect();
        let keys = projection::resource_keys(&environment());
        let resources = self.read(projection::RESOURCES, &keys).into_iter();
        let resources = resources.map(|(key, value)| (projection::uid_of(&key).unwrap(), value));
        head.state(active, queue, resources.collect()).unwrap()
    }

    fn request(&mut self, id: &str, mode: Mode) {
        self.ask(id, mode, None).unwrap();
    }

    fn ask(&mut self, id: &str, mode: Mode, teardown: Option<Teardown>) -> Result<(), NotQueued> {
        let request = Request {
            set: Digest::of(id.as_bytes()),
            mode,
            origin: Origin::Request,
            comment: None,
            expected_plan: None,
            confirm_replace: false,
            teardown,
        };
        for event in queue(&self.state, &DeploymentId(id.into()), request)? {
            self.append(event).unwrap();
        }
        Ok(())
    }

    /// One step of the engine; false when nothing is left to do.
    fn step(&mut self) -> bool {
        let intents = next(&self.state, self.now);
        let appends: Vec<Event> = intents
            .iter()
            .filter_map(|i| if let Intent::Append(event) = i { Some(event.clone()) } else { None })
            .collect();
        if !appends.is_empty() {
            for event in appends {
                self.append(event).unwrap();
            }
            return true;
        }
        for intent in &intents {
            if let Intent::Perform { step, .. } | Intent::Abandon { step, .. } = intent {
                let step = self.state.active.as_ref().unwrap().step(step).unwrap().clone();
                self.now = self.now.plus_ms(10);
                self.append((self.answer)(&step)).unwrap();
                return true;
            }
        }
        let wake = intents
            .iter()
            .filter_map(|i| if let Intent::WakeAt(at) = i { Some(*at) } else { None })
            .min();
        match wake {
            Some(at) => {
                assert!(at > self.now, "a wake-up in the past would spin");
                self.now = at;
                true
            }
            None => false,
        }
    }

    fn run(&mut self) -> Outcome {
        for _ in 0..10_000 {
            if !self.step() {
                return self.last.as_ref().unwrap().outcome.expect("it has not ended");
            }
        }
        panic!("it does not come to an end");
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.history.iter().map(|(_, event)| event.kind()).collect()
    }
}

fn active(step: &Step) -> DeploymentId {
    // Keys are of the deployment and the step; tests only ever run these.
    ["one", "two", "three", "automatic", "manual", "waiting", "end"]
        .into_iter()
        .map(|id| DeploymentId(id.into()))
        .find(|id| Step::new(id, step.id.0.clone(), step.kind.clone(), vec![]).key == step.key)
        .unwrap()
}

fn done(step: &Step) -> Event {
    Event::StepSucceeded {
        deployment: active(step),
        step: step.id.clone(),
        result: Some(Digest::of(step.key.as_bytes())),
    }
}

fn failed(step: &Step, fault: Fault) -> Event {
    Event::StepFailed { deployment: active(step), step: step.id.clone(), fault }
}

fn planned(step: &Step, gates: Vec<Gate>, unsafe_to_repeat: bool) -> Event {
    let resource = |uid: &str, after: &[&str]| ResourceStep {
        uid: Uid(uid.into()),
        name: format!("type#{uid}"),
        after: after.iter().map(|uid| Uid((*uid).into())).collect(),
        unsafe_to_repeat,
    };
    Event::DeploymentPlanned {
        deployment: active(step),
        plan: Digest::of(b"plan"),
        gates,
        resources: vec![resource("cluster", &[]), resource("db", &["cluster"])],
        destroy: vec![],
    }
}

fn decide(step: &Step, action: serde_json::Value) -> Event {
    Event::RolloutDecided {
        deployment: active(step),
        step: step.id.clone(),
        state: json!({}),
        action,
        progress: 50,
        message: "going on".into(),
    }
}

/// A strategy that applies, waits, and completes, or rolls back what failed.
fn rolling(step: &Step, observation: Option<&serde_json::Value>) -> Event {
    let action = match observation {
        None => json!({"do": "apply", "track": "stable", "workloads": ["web"]}),
        Some(seen) if seen["outcome"] == "failed" => json!({"do": "roll-back", "reason": "no"}),
        Some(_) if step.id.0 == "decide:2" => {
            json!({"do": "await-ready", "track": "stable", "workloads": ["web"], "deadline-ms": 5})
        }
        Some(_) => json!({"do": "complete"}),
    };
    decide(step, action)
}

fn well(step: &Step) -> Event {
    match &step.kind {
        StepKind::Plan => planned(step, vec![], false),
        StepKind::Decide { observation } => rolling(step, observation.as_ref()),
        _ => done(step),
    }
}

#[test]
fn a_deployment_goes_through_all_its_steps() {
    let mut world = World::new(&well);
    world.request("one", Mode::Automatic);
    assert_eq!(world.run(), Outcome::Succeeded);
    let record = world.last.clone().unwrap();
    let steps: Vec<String> = record.work.unwrap().steps.iter().map(|s| s.id.0.clone()).collect();
    assert_eq!(
        steps,
        [
            "plan",
            "provision:cluster",
            "provision:db",
            "render",
            "apply-resources",
            "decide:1",
            "rollout:1",
            "decide:2",
            "rollout:2",
            "decide:3",
            "prune",
        ]
    );
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "one");
    assert_eq!(world.state.resources.len(), 2);
    assert_eq!(world.state.applied.len(), 1);
}

#[test]
fn i4_one_active_deployment_and_automatic_ones_supersede_each_other() {
    let mut world = World::new(&well);
    world.request("one", Mode::Automatic);
    world.step();
    world.request("two", Mode::Automatic);
    world.request("three", Mode::Automatic);
    assert!(world.kinds().contains(&"deployment-superseded"));
    assert_eq!(world.state.queue.len(), 1);
    assert!(matches!(
        world.append(Event::DeploymentStarted { deployment: DeploymentId("three".into()) }),
        Err(Illegal { .. })
    ));
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "three");
}

#[test]
fn a_manual_deployment_is_never_dropped() {
    let mut world = World::new(&well);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    world.request("three", Mode::Automatic);
    assert_eq!(world.state.queue.len(), 3);
    world.run();
    let ended = world.kinds().iter().filter(|kind| **kind == "deployment-ended").count();
    assert_eq!(ended, 3);
}

#[test]
fn transient_faults_are_tried_again_and_others_are_not() {
    let transient = |step: &Step| match &step.kind {
        StepKind::Provision { uid, .. } if uid.0 == "db" && step.attempts < 3 => {
            failed(step, Fault::transient("busy", "try again"))
        }
        _ => well(step),
    };
    let mut world = World::new(&transient);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let work = world.last.clone().unwrap().work.unwrap();
    assert_eq!(work.step(&StepId("provision:db".into())).unwrap().attempts, 3);

    let keys: std::collections::BTreeSet<String> = world
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            Event::StepStarted { step, key, .. } if step.0 == "provision:db" => Some(key.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 1, "every attempt carries the same key");

    let permanent = |step: &Step| match &step.kind {
        StepKind::Provision { uid, .. } if uid.0 == "db" => {
            failed(step, Fault::permanent("no-quota", "no"))
        }
        _ => well(step),
    };
    let mut world = World::new(&permanent);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "no-quota");
    assert!(world.state.active.is_none());
    assert!(world.state.resources.contains_key(&Uid("cluster".into())));
}

fn rollout_fails(step: &Step) -> Event {
    match &step.kind {
        StepKind::Rollout { action: Action::AwaitReady { .. } } if active(step).0 == "two" => {
            failed(step, Fault::permanent("crash-loop", "web does not start"))
        }
        _ => well(step),
    }
}

#[test]
fn i7_a_failed_rollout_brings_back_what_ran() {
    let mut world = World::new(&rollout_fails);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    assert_eq!(world.run(), Outcome::RolledBack);
    let record = world.last.clone().unwrap();
    assert_eq!(record.fault.unwrap().code, "crash-loop");
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "one");
    assert_eq!(world.state.applied, [world.state.deployed.as_ref().unwrap().manifests]);
}

#[test]
fn a_failed_first_rollout_has_nothing_to_go_back_to() {
    let fails = |step: &Step| match &step.kind {
        StepKind::Rollout { .. } => failed(step, Fault::permanent("crash-loop", "no")),
        _ => well(step),
    };
    let mut world = World::new(&fails);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(world.state.applied.len(), 1, "what is left is pruned by the next deployment");
}

#[test]
fn a_rollback_that_fails_needs_an_operator() {
    let fails = |step: &Step| match &step.kind {
        StepKind::Restore => failed(step, Fault::permanent("gone", "no")),
        _ => rollout_fails(step),
    };
    let mut world = World::new(&fails);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    assert_eq!(world.run(), Outcome::NeedsOperator);
}

#[test]
fn a_paused_rollout_waits_for_a_person() {
    let paused = |step: &Step| match &step.kind {
        StepKind::Decide { observation: None } => {
            decide(step, json!({"do": "pause", "message": "look at it"}))
        }
        StepKind::Decide { .. } => decide(step, json!({"do": "complete"})),
        StepKind::Rollout { action: Action::Pause { message } } => Event::StepPending {
            deployment: active(step),
            step: step.id.clone(),
            token: "paused".into(),
            poll_at: Timestamp(u64::MAX),
            message: message.clone(),
        },
        _ => well(step),
    };
    let resume = Event::ResumeRequested { deployment: DeploymentId("one".into()) };
    let mut world = World::new(&paused);
    world.request("one", Mode::Manual);
    while world.state.active.as_ref().is_none_or(|active| active.paused().is_none()) {
        assert!(world.append(resume.clone()).is_err(), "there is nothing to resume yet");
        assert!(world.step());
    }
    world.append(resume).unwrap();
    let steps = &world.state.active.as_ref().unwrap().steps;
    let observed = StepKind::Decide { observation: Some(json!({"outcome": "done"})) };
    assert_eq!(steps.last().unwrap().kind, observed, "as wit/strategy.wit has it");
    assert_eq!(world.run(), Outcome::Succeeded);
}

fn destroying(step: &Step) -> Event {
    match (&step.kind, planned(step, vec![], false)) {
        (StepKind::Plan, Event::DeploymentPlanned { deployment, plan, gates, resources, .. }) => {
            let step = |uid: &str, unsafe_to_repeat| DestroyStep {
                uid: Uid(uid.into()),
                unsafe_to_repeat,
                after: None,
            };
            let destroy = vec![step("app", false), step("base", true)];
            Event::DeploymentPlanned { deployment, plan, gates, resources, destroy }
        }
        _ => well(step),
    }
}

#[test]
fn i8_resources_of_an_older_plan_are_taken_away_one_by_one_in_its_order() {
    let mut world = World::new(&destroying);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let place = |wanted: &dyn Fn(&Event) -> bool| {
        world.history.iter().position(|(_, event)| wanted(event)).unwrap()
    };
    let done =
        place(&|e| matches!(e, Event::StepSucceeded { step, .. } if step.0 == "destroy:app"));
    let next = place(&|e| matches!(e, Event::StepStarted { step, .. } if step.0 == "destroy:base"));
    assert!(done < next);
}

/// A diamond: `top` needs `left` and `right`, and both need `bottom`.
fn diamond(step: &Step) -> Event {
    match (&step.kind, planned(step, vec![], false)) {
        (StepKind::Plan, Event::DeploymentPlanned { deployment, plan, gates, .. }) => {
            let uids = |names: &[&str]| names.iter().map(|name| Uid((*name).into())).collect();
            let step = |uid: &str, after: &[&str]| DestroyStep {
                uid: Uid(uid.into()),
                unsafe_to_repeat: false,
                after: Some(uids(after)),
            };
            let destroy = vec![
                step("top", &[]),
                step("left", &["top"]),
                step("right", &["top"]),
                step("bottom", &["left", "right"]),
            ];
            Event::DeploymentPlanned { deployment, plan, gates, resources: Vec::new(), destroy }
        }
        _ => well(step),
    }
}

/// Steps that run now.
fn running(world: &World<'_>) -> Vec<String> {
    let active = world.state.active.iter().flat_map(|active| &active.steps);
    active.filter(|s| s.status == StepStatus::Running).map(|s| s.id.0.clone()).collect()
}

#[test]
fn i8_resources_are_taken_away_in_parallel_each_after_those_that_need_it() {
    let mut world = World::new(&diamond);
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    let mut seen = Vec::new();
    while world.step() {
        let now = running(&world);
        if seen.last() != Some(&now) && !now.is_empty() {
            seen.push(now);
        }
    }
    let with = |name: &str| seen.iter().position(|now| now.contains(&name.to_owned())).unwrap();
    assert_eq!(seen[0], ["plan"]);
    assert!(with("prune") < with("destroy:top"));
    assert_eq!(with("destroy:left"), with("destroy:right"), "at the same time: {seen:?}");
    assert!(with("destroy:top") < with("destroy:left"));
    assert!(with("destroy:right") < with("destroy:bottom"));
    assert!(!seen.iter().flatten().any(|step| step == "render" || step == "decide:1"));
    assert_eq!(world.last.clone().unwrap().outcome, Some(Outcome::Succeeded));
    assert!(world.state.deployed.is_none() && world.state.applied.is_empty());
}

#[test]
fn i4_an_environment_that_is_about_to_go_accepts_nothing() {
    let mut world = World::new(&diamond);
    world.request("automatic", Mode::Automatic);
    world.request("manual", Mode::Manual);
    assert!(world.step(), "the first one begins");
    world.request("waiting", Mode::Automatic);
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    let waiting: Vec<&str> = world.state.queue.iter().map(|queued| &*queued.id.0).collect();
    assert_eq!(waiting, ["manual", "end"], "whoever asked in person is served before");
    for mode in [Mode::Automatic, Mode::Manual] {
        let end = DeploymentId("end".into());
        assert_eq!(world.ask("late", mode, None), Err(NotQueued::Teardown(end)));
    }
    let queued = Event::DeploymentQueued {
        deployment: DeploymentId("late".into()),
        request: world.state.queue[0].request.clone(),
    };
    assert!(world.append(queued).is_err(), "not by the journal either");
    assert_eq!(world.run(), Outcome::Succeeded);
    world.request("next", Mode::Manual);
    assert_eq!(world.state.accepted, 5, "the environment's history goes on");
}

#[test]
fn i7_a_destroy_that_fails_for_good_holds_up_only_what_it_needs() {
    let mut world = World::new(&|step| match &step.kind {
        StepKind::Destroy { uid } if uid.0 == "left" => Event::StepFailed {
            deployment: DeploymentId("end".into()),
            step: step.id.clone(),
            fault: Fault::denied("data-is-there", "three tables"),
        },
        _ => diamond(step),
    });
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    assert_eq!(world.run(), Outcome::NeedsOperator);
    let record = world.last.clone().unwrap();
    assert_eq!(record.fault.unwrap().code, "data-is-there");
    let work = record.work.unwrap();
    let status = |id: &str| work.step(&StepId(id.into())).unwrap().status.clone();
    assert_eq!(status("destroy:right"), StepStatus::Succeeded);
    assert_eq!(status("destroy:bottom"), StepStatus::Waiting);
}

#[test]
fn i7_a_teardown_can_be_cancelled_until_it_is_planned() {
    let mut world = World::new(&diamond);
    let cancel = || Event::CancelRequested { deployment: DeploymentId("end".into()), reason: None };
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    assert!(world.step());
    world.append(cancel()).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
    world.ask("end", Mode::Manual, Some(Teardown::default())).unwrap();
    while world.state.active.as_ref().is_none_or(|active| active.plan.is_none()) {
        assert!(world.step());
    }
    assert!(world.append(cancel()).is_err());
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn i7_an_unsafe_destroy_whose_outcome_is_unknown_needs_an_operator() {
    let mut world = World::new(&destroying);
    world.request("one", Mode::Manual);
    let running = |world: &World<'_>, id: &str| {
        let step = world.state.active.as_ref().and_then(|active| active.step(&StepId(id.into())));
        step.is_some_and(|step| step.status == StepStatus::Running)
    };
    while !running(&world, "destroy:app") {
        assert!(world.step());
    }
    for event in interrupted(&world.state) {
        world.append(event).unwrap();
    }
    while !running(&world, "destroy:base") {
        assert!(world.step(), "the first one may be repeated");
    }
    for event in interrupted(&world.state) {
        world.append(event).unwrap();
    }
    assert_eq!(world.run(), Outcome::NeedsOperator);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "unknown-outcome");
}

#[test]
fn events_of_older_versions_name_what_to_destroy_by_uid_alone() {
    let step: DestroyStep = serde_json::from_value(json!("app")).unwrap();
    assert_eq!(step, DestroyStep { uid: Uid("app".into()), unsafe_to_repeat: false, after: None });
    let step = DestroyStep { unsafe_to_repeat: true, ..step };
    let value = serde_json::to_value(&step).unwrap();
    assert_eq!(serde_json::from_value::<DestroyStep>(value).unwrap(), step);
}

#[test]
fn what_runs_is_known_also_when_cleaning_up_fails() {
    let fails = |step: &Step| match &step.kind {
        StepKind::Destroy { .. } => failed(step, Fault::permanent("denied", "no")),
        _ => destroying(step),
    };
    let mut world = World::new(&fails);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::NeedsOperator);
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "one");
}

#[test]
fn an_operation_is_known_after_a_poll_that_failed() {
    let slow = |step: &Step| match (&step.kind, &step.status) {
        (StepKind::Provision { uid, .. }, StepStatus::Running) if uid.0 == "db" => {
            if step.attempts == 1 {
                return Event::StepPending {
                    deployment: active(step),
                    step: step.id.clone(),
                    token: "op-1".into(),
                    poll_at: Timestamp(5_000),
                    message: String::new(),
                };
            }
            assert_eq!(step.operation.as_deref(), Some("op-1"));
            done(step)
        }
        (StepKind::Provision { uid, .. }, StepStatus::Pending { .. }) if uid.0 == "db" => {
            failed(step, Fault::transient("busy", "try again"))
        }
        _ => well(step),
    };
    let mut world = World::new(&slow);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
}

#[test]
fn a_strategy_without_end_is_ended_before_its_record_is_too_large() {
    let endless = |step: &Step| match &step.kind {
        StepKind::Decide { .. } => decide(step, json!({"do": "sleep", "ms": 1})),
        _ => well(step),
    };
    let mut world = World::new(&endless);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    let record = world.last.clone().unwrap();
    assert_eq!(record.fault.as_ref().unwrap().code, "rollout-without-end");
    // A store takes a megabyte; half of it is left for resources.
    assert!(serde_json::to_vec(&record).unwrap().len() < 512 * 1024);
}

#[test]
fn an_action_nobody_knows_is_the_strategy_s_fault() {
    let strange = |step: &Step| match &step.kind {
        StepKind::Decide { .. } => decide(step, json!({"do": "levitate"})),
        _ => well(step),
    };
    let mut world = World::new(&strange);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "strategy-action-unknown");
}

#[test]
fn an_unknown_outcome_of_an_unsafe_step_needs_an_operator() {
    let unsafe_driver = |step: &Step| match &step.kind {
        StepKind::Plan => planned(step, vec![], true),
        _ => well(step),
    };
    let mut world = World::new(&unsafe_driver);
    world.request("one", Mode::Manual);
    while !matches!(
        world.state.active.as_ref().and_then(|a| a.step(&StepId("provision:cluster".into()))),
        Some(step) if step.status == StepStatus::Running
    ) {
        world.step();
    }
    for event in interrupted(&world.state) {
        world.append(event).unwrap();
    }
    assert_eq!(world.run(), Outcome::NeedsOperator);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, "unknown-outcome");
}

#[test]
fn gates_hold_everything_but_the_plan() {
    let gated = |step: &Step| match &step.kind {
        StepKind::Plan => {
            let condition = GateCondition::NotBefore { at: Timestamp(9_000_000) };
            let gate = Gate { id: "window".into(), message: "Monday".into(), condition };
            planned(step, vec![gate], false)
        }
        _ => well(step),
    };
    let mut world = World::new(&gated);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let first = world
        .history
        .iter()
        .find(|(_, e)| matches!(e, Event::StepStarted { step, .. } if step.0 != "plan"))
        .unwrap();
    assert!(first.0 >= Timestamp(9_000_000));
}

proptest! {
    /// Cancelled, or interrupted, after any number of steps: it comes to an
    /// end, nothing runs any more, and a replay gives the same state.
    #[test]
    fn i7_i10_any_deployment_can_be_cancelled_and_interrupted_at_any_point(
        cancel_at in 0usize..60,
        interrupt_at in 0usize..60,
        fails in any::<bool>(),
    ) {
        let answer = if fails { rollout_fails } else { well };
        let mut world = World::new(&answer);
        world.request("one", Mode::Manual);
        world.run();
        world.request("two", Mode::Manual);
        for n in 0..200 {
            if n == cancel_at {
                let _ = world.append(Event::CancelRequested {
                    deployment: DeploymentId("two".into()),
                    reason: None,
                });
            }
            if n == interrupt_at {
                for event in interrupted(&world.state) {
                    world.append(event).unwrap();
                }
            }
            if !world.step() {
                break;
            }
            prop_assert_eq!(world.kept_state(), world.state.clone());
        }
        let record = world.last.clone().unwrap();
        prop_assert_eq!(world.kept_record(&record.id), record);
        prop_assert!(world.state.active.is_none());
        let outcome = world.last.clone().unwrap().outcome.unwrap();
        let running = &world.state.deployed.as_ref().unwrap().deployment.0;
        match outcome {
            Outcome::Succeeded => prop_assert_eq!(running, "two"),
            _ => prop_assert_eq!(running, "one"),
        }
        prop_assert_eq!(world.state.applied.len(), 1);

        let mut replayed = EnvironmentState::default();
        for (at, event) in &world.history {
            replayed = transition(&environment(), replayed, *at, &Actor::deployd(), event).unwrap().0;
        }
        prop_assert_eq!(replayed, world.state);
    }
}

#[test]
fn states_and_events_survive_their_encoding() {
    let mut world = World::new(&rollout_fails);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    while world.step() {
        let text = serde_json::to_string(&world.state).unwrap();
        assert_eq!(serde_json::from_str::<EnvironmentState>(&text).unwrap(), world.state);
    }
    for (_, event) in &world.history {
        let value = serde_json::to_value(event).unwrap();
        assert_eq!(value["type"], event.kind());
        assert_eq!(&serde_json::from_value::<Event>(value).unwrap(), event);
    }
}

#[test]
fn i10_an_event_writes_no_more_however_many_steps_and_resources_there_are() {
    let largest = |count: usize| {
        let many = |step: &Step| match &step.kind {
            StepKind::Plan => Event::DeploymentPlanned {
                deployment: active(step),
                plan: Digest::of(b"plan"),
                gates: vec![],
                resources: (0..count)
                    .map(|n| ResourceStep {
                        uid: Uid(format!("{n:016}")),
                        name: format!("type#{n}"),
                        after: vec![],
                        unsafe_to_repeat: false,
                    })
                    .collect(),
                destroy: vec![],
            },
            _ => well(step),
        };
        let mut world = World::new(&many);
        world.request("one", Mode::Manual);
        let mut largest = 0;
        while world.step() {
            let of_provision = matches!(
                &world.history.last().unwrap().1,
                Event::StepStarted { step, .. } | Event::StepSucceeded { step, .. }
                    if step.0.starts_with("provision:")
            );
            if of_provision {
                largest = largest.max(world.changed);
            }
        }
        assert_eq!(world.last.as_ref().unwrap().outcome, Some(Outcome::Succeeded));
        assert_eq!(world.kept_state(), world.state);
        assert_eq!(world.state.resources.len(), count);
        largest
    };
    // Larger numbers have more digits.
    assert!(largest(500) <= largest(20) + 32);
}
