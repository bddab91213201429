//! What people and programs get to see: answers of the engine, as the HTTP
//! interface serves them and the command line reads them.

mod access;
mod calendar;
mod rehearse;
mod repeat;
mod rollout;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::archive::Imported;
use crate::artifact::Artifact;
use crate::calendar::Decision;
use crate::config::{Document, DocumentKey};
use crate::deployment::{DeploymentRecord, EnvironmentState, Schedule};
use crate::graph::Uid;
use crate::plan::{Plan, Preview};
use crate::ports::{LogLevel, PluginRef};
use crate::quarantine::Quarantined;
use crate::secret::Link;
use crate::set::{Delta, DeploymentSet};
use crate::{Actor, DeploymentId, Digest, EnvironmentId, Name, Timestamp};

pub use access::{ExchangeRequest, LoginView, NewSession, NewToken, TokenScope, TokenView, WhoAmI};
pub use calendar::{
    CalendarCheck, CalendarView, DoneDeployment, PlannedDeployment, ResumeRequest, SlotReply,
    SlotRequest, StopRequest,
};
pub use rehearse::{RehearsalView, RehearseRequest, RehearsedStrategy};
pub use repeat::{CloneRequest, RollbackRequest, RollbackView};
pub use rollout::{
    CheckRun, NextCommand, PodCount, PodsCounted, RUNS_SHOWN_MAX, Recorded, RolloutCheck,
    RolloutDoing, RolloutPods, RolloutTrack, RolloutView, RolloutWorkload, Series, WaitsFor,
    rollout_pods, rollout_view,
};

/// Entries of a page, at most: what fits on no screen, and takes milliseconds.
pub const PAGE_MAX: usize = 500;

/// What applying documents did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Whether nothing was stored.
    pub dry_run: bool,
    /// In the order in which they were applied.
    pub documents: Vec<AppliedDocument>,
    /// Resources that are there and that come from elsewhere with the next
    /// deployment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<AffectedResource>,
}

/// A resource that is there, and what a change of documents means for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AffectedResource {
    /// Where it is.
    pub environment: EnvironmentId,
    /// Its uid.
    pub uid: Uid,
    /// `postgres#backend.db`.
    pub name: String,
    /// The definition that it was provisioned by.
    pub from: DefinitionRef,
    /// The definition that would be for it; none when none would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DefinitionRef>,
    /// Whether it would be made anew by another driver, and be destroyed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// Why it would have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl std::fmt::Display for AffectedResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { environment, name, from, to, replace, problem, .. } = self;
        write!(f, "{environment} {name}: from {from} to ")?;
        match (to, problem) {
            (Some(to), _) if *replace => write!(f, "{to}, made anew by another driver"),
            (Some(to), _) => write!(f, "{to}"),
            (None, Some(problem)) => write!(f, "none: {problem}"),
            (None, None) => write!(f, "none"),
        }
    }
}

/// What a definition said at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefinitionRef {
    /// Its name.
    pub name: Name,
    /// What it said.
    pub digest: Digest,
}

impl std::fmt::Display for DefinitionRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hex = self.digest.hex();
        write!(f, "{}@{}", self.name, hex.get(..12).unwrap_or(&hex))
    }
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedDocument {
    /// Which.
    pub key: DocumentKey,
    /// What became of it.
    pub change: DocumentChange,
    /// 1 for the first.
    pub version: u64,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentChange {
    /// It is new.
    Created,
    /// It was there, and is different now.
    Changed,
    /// It was there as it is.
    Unchanged,
    /// It was there, and is no more.
    Removed,
}

/// A document as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredDocument {
    /// Its key.
    pub key: DocumentKey,
    /// 1 for the first.
    pub version: u64,
    /// Of its content.
    pub digest: Digest,
    /// Who applied this version.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// The document.
    pub document: Document,
}

/// What became of artifacts that were announced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// In the order in which they were announced.
    pub artifacts: Vec<Artifact>,
    /// Where they went.
    pub routes: Vec<Route>,
    /// Stages to which artifacts come by themselves, and these do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<PassedBy>,
}

/// A stage that an artifact does not come to by itself, by the rule of that stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PassedBy {
    /// The stage's environment.
    pub environment: EnvironmentId,
    /// The image, with its digest.
    pub image: String,
    /// Why, for people.
    pub because: String,
}

/// What artifacts led to in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Where.
    pub environment: EnvironmentId,
    /// The deployment, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Containers, `workload/container`, whose images are waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Artifacts that came after a newer one of their source, and are not
    /// deployed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<Superseded>,
    /// Images that have failed here, and are not deployed again until somebody
    /// lifts that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    /// Why the artifacts lead to nothing here: what is wrong with the
    /// application's documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// An artifact that came too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Superseded {
    /// The image, with its digest.
    pub image: String,
    /// Its place among the builds of its source.
    pub sequence: u64,
    /// The place of the newest that was announced before.
    pub newest: u64,
}

/// What to deploy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeployRequest {
    /// Where: `application/environment`.
    pub environment: Option<EnvironmentId>,
    /// A whole set. At most one of `set`, `setDigest`, `delta`, `redeploy` and `promote`;
    /// none is what is configured, with the latest images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<DeploymentSet>,
    /// A set that is known already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_digest: Option<Digest>,
    /// A delta to what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
    /// The set of an earlier deployment, resolved anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeploy: Option<DeploymentId>,
    /// And the very manifests of it, nothing resolved anew; refused where they
    /// don't fit what is there any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// What runs in this environment of the same application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<Name>,
    /// Why it is deployed although it has not run in the stages before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverified: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Refuse to execute any plan but the one with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_plan: Option<Digest>,
    /// Let resources be replaced: made anew by another driver, and the old ones
    /// destroyed with what is in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm_replace: bool,
    /// When it is to begin; at once, when it can, when not given.
    #[serde(default, skip_serializing_if = "Schedule::is_any_time")]
    pub schedule: Schedule,
}

/// A plan and what it shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The plan's name, to be given as `expectedPlan`.
    pub digest: Digest,
    /// The plan.
    pub plan: Plan,
    /// Manifests, as far as they are known, and how they differ.
    pub preview: Preview,
    /// What calendars say of it now; none where there are none for the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Decision>,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentView {
    /// Which.
    pub id: EnvironmentId,
    /// Its type.
    pub environment_type: Name,
    /// Its active deployment, its queue, what runs, what is there.
    pub state: EnvironmentState,
    /// Images of what runs: `workload/container` and image.
    pub images: Vec<(String, String)>,
    /// When it is taken away, unless something is deployed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
}

/// How to take an environment away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeardownRequest {
    /// Resources that stay, with what they need: types (`postgres`), or names
    /// (`postgres#backend.db`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Refuse to execute any plan but the one with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_plan: Option<Digest>,
}

/// Which resources are wanted: those for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceFilter {
    /// Of this application.
    pub application: Option<Name>,
    /// Of this environment.
    pub environment: Option<EnvironmentId>,
    /// Of this type: `postgres`.
    #[serde(rename = "type")]
    pub resource_type: Option<String>,
    /// By this definition.
    pub definition: Option<Name>,
    /// By the driver of this `Plugin` document.
    pub driver: Option<Name>,
}

impl ResourceFilter {
    /// Whether a resource is wanted.
    pub fn lets_through(&self, view: &ResourceView) -> bool {
        let application = &view.environment.application;
        let driver = view.driver.as_ref().map(|driver| driver.name.as_str());
        self.application.as_ref().is_none_or(|wanted| wanted == application)
            && self.environment.as_ref().is_none_or(|wanted| *wanted == view.environment)
            && self.resource_type.as_ref().is_none_or(|wanted| *wanted == view.resource_type)
            && self
                .definition
                .as_ref()
                .is_none_or(|wanted| Some(wanted) == view.definition.as_ref())
            && self.driver.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == driver)
    }
}

/// A resource that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceView {
    /// Whose it is.
    pub environment: EnvironmentId,
    /// Its uid.
    pub uid: Uid,
    /// `postgres#backend.db`.
    pub name: String,
    /// `postgres`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// The name of the definition that it was provisioned by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Name>,
    /// What that definition said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_digest: Option<Digest>,
    /// Whether it says the same now.
    pub definition_is_current: bool,
    /// The driver that provisioned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<PluginRef>,
    /// Its outputs; secrets are references.
    pub outputs: Value,
    /// The deployment that provisioned it last.
    pub deployment: DeploymentId,
    /// When.
    pub at: Timestamp,
    /// When it was provisioned first, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether anything asks for it.
    pub in_use: bool,
    /// Workloads that ask for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub used_by: BTreeSet<String>,
}

/// A page of history, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// The deployments.
    pub deployments: Vec<DeploymentRecord>,
    /// To be given to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A page of deployments that were imported, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportsPage {
    /// The deployments.
    pub imports: Vec<Imported>,
    /// To be given to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A line of a deployment's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Its place: 1 for the first.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// The step that caused it.
    pub step: String,
    /// How grave.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

/// What is new of a deployment that is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchUpdate {
    /// Its record, when it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<DeploymentRecord>>,
    /// How its rollout stands, with each record of a deployment that has one, and
    /// when other pods are ready than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Box<RolloutView>>,
    /// New lines of its log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogEntry>,
}

/// An operator's secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretView {
    /// What grants and subscriptions call it.
    pub name: String,
    /// Where its value is kept; none when it was set, and is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Link>,
}

/// A secret that was linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkedSecret {
    /// What grants and subscriptions call it.
    pub name: Name,
    /// Where its value is kept.
    pub from: Link,
    /// Why the value could not be had from there just now; the link is made all
    /// the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
