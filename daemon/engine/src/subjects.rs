//! Finds what somebody speaks about: the one place where names of deployments
//! and sets are resolved, also of environments that are gone.

use deployd_core::archive::{IMPORTS, Provenance};
use deployd_core::deployment::projection::{
    BY_ENVIRONMENT, DEPLOYMENTS, ENVIRONMENTS, EnvironmentHead, environment_key, environment_of,
    numbered_key,
};
use deployd_core::deployment::timeline::{RUNS, TIMELINE, timeline_until};
use deployd_core::deployment::{Deployed, DeploymentRecord};
use deployd_core::ports::{Index, KeyRange, Order, Store};
use deployd_core::subject::{Subject, Which};
use deployd_core::{DeploymentId, Digest, EnvironmentId, Timestamp};

use crate::imported::{imported, only_imported};
use crate::records::{below, decode, everything, get, head_of_deployment, named_set};
use crate::{Engine, EngineError, Inner};

/// How many candidates are named where a name does not lead to one thing.
const CANDIDATES_MAX: usize = 5;

/// How many environments are compared with a name that leads nowhere. Only an
/// answer to a mistake: it may be incomplete.
const COMPARED_MAX: usize = 10_000;

/// What a subject stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// As it was asked for.
    pub subject: Subject,
    /// The set.
    pub set: Digest,
    /// The deployment, without its steps; none where a set was named.
    pub deployment: Option<DeploymentRecord>,
}

impl Resolved {
    /// The deployment that was named. A set alone is none: where it was deployed,
    /// if anywhere, is another question.
    pub fn deployment(&self) -> Result<&DeploymentRecord, EngineError> {
        self.deployment.as_ref().ok_or_else(|| {
            EngineError::invalid(
                self.subject.to_string(),
                "a set is no deployment; name a deployment, or an environment",
            )
        })
    }

    /// The deployment that was named, which is of here: something is done with it.
    pub(crate) fn own_deployment(&self) -> Result<&DeploymentRecord, EngineError> {
        let record = self.deployment()?;
        match &record.imported {
            Some(_) => Err(only_imported(&record.id, &record.environment)),
            None => Ok(record),
        }
    }
}

impl Engine {
    /// What a subject stands for.
    pub async fn resolve(&self, subject: &Subject) -> Result<Resolved, EngineError> {
        self.inner.resolve(subject).await
    }
}

impl Inner {
    /// What a subject stands for.
    pub(crate) async fn resolve(&self, subject: &Subject) -> Result<Resolved, EngineError> {
        let store = &*self.ports.store;
        let now = self.ports.clock.now();
        let id = match subject {
            Subject::Set(hex) => {
                let set = self.set_named(subject, hex).await?;
                return Ok(Resolved { subject: subject.clone(), set, deployment: None });
            }
            Subject::Deployment(text) => self.deployment_named(text).await?,
            Subject::Environment { environment, which: Which::Number(number) } => {
                self.deployment_numbered(environment, *number).await?
            }
            Subject::Environment { environment, which: Which::At(at) } => {
                self.ran(environment, *at).await?
            }
            Subject::Environment { environment, which: Which::Ago(ms) } => {
                self.ran(environment, Timestamp(now.0.saturating_sub(*ms))).await?
            }
            Subject::Environment { environment, which: Which::Now } => {
                self.runs(environment).await?
            }
        };
        let record = match imported(store, &id).await? {
            Some(found) => self.record_of(found).await?,
            None => head_of_deployment(store, &id).await?,
        };
        let set = record.request.set;
        Ok(Resolved { subject: subject.as_of(now), set, deployment: Some(record) })
    }

    /// A set by its digest, or by how it begins, where that is of one set alone
    /// of those that were deployed or made.
    async fn set_named(&self, subject: &Subject, hex: &str) -> Result<Digest, EngineError> {
        let store = &*self.ports.store;
        if let Some(digest) = subject.whole_set() {
            named_set(store, digest).await?;
            return Ok(digest);
        }
        let mut found = distinct(store, RUNS, hex).await?;
        found.extend(distinct(store, deployd_core::set::SETS, hex).await?);
        found.sort();
        found.dedup();
        match found.as_slice() {
            [] => Err(EngineError::not_found(format!("set that begins with sha256:{hex}"))),
            [one] => format!("sha256:{one}").parse().map_err(EngineError::bug),
            many => {
                let names = many.iter().map(|hex| format!("sha256:{hex}"));
                Err(ambiguous(&subject.to_string(), "set", names))
            }
        }
    }

    /// A deployment by its id, or by how it begins.
    async fn deployment_named(&self, text: &str) -> Result<DeploymentId, EngineError> {
        let store = &*self.ports.store;
        let range = KeyRange::prefix(text.as_bytes());
        let mut found =
            store.scan(DEPLOYMENTS, range.clone(), Order::Ascending, CANDIDATES_MAX).await?.entries;
        found.extend(store.scan(IMPORTS, range, Order::Ascending, CANDIDATES_MAX).await?.entries);
        match found.as_slice() {
            [(key, _)] => id_of(key),
            [] => {
                let mut near = Vec::new();
                let before = KeyRange { start: Vec::new(), end: Some(text.as_bytes().to_vec()) };
                let after = KeyRange { start: text.as_bytes().to_vec(), end: None };
                for (range, order) in [(before, Order::Descending), (after, Order::Ascending)] {
                    let page = store.scan(DEPLOYMENTS, range, order, 1).await?;
                    near.extend(page.entries);
                }
                let shown = shown(&near)?;
                Err(nowhere(format!("deployment {text}"), shown))
            }
            many => Err(ambiguous(text, "deployment", shown(many)?)),
        }
    }

    async fn deployment_numbered(
        &self,
        environment: &EnvironmentId,
        number: u64,
    ) -> Result<DeploymentId, EngineError> {
        let store = &*self.ports.store;
        let key = numbered_key(environment, number);
        if let Some(id) = get(store, BY_ENVIRONMENT, &key).await? {
            return Ok(id);
        }
        let range = below(&[&environment.to_string()]);
        let page = store.scan(BY_ENVIRONMENT, range, Order::Descending, 1).await?;
        match page.entries.first() {
            Some((key, _)) => {
                let last = key
                    .last_chunk::<8>()
                    .map(|number| u64::from_be_bytes(*number))
                    .unwrap_or_default();
                let what = format!("deployment {environment}#{number}");
                Err(nowhere(what, [format!("{environment}#{last}, its newest")]))
            }
            None => Err(self.never_there(environment).await?),
        }
    }

    /// What ran in an environment at a time.
    async fn ran(
        &self,
        environment: &EnvironmentId,
        at: Timestamp,
    ) -> Result<DeploymentId, EngineError> {
        let now = self.ports.clock.now();
        if at > now {
            let message = format!("found {at}, expected no later time than now, {now}");
            return Err(EngineError::invalid(format!("{environment}@{at}"), message));
        }
        let store = &*self.ports.store;
        let range = timeline_until(environment, at);
        let page = store.scan(TIMELINE, range, Order::Descending, 2).await?;
        let mut entries = page.entries.iter();
        let Some((key, value)) = entries.next() else {
            let what = format!("deployment that ran in {environment} at {at}");
            let range = below(&[&environment.to_string()]);
            let first = store.scan(TIMELINE, range, Order::Ascending, 1).await?;
            return match first.entries.first() {
                Some((key, _)) => Err(nowhere(what, [format!("{}, its first", place(key)?)])),
                None => Err(self.never_there(environment).await?),
            };
        };
        if let Some(deployed) = decode::<Option<Deployed>>(TIMELINE.0, value)? {
            return Ok(deployed.deployment);
        }
        // It was taken away; what ran before tells what was there.
        let what = format!("deployment that ran in {environment} at {at}");
        let gone = format!("{}, when it was taken away", place(key)?);
        let before = match entries.next() {
            Some((key, _)) => Some(format!("{}, the last that ran there", place(key)?)),
            None => None,
        };
        Err(nowhere(what, before.into_iter().chain([gone])))
    }

    /// What runs in an environment.
    async fn runs(&self, environment: &EnvironmentId) -> Result<DeploymentId, EngineError> {
        let store = &*self.ports.store;
        let head: Option<EnvironmentHead> =
            get(store, ENVIRONMENTS, &environment_key(environment)).await?;
        let Some(head) = head else { return Err(self.never_there(environment).await?) };
        if let Some(deployed) = head.deployed {
            return Ok(deployed.deployment);
        }
        let mut near = Vec::new();
        let range = below(&[&environment.to_string()]);
        let page = store.scan(TIMELINE, range, Order::Descending, 2).await?;
        for (key, value) in &page.entries {
            if decode::<Option<Deployed>>(TIMELINE.0, value)?.is_some() {
                near.push(format!("{}, the last that ran there", place(key)?));
                break;
            }
        }
        if near.is_empty() && head.accepted > 0 {
            near.push(format!("{environment}#{}, which never came to run", head.accepted));
        }
        Err(nowhere(format!("deployment that runs in {environment}"), near))
    }

    /// Nothing ever happened in an environment: those whose names are near.
    async fn never_there(&self, wanted: &EnvironmentId) -> Result<EngineError, EngineError> {
        let configuration = self.configuration().await?;
        if configuration.environments.contains_key(wanted) {
            let what = format!("deployment in {wanted} yet");
            return Ok(EngineError::not_found(what));
        }
        let store = &*self.ports.store;
        let page = store.scan(ENVIRONMENTS, everything(), Order::Ascending, COMPARED_MAX).await?;
        let known = page.entries.iter().filter_map(|(key, _)| environment_of(key));
        let known = known.chain(configuration.environments.keys().cloned());
        let name = wanted.to_string();
        let mut near: Vec<(usize, String)> = known
            .map(|known| (distance(wanted, &known), known.to_string()))
            // Half of the letters may be wrong: more is another name.
            .filter(|(distance, _)| *distance <= name.len() / 2)
            .collect();
        near.sort();
        near.dedup();
        let near = near.into_iter().map(|(_, name)| name);
        Ok(nowhere(format!("environment {wanted}"), near))
    }
}

/// How far two environments' names are from each other: those of one
/// application are near.
fn distance(wanted: &EnvironmentId, known: &EnvironmentId) -> usize {
    let of = |a: &deployd_core::Name, b: &deployd_core::Name| {
        strsim::osa_distance(a.as_str(), b.as_str())
    };
    let application = of(&wanted.application, &known.application);
    let environment = of(&wanted.environment, &known.environment);
    match (application, environment) {
        // Names of environments are few: all of the application are candidates.
        (0, environment) => environment.min(wanted.to_string().len() / 2),
        (application, environment) => application.saturating_mul(2).saturating_add(environment),
    }
}

/// Nothing has a name; what is near it.
fn nowhere(what: String, near: impl IntoIterator<Item = String>) -> EngineError {
    let near: Vec<String> = near.into_iter().take(CANDIDATES_MAX).collect();
    match near.as_slice() {
        [] => EngineError::not_found(what),
        near => EngineError::not_found(format!("{what}; there is {}", near.join("; "))),
    }
}

/// Several things have a name.
fn ambiguous(text: &str, what: &str, names: impl IntoIterator<Item = String>) -> EngineError {
    let names: Vec<String> = names.into_iter().take(CANDIDATES_MAX).collect();
    EngineError::not_found(format!(
        "single {what} that begins with {text}; there are {}",
        names.join("; ")
    ))
}

/// Where and when something in the timeline is, as a subject.
fn place(key: &[u8]) -> Result<String, EngineError> {
    let (environment, at) = deployd_core::deployment::timeline::timeline_place(key)
        .ok_or_else(|| EngineError::bug("a key of the timeline that is none"))?;
    Ok(Subject::Environment { environment, which: Which::At(at) }.to_string())
}

fn id_of(key: &[u8]) -> Result<DeploymentId, EngineError> {
    let text = std::str::from_utf8(key).map_err(EngineError::bug)?;
    Ok(DeploymentId(text.to_owned()))
}

/// What records of deployments of here and imported ones have in common.
#[derive(serde::Deserialize)]
struct Place {
    id: DeploymentId,
    environment: EnvironmentId,
    number: u64,
    #[serde(default)]
    from: Option<Provenance>,
}

/// Deployments as candidates: their ids, and where they are.
fn shown(entries: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<String>, EngineError> {
    let show = |(_, value): &(Vec<u8>, Vec<u8>)| {
        let Place { id, environment, number, from } = decode(DEPLOYMENTS.0, value)?;
        let imported = if from.is_some() { ", imported" } else { "" };
        Ok(format!("{id} ({environment}#{number}{imported})"))
    };
    entries.iter().map(show).collect()
}

/// The first different hex digits that keys of a projection begin with, of those
/// that begin with some.
async fn distinct(store: &dyn Store, index: Index, hex: &str) -> Result<Vec<String>, EngineError> {
    let mut found = Vec::new();
    let mut range = KeyRange::prefix(hex.as_bytes());
    while found.len() < CANDIDATES_MAX {
        let page = store.scan(index, range.clone(), Order::Ascending, 1).await?;
        let Some((key, _)) = page.entries.first() else { break };
        let digits = key.split(|byte| *byte == 0).next().unwrap_or_default();
        found.push(String::from_utf8(digits.to_vec()).map_err(EngineError::bug)?);
        // What comes after all keys of this one.
        range.start = digits.iter().copied().chain([1]).collect();
    }
    Ok(found)
}
