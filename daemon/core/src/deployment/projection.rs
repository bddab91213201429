//! What is kept of environments and deployments beside their events: in parts,
//! so that an event writes the parts that it has changed, however large all of
//! it is.
//!
//! The parts of a state are compared with those of the state before, and what
//! differs is written. So the projections are what a replay of the events gives,
//! by construction: nothing says beside [`super::transition`] what an event
//! changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::hold::Hold;
use super::record::{DeploymentRecord, record_of, record_queued};
use super::state::{ActiveResource, BegunResource, Deployed, Deployment, EnvironmentState, Queued};
use super::step::Step;
use super::steps::{Shared, Steps};
use super::timeline;
use crate::drift::DriftState;
use crate::graph::Uid;
use crate::journal::Version;
use crate::ports::{Index, KeyRange, Put};
use crate::pull::Published;
use crate::rollout::jobs::JobRun;
use crate::{DeploymentId, Digest, EnvironmentId, Timestamp};

/// Environments: `application/environment` -> [`EnvironmentHead`].
pub const ENVIRONMENTS: Index = Index("environments");
/// Resources of environments: environment and uid -> [`ActiveResource`].
pub const RESOURCES: Index = Index("resources");
/// Deployments: id, which sorts by time -> [`DeploymentRecord`] without its steps.
pub const DEPLOYMENTS: Index = Index("deployments");
/// Deployments of an environment: environment and number -> id.
pub const BY_ENVIRONMENT: Index = Index("deployments-by-environment");
/// Steps of deployments: id and place, from 0 -> [`Step`]; once it has ended, id and
/// place of the first -> many of them ([`steps_of`]).
pub const STEPS: Index = Index("steps");
/// Where the events of deployments begin: id -> the version of the first one in
/// the stream of its environment.
pub const EVENTS: Index = Index("events-of-deployment");

/// Bytes of steps that are kept together, where they are more than one: far below what
/// a value may have.
const TOGETHER_BYTES: usize = 128 << 10;

/// Steps of the largest deployment that are put together when it ends. Those of larger
/// ones stay apart: to remove so many at once would be too much for one transaction.
const TOGETHER_MAX: usize = 4_000;

/// What is written with every event of an environment: small, whatever it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentHead {
    /// The version of its stream that all of its parts are of.
    pub version: Version,
    /// How many deployments were accepted here.
    pub accepted: u64,
    /// The one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<DeploymentId>,
    /// Those that wait, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<DeploymentId>,
    /// What runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    /// As in [`EnvironmentState`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Digest>,
    /// As in [`EnvironmentState`]: few, and only while something goes on or has
    /// failed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tracks: BTreeSet<String>,
    /// As in [`EnvironmentState`]: those of the last deployment, most often none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobRun>,
    /// As in [`EnvironmentState`]: few, and only while something went wrong or
    /// goes on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub begun: BTreeMap<Uid, Vec<BegunResource>>,
    /// As in [`EnvironmentState`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touched: Option<Timestamp>,
    /// As in [`EnvironmentState`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftState>,
    /// As in [`EnvironmentState`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Box<Published>>,
    /// As in [`EnvironmentState`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

impl EnvironmentHead {
    fn of(version: Version, state: &EnvironmentState) -> Self {
        Self {
            version,
            accepted: state.accepted,
            active: state.active.as_ref().map(|active| active.id.clone()),
            queue: state.queue.iter().map(|queued| queued.id.clone()).collect(),
            deployed: state.deployed.clone(),
            applied: state.applied.clone(),
            tracks: state.tracks.clone(),
            jobs: state.jobs.clone(),
            begun: state.begun.clone(),
            touched: state.touched,
            drift: state.drift.clone(),
            published: state.published.clone(),
            hold: state.hold.clone(),
        }
    }

    /// The state, put together from its parts: the active deployment's record
    /// with its steps, the records of those that wait, and the resources.
    ///
    /// None where a part is missing.
    pub fn state(
        self,
        active: Option<DeploymentRecord>,
        queue: Vec<DeploymentRecord>,
        resources: BTreeMap<Uid, Shared<ActiveResource>>,
    ) -> Option<EnvironmentState> {
        let active = match (&self.active, active) {
            (None, _) => None,
            (Some(_), record) => Some(record?.work?),
        };
        let queue = queue.into_iter().map(queued).collect();
        let Self { accepted, deployed, applied, tracks, jobs, begun, .. } = self;
        let Self { touched, drift, published, hold, .. } = self;
        let resources = resources.into();
        Some(EnvironmentState {
            accepted,
            active,
            queue,
            deployed,
            resources,
            applied,
            tracks,
            jobs,
            begun,
            touched,
            drift,
            published,
            hold,
        })
    }
}

fn queued(record: DeploymentRecord) -> Queued {
    let DeploymentRecord { id, number, actor, queued: at, request, deferred, yielded, .. } = record;
    Queued { id, number, actor, at, request, deferred, yielded }
}

/// Names are parts of keys, put together so that they can't run into each
/// other: names have no zero byte.
pub(crate) fn key(first: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = first.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(rest);
    key
}

/// The key of an environment.
pub fn environment_key(id: &EnvironmentId) -> Vec<u8> {
    id.to_string().into_bytes()
}

/// The environment in a key of its projection.
pub fn environment_of(key: &[u8]) -> Option<EnvironmentId> {
    std::str::from_utf8(key).ok()?.parse().ok()
}

/// The key of a deployment among those of its environment.
pub fn numbered_key(environment: &EnvironmentId, number: u64) -> Vec<u8> {
    key(&environment.to_string(), &number.to_be_bytes())
}

/// The keys of all steps of a deployment, in their order.
pub fn step_keys(deployment: &DeploymentId) -> KeyRange {
    KeyRange::prefix(&key(&deployment.0, &[]))
}

/// The steps in a value of [`STEPS`].
///
/// Fails where it is not of this form.
pub fn steps_of(value: &[u8]) -> Result<Vec<Shared<Step>>, serde_json::Error> {
    match value.first() {
        Some(b'[') => serde_json::from_slice(value),
        _ => Ok(vec![serde_json::from_slice(value)?]),
    }
}

/// The keys of all resources of an environment.
pub fn resource_keys(environment: &EnvironmentId) -> KeyRange {
    KeyRange::prefix(&key(&environment.to_string(), &[]))
}

/// The environment in the key of a resource.
pub fn environment_of_resource(key: &[u8]) -> Option<EnvironmentId> {
    environment_of(key.split(|byte| *byte == 0).next()?)
}

/// The uid in the key of a resource.
pub fn uid_of(key: &[u8]) -> Option<Uid> {
    let place = key.iter().position(|byte| *byte == 0)?;
    let uid = key.get(place.saturating_add(1)..)?;
    Some(Uid(std::str::from_utf8(uid).ok()?.to_owned()))
}

/// What several events in a row change: the last value of each key.
#[derive(Debug, Default)]
pub struct Changes {
    puts: BTreeMap<(Index, Vec<u8>), Option<Vec<u8>>>,
    /// How many events there are.
    events: u64,
    /// Deployments that begin with one of them, and with which, from 1.
    begin: Vec<(DeploymentId, u64)>,
    /// Keys of steps that came with one of them.
    new_steps: BTreeSet<Vec<u8>>,
}

impl Changes {
    /// Adds what one event has changed: from the state before it to the one
    /// after, and the record that it gave, if it gave one.
    ///
    /// Fails only where a part can't be JSON, which no part of ours is.
    pub fn add(
        &mut self,
        environment: &EnvironmentId,
        before: &EnvironmentState,
        after: &EnvironmentState,
        record: Option<&DeploymentRecord>,
    ) -> Result<(), serde_json::Error> {
        self.events = self.events.saturating_add(1);
        // What changes no deployment changes the head at most.
        let Some(record) = record else { return Ok(()) };
        let known = known(environment, before, &record.id);
        let id = record.id.0.as_bytes();
        if known.is_none() {
            let key = numbered_key(environment, record.number);
            self.put(BY_ENVIRONMENT, key, &record.id)?;
            self.begin.push((record.id.clone(), self.events));
        }
        let head = without_steps(record);
        if known.as_ref() != Some(&head) {
            self.put(DEPLOYMENTS, id.to_vec(), &head)?;
        }
        let steps = |work: Option<&Deployment>| work.map(|work| work.steps.clone());
        let old = steps(active(before, &record.id)).unwrap_or_default();
        let new = steps(record.work.as_ref()).unwrap_or_default();
        if record.ended.is_some() && new.len() <= TOGETHER_MAX {
            self.steps_together(&record.id, &old, &new)?;
        } else {
            self.steps(&record.id, &old, &new)?;
        }
        if !before.resources.is_same(&after.resources) {
            self.resources(environment, &before.resources, &after.resources)?;
        }
        for Put { index, key, value } in timeline::changed(environment, before, after, record)? {
            self.puts.insert((index, key), value);
        }
        Ok(())
    }

    /// Adds what is written in the same transaction and follows from more than the
    /// state.
    pub fn include(&mut self, puts: Vec<Put>) {
        self.puts.extend(puts.into_iter().map(|put| ((put.index, put.key), put.value)));
    }

    /// All changes, with the head of the environment as it is after them.
    pub fn finish(
        mut self,
        environment: &EnvironmentId,
        version: Version,
        after: &EnvironmentState,
    ) -> Result<Vec<Put>, serde_json::Error> {
        let head = EnvironmentHead::of(version, after);
        self.put(ENVIRONMENTS, environment_key(environment), &head)?;
        let before = version.0.saturating_sub(self.events);
        for (id, place) in std::mem::take(&mut self.begin) {
            self.put(EVENTS, id.0.into_bytes(), &Version(before.saturating_add(place)))?;
        }
        let put = |((index, key), value)| Put { index, key, value };
        Ok(self.puts.into_iter().map(put).collect())
    }

    fn put<T: Serialize>(
        &mut self,
        index: Index,
        key: Vec<u8>,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.puts.insert((index, key), Some(serde_json::to_vec(value)?));
        Ok(())
    }

    fn steps(
        &mut self,
        deployment: &DeploymentId,
        old: &Steps,
        new: &Steps,
    ) -> Result<(), serde_json::Error> {
        for (place, step) in (0u32..).zip(new.shared()) {
            let known = old.shared().get(place as usize);
            if known.is_none_or(|known| !known.is_same(step)) {
                let key = key(&deployment.0, &place.to_be_bytes());
                let was_there = self.puts.get(&(STEPS, key.clone())) == Some(&None);
                if known.is_none() && !was_there {
                    self.new_steps.insert(key.clone());
                }
                self.put::<Step>(STEPS, key, step)?;
            }
        }
        // Whose plan is made again has fewer steps than before.
        for (place, _) in (0u32..).zip(old.shared()).skip(new.len()) {
            self.no_step(key(&deployment.0, &place.to_be_bytes()));
        }
        Ok(())
    }

    fn no_step(&mut self, key: Vec<u8>) {
        if self.new_steps.remove(&key) {
            self.puts.remove(&(STEPS, key));
        } else {
            self.puts.insert((STEPS, key), None);
        }
    }

    /// All steps of a deployment that has ended, in few values: they are written no
    /// more, and read together.
    fn steps_together(
        &mut self,
        deployment: &DeploymentId,
        old: &Steps,
        new: &Steps,
    ) -> Result<(), serde_json::Error> {
        let key = |place: u32| key(&deployment.0, &place.to_be_bytes());
        for (place, _) in (0u32..).zip(old.shared()) {
            self.no_step(key(place));
        }
        let mut first = 0;
        let mut together = Vec::new();
        for (place, step) in (0u32..).zip(new) {
            let step = serde_json::to_vec(step)?;
            if !together.is_empty() && together.len() + step.len() > TOGETHER_BYTES {
                together.push(b']');
                let value = Some(std::mem::take(&mut together));
                self.puts.insert((STEPS, key(first)), value);
                first = place;
            }
            together.push(if together.is_empty() { b'[' } else { b',' });
            together.extend(step);
        }
        if !together.is_empty() {
            together.push(b']');
            self.puts.insert((STEPS, key(first)), Some(together));
        }
        Ok(())
    }

    fn resources(
        &mut self,
        environment: &EnvironmentId,
        old: &BTreeMap<Uid, Shared<ActiveResource>>,
        new: &BTreeMap<Uid, Shared<ActiveResource>>,
    ) -> Result<(), serde_json::Error> {
        let environment = environment.to_string();
        for (uid, resource) in new {
            if old.get(uid).is_none_or(|known| !known.is_same(resource)) {
                self.put::<ActiveResource>(
                    RESOURCES,
                    key(&environment, uid.0.as_bytes()),
                    resource,
                )?;
            }
        }
        for uid in old.keys().filter(|uid| !new.contains_key(*uid)) {
            self.puts.insert((RESOURCES, key(&environment, uid.0.as_bytes())), None);
        }
        Ok(())
    }
}

fn active<'s>(state: &'s EnvironmentState, id: &DeploymentId) -> Option<&'s Deployment> {
    state.active.as_ref().filter(|active| active.id == *id)
}

/// What is kept of a deployment in a state, without its steps.
fn known(
    environment: &EnvironmentId,
    state: &EnvironmentState,
    id: &DeploymentId,
) -> Option<DeploymentRecord> {
    if let Some(active) = active(state, id) {
        return Some(without_steps(&record_of(environment, active)));
    }
    let queued = state.queue.iter().find(|queued| queued.id == *id)?;
    Some(record_queued(environment, queued.clone(), None, None))
}

/// A record as it is kept beside its steps.
fn without_steps(record: &DeploymentRecord) -> DeploymentRecord {
    let mut record = record.clone();
    if let Some(work) = &mut record.work {
        work.steps = Steps::default();
    }
    record
}
