//! Environments and their types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TimeToLive;
use super::afterwards::AfterwardsSpec;
use super::approval::{self, ApprovalRule};
use super::attestation::{self, AttestationRule};
use super::check::{self, CheckChoice};
use super::details::DetailsSpec;
use super::drift::{DriftSpec, Every};
use super::git::{DeliveryTarget, GitSpec};
use crate::Name;
use crate::rollout::Choice;

/// How long who has lost all traffic goes on as it is, when nobody says: more than
/// the 3.3 seconds for which ingress-nginx collects changes. Controllers of the
/// Gateway API in front of Envoy take less than a second, load balancers of clouds
/// longer.
pub const DRAIN_MS_DEFAULT: u64 = 5_000;

/// The longest: an hour. What is open for longer has to bear that it is cut off.
const DRAIN_MS_MAX: u64 = 3_600_000;

/// A place an application runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// The application.
    pub application: Name,
    /// The environment type.
    #[serde(rename = "type")]
    pub environment_type: Name,
    /// The environment's own values: for definitions (`${values.x}`), for the
    /// driver `template` and for the baseline.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// For so long it lives after the last deployment in it: then it is taken
    /// away with all it has, as `deployd env delete` does. The type's when not
    /// given; `never` where the type has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeToLive>,
}

/// What environments of a kind share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentTypeSpec {
    /// What makes manifests of workloads.
    pub templater: TemplaterChoice,
    /// How new versions are rolled out.
    pub strategy: StrategyChoice,
    /// What the strategy can have checked, by the names that its configuration
    /// uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = check::CHECKS_MAX))]
    pub checks: BTreeMap<Name, CheckChoice>,
    /// Values of all environments of this type; an environment's own win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// Who has to agree to a plan before it is executed; nobody when not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = approval::RULES_MAX))]
    pub approvals: Vec<ApprovalRule>,
    /// What others must have attested of images before they are deployed; nothing when
    /// not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = attestation::RULES_MAX))]
    pub attestations: Vec<AttestationRule>,
    /// Take fields over from others who have written to the same objects,
    /// instead of failing with a conflict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over_fields: bool,
    /// How long environments of this type live that say nothing themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeToLive>,
    /// Checks that go on after a deployment has succeeded; none when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub afterwards: Option<AfterwardsSpec>,
    /// Strategies may skip steps when they go back to what ran here so recently:
    /// `1h`, `7d`. However long ago when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<Every>,
    /// Scheduled checks for drift; none when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftSpec>,
    /// How much is kept, and for how long, of what deployments have logged and of
    /// how their containers were. Their records are kept for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<DetailsSpec>,
    /// By which way deployments come to environments of this type: deployd applies them
    /// to the cluster, or commits them to where they are pulled from.
    #[serde(default, skip_serializing_if = "DeliveryTarget::is_cluster")]
    pub target: DeliveryTarget,
    /// Where they are pulled from, for `target: git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Box<GitSpec>>,
}

/// A templater and the platform's baseline for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplaterChoice {
    /// The name of its `Plugin` document.
    pub plugin: Name,
    /// The baseline template; the templater's own when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The baseline as a file beside this document; becomes `baseline` when the
    /// document is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_file: Option<String>,
}

/// A strategy and its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrategyChoice {
    /// The name of its `Plugin` document.
    pub plugin: Name,
    /// Its configuration, as its schema has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
    /// How traffic is divided between what runs and what comes; what the
    /// manifests allow best when not given.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub traffic: Choice,
    /// How long a version keeps its pods that has lost all its traffic, in
    /// milliseconds: routers learn of it after the API server, and what was begun
    /// has to end.
    #[serde(default = "drain_ms_default", skip_serializing_if = "is_drain_ms_default")]
    #[schemars(range(max = DRAIN_MS_MAX))]
    pub drain_ms: u64,
}

pub(crate) fn drain_ms_default() -> u64 {
    DRAIN_MS_DEFAULT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(crate) fn is_drain_ms_default(ms: &u64) -> bool {
    *ms == DRAIN_MS_DEFAULT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_auto(choice: &Choice) -> bool {
    *choice == Choice::Auto
}
