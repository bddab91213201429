//! Jobs that run once in a deployment, before its workloads change or after they
//! have; others call them hooks.
//!
//! They are no part of what should be there: a Job can't be changed, so that each
//! run is an object of its own, with copies of the ConfigMaps and Secrets of its
//! workload, since those are not there yet before a rollout, and are others after it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::copy::{begun, rewrite};
use super::name::{STABLE, TRACK_LABEL, copy_name};
use super::parts::{field, is, kind, name, put, text};
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::ports::ObjectRef;
use crate::{DeploymentId, Digest};

/// The annotation that makes a Job one that runs once, with `before` or `after`.
pub const WHEN: &str = "deployd.dev/job";

/// The annotation with the name of the Job that this one undoes.
pub const UNDOES: &str = "deployd.dev/undoes";

/// The most of them in a deployment: they run one after the other, and each is
/// waited for.
pub const JOBS_MAX: usize = 32;

/// Seconds after which the cluster ends one that says nothing of its own: half an
/// hour is long for a migration, and short enough for somebody to notice.
pub const DEADLINE_SECONDS: u64 = 30 * 60;

/// Digits of a step's key that tell runs apart: 40 bits, as of tracks.
const TAG_LENGTH: usize = 10;

/// When a Job runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Once the objects of resources are there, and before any workload changes.
    Before,
    /// Once the strategy has called the rollout complete, and before that is final.
    After,
}

/// A Job that a deployment runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutJob {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub when: When,
    /// The manifests that have it, by content.
    pub manifests: Digest,
    /// The Job of the same manifests that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<String>,
}

/// A Job that a plan foresees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeseenJob {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub when: When,
    /// The Job that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<String>,
}

impl From<RolloutJob> for ForeseenJob {
    fn from(RolloutJob { name, when, undone_by, .. }: RolloutJob) -> Self {
        Self { name, when, undone_by }
    }
}

impl RolloutJob {
    /// What is done to undo it, for people.
    pub fn undoing(&self) -> String {
        match &self.undone_by {
            Some(undone_by) => format!("undo Job {} by {undone_by}", self.name),
            None => format!("end Job {}", self.name),
        }
    }

    /// What undoes it, as a Job of a deployment that goes back: in the reverse
    /// order, and itself undone by what it undoes.
    pub fn reverse(&self) -> Option<Self> {
        let when = match self.when {
            When::Before => When::After,
            When::After => When::Before,
        };
        let undone_by = Some(self.name.clone());
        Some(Self { name: self.undone_by.clone()?, when, manifests: self.manifests, undone_by })
    }
}

/// A run of a Job that may be in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobRun {
    /// Whose.
    pub deployment: DeploymentId,
    /// The manifests that have it, by content.
    pub manifests: Digest,
    /// The Job's name there.
    pub name: String,
    /// What its objects' names end with.
    pub tag: String,
}

/// What the names of a run's objects end with, by the key of its step.
pub fn tag(key: &str) -> String {
    key.chars().take(TAG_LENGTH).collect()
}

/// A Job that can't be run as its annotations say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The annotation has another value.
    #[error("Job {job}: its annotation {WHEN} is {found:?}; expected \"before\" or \"after\"")]
    When {
        /// Its name.
        job: String,
        /// What stands there.
        found: String,
    },
    /// It is no Job.
    #[error("{kind} {name} has the annotation {annotation}; only a Job of batch/v1 can have it")]
    Kind {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Which.
        annotation: &'static str,
    },
    /// It has both annotations.
    #[error(
        "Job {job} has the annotations {WHEN} and {UNDOES}; one that undoes another runs when that is undone, so take {WHEN} away"
    )]
    Both {
        /// Its name.
        job: String,
    },
    /// It undoes nothing that there is.
    #[error(
        "Job {job} undoes {found:?}, and there is no Job of that name with the annotation {WHEN}; there are: {}",
        known.join(", ")
    )]
    Unknown {
        /// Its name.
        job: String,
        /// What stands there.
        found: String,
        /// Those that can be undone.
        known: Vec<String>,
    },
    /// Two undo the same one.
    #[error("Jobs {first} and {second} both undo {job}: only one can")]
    Twice {
        /// What they undo.
        job: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// It would never run.
    #[error("Job {job} has spec.suspend: it would never run; take that away")]
    Suspended {
        /// Its name.
        job: String,
    },
    /// Too many.
    #[error("{found} Jobs run before and after the rollout; at most {JOBS_MAX} are allowed")]
    TooMany {
        /// How many.
        found: usize,
    },
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// Takes the Jobs that run once out of what should be there.
pub fn split(manifests: Manifests) -> Result<Manifests, JobError> {
    let runs_once = |it: &Manifest| {
        !matches!(it.owner, ObjectOwner::Resource(_))
            && [WHEN, UNDOES].iter().any(|key| annotation(&it.object, key).is_some())
    };
    let Manifests { namespace, objects, jobs: mut once } = manifests;
    let (jobs, objects): (Vec<Manifest>, Vec<Manifest>) = objects.into_iter().partition(runs_once);
    once.extend(jobs);
    let manifests = Manifests { namespace, objects, jobs: once };
    check(&manifests.jobs)?;
    Ok(manifests)
}

fn check(jobs: &[Manifest]) -> Result<(), JobError> {
    let mut known = Vec::new();
    let mut undoing: Vec<(&str, &str)> = Vec::new();
    for object in jobs.iter().map(|job| &job.object) {
        let job = name(object).to_owned();
        let (when, undoes) = (annotation(object, WHEN), annotation(object, UNDOES));
        if !is(object, "batch", "Job") {
            let annotation = if when.is_some() { WHEN } else { UNDOES };
            return Err(JobError::Kind { kind: kind(object).to_owned(), name: job, annotation });
        }
        if object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
            return Err(JobError::Suspended { job });
        }
        match (when, undoes) {
            (Some(_), Some(_)) => return Err(JobError::Both { job }),
            (Some("before" | "after"), None) => known.push(job),
            (Some(found), None) => return Err(JobError::When { job, found: found.to_owned() }),
            (None, undoes) => undoing.extend(undoes.map(|undoes| (name(object), undoes))),
        }
    }
    if known.len() > JOBS_MAX {
        return Err(JobError::TooMany { found: known.len() });
    }
    let mut undone: BTreeMap<&str, &str> = BTreeMap::new();
    for (job, undoes) in undoing {
        if !known.iter().any(|known| known == undoes) {
            return Err(JobError::Unknown { job: job.to_owned(), found: undoes.to_owned(), known });
        }
        if let Some(first) = undone.insert(undoes, job) {
            let (first, second) = (first.to_owned(), job.to_owned());
            return Err(JobError::Twice { job: undoes.to_owned(), first, second });
        }
    }
    Ok(())
}

/// The Jobs that a deployment of these manifests runs, in the order in which it
/// does: those of the environment, then those of each workload in the order given,
/// as they are rendered.
pub fn foreseen<'a>(
    manifests: &Manifests,
    workloads: impl IntoIterator<Item = &'a str>,
) -> Vec<ForeseenJob> {
    let places: BTreeMap<&str, usize> =
        workloads.into_iter().enumerate().map(|(place, name)| (name, place + 1)).collect();
    let undone_by: BTreeMap<&str, &str> = manifests
        .jobs
        .iter()
        .filter_map(|job| Some((annotation(&job.object, UNDOES)?, name(&job.object))))
        .collect();
    let mut found: Vec<(usize, ForeseenJob)> = Vec::new();
    for job in &manifests.jobs {
        let when = match annotation(&job.object, WHEN) {
            Some("before") => When::Before,
            Some("after") => When::After,
            _ => continue,
        };
        let place = match &job.owner {
            ObjectOwner::Workload(name) => places.get(name.as_str()).copied().unwrap_or(usize::MAX),
            ObjectOwner::Environment | ObjectOwner::Resource(_) => 0,
        };
        let name = name(&job.object).to_owned();
        let undone_by = undone_by.get(name.as_str()).map(|undo| (*undo).to_owned());
        found.push((place, ForeseenJob { name, when, undone_by }));
    }
    // Stable: those of one workload stay as they are rendered.
    found.sort_by_key(|(place, job)| (job.when, *place));
    found.into_iter().map(|(_, job)| job).collect()
}

/// The same, of manifests that are kept by this digest.
pub fn of<'a>(
    manifests: &Manifests,
    digest: Digest,
    workloads: impl IntoIterator<Item = &'a str>,
) -> Vec<RolloutJob> {
    let all = foreseen(manifests, workloads).into_iter();
    all.map(|ForeseenJob { name, when, undone_by }| RolloutJob {
        name,
        when,
        manifests: digest,
        undone_by,
    })
    .collect()
}

/// The objects of one run, what it needs first and the Job last; none where the
/// manifests have no such Job.
pub fn run(manifests: &Manifests, job: &str, tag: &str) -> Vec<Value> {
    let Some(found) = manifests.jobs.iter().find(|it| name(&it.object) == job) else {
        return Vec::new();
    };
    let needed: Vec<&Value> = manifests
        .objects
        .iter()
        .filter(|it| it.owner == found.owner)
        .map(|it| &it.object)
        .filter(|it| is(it, "", "ConfigMap") || is(it, "", "Secret"))
        .filter(|it| needs(&found.object, it))
        .collect();
    let renamed: BTreeSet<(&str, &str)> = needed.iter().map(|it| (kind(it), name(it))).collect();
    let mut copy = begun(&found.object, tag);
    if let Some(spec) = field(&mut copy, &["spec"]) {
        // It is there until a later deployment takes it away: one that is gone can't
        // be told from one that never was.
        spec.remove("ttlSecondsAfterFinished");
        spec.entry("activeDeadlineSeconds").or_insert_with(|| DEADLINE_SECONDS.into());
    }
    let label = TRACK_LABEL.replace('/', "~1");
    // No Service may lead to its pods.
    if text(&copy, &format!("/spec/template/metadata/labels/{label}")) == STABLE {
        put(&mut copy, &["spec", "template", "metadata", "labels"], TRACK_LABEL, tag.into());
    }
    if let Some(pods) = copy.pointer_mut("/spec/template/spec") {
        rewrite(pods, tag, &renamed);
    }
    needed.iter().map(|it| begun(it, tag)).chain([copy]).collect()
}

fn needs(job: &Value, object: &Value) -> bool {
    let Some(pods) = job.pointer("/spec/template/spec") else { return false };
    let mut renamed = pods.clone();
    rewrite(&mut renamed, "x", &BTreeSet::from([(kind(object), name(object))]));
    renamed != *pods
}

/// Everything that a run may have put into the cluster.
pub fn references(manifests: &Manifests, job: &str, tag: &str) -> Vec<ObjectRef> {
    run(manifests, job, tag).iter().filter_map(|object| manifests.reference(object)).collect()
}

/// The Job among the objects of a run.
pub fn job_reference(manifests: &Manifests, job: &str, tag: &str) -> Option<ObjectRef> {
    let name = copy_name(job, tag);
    references(manifests, job, tag).into_iter().find(|it| it.kind == "Job" && it.name == name)
}

/// Seconds after which the cluster ends a run.
pub fn deadline_seconds(manifests: &Manifests, job: &str) -> u64 {
    let found = manifests.jobs.iter().find(|it| name(&it.object) == job);
    let own = found.and_then(|it| it.object.pointer("/spec/activeDeadlineSeconds")?.as_u64());
    own.unwrap_or(DEADLINE_SECONDS)
}
