//! What policies are asked over: one document, made of the plan, the set and the
//! objects. Platform engineers write rules against it: fields are only added.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Artifact;
use crate::image::Image;
use crate::plan::{Manifests, Plan};
use crate::reference::Reference;
use crate::score::Workload;
use crate::set::DeploymentSet;
use crate::{Digest, Name, Timestamp};

/// A deployment, as policies see it. Values of secrets are in none of it: where one
/// will be, there stands a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyInput {
    /// When in the deployment it is asked.
    pub phase: Phase,
    /// The time at which it is asked.
    pub now: Timestamp,
    /// The application.
    pub application: Name,
    /// Where it is deployed to.
    pub environment: JudgedEnvironment,
    /// The deployment set.
    pub set: Digest,
    /// Whether nothing of the application has run there before.
    pub first: bool,
    /// Whether it goes back to what ran before, or mends what others have changed:
    /// then violations are warnings.
    pub rollback: bool,
    /// The Score documents by name, placeholders as they are written.
    pub workloads: BTreeMap<String, Workload>,
    /// The image of each container of them.
    pub artifacts: Vec<JudgedArtifact>,
    /// What is provisioned or borrowed for it.
    pub resources: Vec<JudgedResource>,
    /// The plugins that do it, pinned.
    pub plugins: Vec<JudgedPlugin>,
    /// The strategy's configuration; null where nothing is rolled out.
    pub strategy: Value,
    /// Names of the checks that the strategy can ask for.
    pub checks: Vec<Name>,
    /// The environment's values over its type's.
    pub values: BTreeMap<String, Value>,
    /// The namespace of objects that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The Kubernetes objects, Jobs that run once last; null where they can't be told
    /// yet. In the phase `plan`, a text says what is known after provisioning.
    pub objects: Option<Vec<Value>>,
}

/// When in a deployment policies are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "PolicyPhase")]
pub enum Phase {
    /// When its plan is made: nothing is provisioned yet.
    Plan,
    /// Once its manifests are rendered: nothing is applied yet.
    Rendered,
}

/// Where it is deployed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedEnvironment {
    /// The environment's name.
    pub name: Name,
    /// Its type.
    #[serde(rename = "type")]
    pub environment_type: Name,
}

/// The image of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedArtifact {
    /// Whose container.
    pub workload: String,
    /// Which.
    pub container: String,
    /// The image, as the set has it.
    pub image: String,
    /// It without tag and digest.
    pub repository: String,
    /// Its digest, if the set names it by one.
    pub digest: Option<Digest>,
    /// Its tag, if the set names one.
    pub tag: Option<String>,
    /// What was announced of it last: ref, commit, build.
    pub announced: Option<Artifact>,
    /// What is attached to it: tests and scans, the newest last.
    pub results: Vec<AttachedResult>,
}

/// A result that is attached to an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttachedResult {
    /// `scan`, `tests`, and what else there will be.
    pub kind: String,
    /// Who says so: the scanner, the suite.
    pub name: String,
    /// When it was made.
    pub at: Timestamp,
    /// Whether it passed.
    pub passed: bool,
    /// How many findings of each severity: `critical`, `high`.
    #[serde(default)]
    pub findings: BTreeMap<String, u64>,
    /// Where the report can be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it was fetched from, if it was not posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Reference>,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedResource {
    /// `postgres#backend.db`.
    pub key: String,
    /// Its type.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Its class.
    pub class: String,
    /// The definition that it comes from.
    pub definition: Name,
    /// The driver; null of one that is borrowed.
    pub driver: Option<String>,
    /// What happens to it: `create`, `update`, `replace`, `none`, `borrow`.
    pub action: String,
    /// What is asked for, placeholders as they are written.
    pub params: BTreeMap<String, Value>,
}

/// A plugin, pinned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedPlugin {
    /// What for: `templater`, `strategy`, `driver`, `check`.
    pub role: String,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub digest: Digest,
}

/// What a [`PolicyInput`] is made of.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it deploys.
    pub set: &'a DeploymentSet,
    /// The objects, if they can be told.
    pub manifests: Option<&'a Manifests>,
    /// What was announced of images, by their names in the set.
    pub announced: &'a BTreeMap<String, Artifact>,
    /// What is attached to images, by their digests.
    pub results: &'a BTreeMap<Digest, Vec<AttachedResult>>,
    /// Whether it goes back.
    pub rollback: bool,
}

impl PolicyInput {
    /// The input for a deployment.
    pub fn new(judged: Judged<'_>, phase: Phase, now: Timestamp) -> Self {
        let Judged { plan, set, manifests, announced, results, rollback } = judged;
        Self {
            phase,
            now,
            application: plan.environment.application.clone(),
            environment: JudgedEnvironment {
                name: plan.environment.environment.clone(),
                environment_type: plan.environment_type.clone(),
            },
            set: plan.set,
            first: plan.previous.is_none(),
            rollback,
            workloads: set.workloads.clone(),
            artifacts: artifacts(set, announced, results),
            resources: resources(plan),
            plugins: plugins(plan),
            strategy: plan.strategy.as_ref().map_or(Value::Null, |strategy| {
                serde_json::json!({ "plugin": strategy.plugin.name, "config": strategy.config })
            }),
            checks: plan.checks.keys().cloned().collect(),
            values: plan.values.clone(),
            namespace: manifests.map(|manifests| manifests.namespace.clone()),
            objects: manifests
                .map(|manifests| manifests.all().map(|one| one.object.clone()).collect()),
        }
    }
}

fn artifacts(
    set: &DeploymentSet,
    announced: &BTreeMap<String, Artifact>,
    results: &BTreeMap<Digest, Vec<AttachedResult>>,
) -> Vec<JudgedArtifact> {
    let images = set.images();
    let of = |((workload, container), text): (&(String, String), &String)| {
        let image = Image::of(text);
        let attached = image.digest.and_then(|digest| results.get(&digest));
        JudgedArtifact {
            workload: workload.clone(),
            container: container.clone(),
            image: text.clone(),
            repository: image.repository,
            digest: image.digest,
            tag: image.tag,
            announced: announced.get(text).cloned(),
            results: attached.cloned().unwrap_or_default(),
        }
    };
    images.iter().map(of).collect()
}

fn resources(plan: &Plan) -> Vec<JudgedResource> {
    let nodes = plan.graph.nodes.iter();
    nodes
        .map(|(uid, node)| {
            let planned = plan.resources.get(uid);
            let action = planned.map(|planned| serde_json::json!(planned.action));
            let action = action.as_ref().and_then(Value::as_str).unwrap_or("borrow").to_owned();
            JudgedResource {
                key: node.key.to_string(),
                resource_type: node.key.resource_type.clone(),
                class: node.key.class.clone(),
                definition: node.definition.clone(),
                driver: planned.map(|planned| planned.driver.name.clone()),
                action,
                params: node.params.clone(),
            }
        })
        .collect()
}

fn plugins(plan: &Plan) -> Vec<JudgedPlugin> {
    let templater = plan.templater.iter().map(|one| ("templater", &one.plugin));
    let strategy = plan.strategy.iter().map(|one| ("strategy", &one.plugin));
    let drivers = plan.resources.values().map(|one| ("driver", &one.driver));
    let checks = plan.checks.values().map(|one| ("check", &one.plugin));
    let mut found: Vec<JudgedPlugin> = Vec::new();
    for (role, plugin) in templater.chain(strategy).chain(drivers).chain(checks) {
        let one = JudgedPlugin {
            role: role.to_owned(),
            name: plugin.name.clone(),
            digest: plugin.digest,
        };
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}
