//! Deployments driven to their end by `next` and `transition` alone.

mod approvals;
mod begun;
mod course;
mod destroying;
mod hold;
mod jobs;
mod policies;
mod pulled;
mod records;
mod rollback;
mod slots;
mod steering;
mod turns;
mod yielding;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::projection::EnvironmentHead;
use super::*;
use crate::calendar::Outlook;
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
    /// What calendars say at a time.
    calendar: &'a dyn Fn(Timestamp) -> Outlook,
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
            calendar: &|_| Outlook::OPEN,
        }
    }

    fn append(&mut self, event: Event) -> Result<(), Illegal> {
        self.append_as("deployd", event)
    }

    fn append_as(&mut self, actor: &str, event: Event) -> Result<(), Illegal> {
        let actor = Actor(actor.to_owned());
        let (state, record) =
            transition(&environment(), self.state.clone(), self.now, &actor, &event)?;
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

    fn values<'k>(
        &'k self,
        index: Index,
        keys: &'k KeyRange,
    ) -> impl Iterator<Item = (&'k Vec<u8>, &'k [u8])> {
        let within =
            |key: &Vec<u8>| *key >= keys.start && keys.end.as_ref().is_none_or(|e| key < e);
        let all = self.kept.iter().filter(move |((of, key), _)| *of == index && within(key));
        all.map(|((_, key), value)| (key, value.as_slice()))
    }

    fn read<T: DeserializeOwned>(&self, index: Index, keys: &KeyRange) -> Vec<(Vec<u8>, T)> {
        let all = self.values(index, keys);
        all.map(|(key, value)| (key.clone(), serde_json::from_slice(value).unwrap())).collect()
    }

    fn kept_record(&self, id: &DeploymentId) -> DeploymentRecord {
        let at = (projection::DEPLOYMENTS, id.0.as_bytes().to_vec());
        let mut record: DeploymentRecord = serde_json::from_slice(&self.kept[&at]).unwrap();
        if let Some(work) = &mut record.work {
            let keys = projection::step_keys(id);
            let steps = self.values(projection::STEPS, &keys);
            let steps = steps.flat_map(|(_, value)| projection::steps_of(value).unwrap());
            work.steps = steps.collect();
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
        self.ask_for(id, Request { teardown, ..request(id, mode) })
    }

    fn ask_for(&mut self, id: &str, request: Request) -> Result<(), NotQueued> {
        for event in queue(&self.state, &DeploymentId(id.into()), request)? {
            self.append(event).unwrap();
        }
        Ok(())
    }

    /// One step of the engine; false when nothing is left to do.
    fn step(&mut self) -> bool {
        let intents = next(&self.state, self.now, &(self.calendar)(self.now));
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

fn request(id: &str, mode: Mode) -> Request {
    Request {
        set: Digest::of(id.as_bytes()),
        mode,
        origin: Origin::Request,
        comment: None,
        expected_plan: None,
        confirm_replace: false,
        teardown: None,
        schedule: Schedule::default(),
    }
}

fn active(step: &Step) -> DeploymentId {
    // Keys are of the deployment and the step; tests only ever run these.
    [
        "one",
        "two",
        "three",
        "automatic",
        "manual",
        "waiting",
        "newest",
        "back",
        "again",
        "heal",
        "end",
    ]
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
        observed: None,
        published: None,
    }
}

fn failed(step: &Step, fault: Fault) -> Event {
    Event::StepFailed { deployment: active(step), step: step.id.clone(), fault, published: None }
}

fn planned(step: &Step, gates: Vec<Gate>, unsafe_to_repeat: bool) -> Event {
    let resource = |uid: &str, after: &[&str]| ResourceStep {
        uid: Uid(uid.into()),
        name: format!("type#{uid}"),
        after: after.iter().map(|uid| Uid((*uid).into())).collect(),
        unsafe_to_repeat,
        inputs: None,
    };
    Event::DeploymentPlanned {
        deployment: active(step),
        plan: Digest::of(b"plan"),
        basis: None,
        policies: false,
        gates,
        resources: vec![resource("cluster", &[]), resource("db", &["cluster"])],
        destroy: vec![],
        proposes: false,
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
