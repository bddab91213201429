//! Plans: what a deployment will do, computed before it does it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{EffectLevel, GitSpec, WhenUnused, drain_ms_default, is_drain_ms_default};
use crate::exact::Pinned;
use crate::found::Found;
use crate::graph::{Node, ResourceGraph, ResourceKey, Uid};
use crate::policy::{PlannedPolicy, PolicyReport};
use crate::ports::{DriverAction, ObjectRef, PluginRef};
use crate::pull::PullPreview;
use crate::rehearsal::RolloutPreview;
use crate::rollout::Choice;
use crate::rollout::checking::PlannedCheck;
use crate::rollout::jobs::ForeseenJob;
use crate::set::Delta;
use crate::{Digest, EnvironmentId, Fault, Name};

/// The version of the plan's form.
pub const PLAN_VERSION: u32 = 1;

/// What a deployment will do. All that execution needs is in it, or named by
/// digest, so that nothing else can slip in; its own digest is what an approval
/// binds to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// Where.
    pub environment: EnvironmentId,
    /// The environment's type.
    pub environment_type: Name,
    /// What.
    pub set: Digest,
    /// What runs now, and what changes from it; none for the first deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Workloads in dependency order.
    pub workloads: Vec<PlannedWorkload>,
    /// The resource graph, placeholders as they are written.
    pub graph: ResourceGraph,
    /// What happens to each resource.
    pub resources: BTreeMap<Uid, PlannedResource>,
    /// Resources that other environments have, as they are there now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub borrowed: BTreeMap<Uid, BorrowedResource>,
    /// Resources that are there and that nothing asks for any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<UnusedResource>,
    /// The environment's values over its type's.
    pub values: BTreeMap<String, Value>,
    /// What makes the manifests; none when the environment is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templater: Option<PlannedTemplater>,
    /// How they are rolled out; none when the environment is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<PlannedStrategy>,
    /// The checks that the strategy can ask for, pinned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<Name, PlannedCheck>,
    /// The policies that judge it, pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PlannedPolicy>,
    /// Whether fields are taken over from others.
    pub take_over_fields: bool,
    /// What has to hold before execution begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// The environment is taken away: its objects, those of `unused` that don't
    /// stay, and its document.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub teardown: bool,
    /// What an earlier deployment has made is deployed as it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// Where the environment is pulled from, by its own names; none where deployd
    /// applies to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<GitSpec>,
}

impl Plan {
    /// Names of resources that are made anew, with the loss of what is in the
    /// old ones.
    pub fn replaced(&self) -> BTreeSet<String> {
        let anew = self
            .resources
            .iter()
            .filter(|(_, planned)| planned.action == DriverAction::Replace)
            .filter_map(|(uid, _)| self.graph.nodes.get(uid))
            .map(|node| node.key.to_string());
        let destroyed = self
            .unused
            .iter()
            .filter(|old| old.replaced_by.is_some() && old.when_unused == WhenUnused::Destroy)
            .map(|old| old.key.to_string());
        anew.chain(destroyed).collect()
    }
}

/// Resources whose changes can't be undone (`forwardOnly` of their definitions),
/// and that are not the same in two plans: what was changed of each.
///
/// A resource that only the newer plan has is not among them: it is unused after
/// going back, and its definition says what happens then.
pub fn not_undone(newer: &Plan, older: &Plan) -> Vec<String> {
    let differing = |old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>| {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differ = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
        differ.cloned().collect::<BTreeSet<String>>()
    };
    let forward_only = newer.graph.nodes.iter().filter(|(_, node)| node.forward_only);
    forward_only
        .filter_map(|(uid, new)| {
            let old = older.graph.nodes.get(uid)?;
            let mut changed = differing(&old.params, &new.params);
            changed.extend(differing(&old.inputs, &new.inputs));
            let changed: Vec<String> = changed.into_iter().collect();
            (!changed.is_empty()).then(|| format!("{} ({})", new.key, changed.join(", ")))
        })
        .collect()
}

/// What runs before a plan is executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Previous {
    /// The deployment that brought it.
    pub deployment: crate::DeploymentId,
    /// Its set.
    pub set: Digest,
    /// From that set to the plan's.
    pub delta: Delta,
    /// Its manifests: what a strategy is told of them, it decides upon. None in
    /// plans that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Digest>,
}

/// A workload and what it comes after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedWorkload {
    /// Its name.
    pub name: String,
    /// Workloads that must be ready before it is applied.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<String>,
}

/// What happens to a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedResource {
    /// Its driver, pinned.
    pub driver: PluginRef,
    /// How safe it is to repeat what the driver does.
    pub effect: EffectLevel,
    /// What the driver says it will do.
    pub action: DriverAction,
    /// Lines for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summary: Vec<String>,
}

/// A resource that another environment has. Pinned by content: what is executed
/// uses what was planned, whatever becomes of it there meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BorrowedResource {
    /// Who has it.
    pub lender: EnvironmentId,
    /// Its uid there.
    pub uid: Uid,
    /// What its driver returned there, by content.
    pub provisioned: Digest,
}

/// A resource that nothing asks for any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnusedResource {
    /// Its uid.
    pub uid: Uid,
    /// Its key.
    pub key: ResourceKey,
    /// What happens to it.
    pub when_unused: WhenUnused,
    /// Environments that it is lent to; while there are any, it is kept.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lent_to: BTreeSet<EnvironmentId>,
    /// How safe it is to repeat what its driver does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectLevel>,
    /// Those of the same plan that have to be gone before it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gone_before: BTreeSet<Uid>,
    /// What takes its place: made by another driver, or borrowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<Uid>,
    /// What was begun of it and never finished, and goes too, after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<UnfinishedResource>,
    /// Nothing of it is there but, maybe, what was begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_unfinished: bool,
}

/// A making of a resource that was begun, and of which it is not known that it
/// came to anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnfinishedResource {
    /// `postgres#backend.db@0123456789ab`: to tell it from other makings.
    pub name: String,
    /// What tells it from other makings (`ResourceStep.inputs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// The plan by which it was begun.
    pub plan: Digest,
    /// How safe it is to repeat what its driver does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectLevel>,
    /// What the same driver returned of the resource that is there: its driver
    /// tells whether what was begun is at another place than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Digest>,
}

/// A templater, pinned, and the baseline it uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTemplater {
    /// The plugin.
    pub plugin: PluginRef,
    /// The platform's baseline, by content; none for the templater's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Digest>,
    /// Its configuration.
    pub config: Value,
}

/// A strategy, pinned, and its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStrategy {
    /// The plugin.
    pub plugin: PluginRef,
    /// Its configuration.
    pub config: Value,
    /// How traffic is divided, if the environment's type says so.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub traffic: Choice,
    /// How long a version keeps its pods that has lost all its traffic, in
    /// milliseconds.
    #[serde(default = "drain_ms_default", skip_serializing_if = "is_drain_ms_default")]
    pub drain_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_auto(choice: &Choice) -> bool {
    *choice == Choice::Auto
}

/// What a deployment waits for before it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Names the gate within its deployment.
    pub id: String,
    /// For a person.
    pub message: String,
    /// What must hold.
    pub condition: GateCondition,
}

/// What must hold for a gate to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum GateCondition {
    /// Nothing before this time.
    NotBefore {
        /// The time.
        at: crate::Timestamp,
    },
    /// Somebody says so.
    Signal,
    /// People agree to the plan.
    Approval {
        /// Who, and how many.
        rule: crate::config::ApprovalRule,
    },
    /// Somebody who is trusted has attested something of each image.
    Attestation {
        /// Who, and what.
        rule: crate::config::AttestationRule,
    },
    /// The calendars that are for the environment say so, at the moment at which
    /// nothing else is waited for.
    Calendar,
}

/// Whose an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectOwner {
    /// A resource's.
    Resource(Uid),
    /// A workload's.
    Workload(String),
    /// Of the environment as a whole.
    Environment,
}

/// An object to apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Whose it is.
    pub owner: ObjectOwner,
    /// The object; strings of Secrets hold references where values will be.
    pub object: Value,
}

/// All objects of a deployment, and where they go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifests {
    /// The namespace of objects that name none.
    pub namespace: String,
    /// The objects, resources' first.
    pub objects: Vec<Manifest>,
    /// Jobs that run once in a deployment, and are no part of what should be there
    /// ([`jobs`](crate::rollout::jobs)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Manifest>,
}

impl Manifests {
    /// References of all objects, namespaces filled in where they are not
    /// given. An object of a kind without namespaces gets one too: compare such
    /// references only with each other.
    pub fn references(&self) -> BTreeSet<ObjectRef> {
        self.objects.iter().filter_map(|manifest| self.reference(&manifest.object)).collect()
    }

    /// The objects, and the Jobs that run once.
    pub fn all(&self) -> impl Iterator<Item = &Manifest> {
        self.objects.iter().chain(&self.jobs)
    }

    /// The reference of one object.
    pub fn reference(&self, object: &Value) -> Option<ObjectRef> {
        let mut reference = ObjectRef::of(object)?;
        reference.namespace.get_or_insert_with(|| self.namespace.clone());
        Some(reference)
    }

    /// Objects of an owner.
    pub fn of(&self, wanted: impl Fn(&ObjectOwner) -> bool) -> Vec<Value> {
        self.objects
            .iter()
            .filter(|manifest| wanted(&manifest.owner))
            .map(|manifest| manifest.object.clone())
            .collect()
    }
}

/// How an object differs from what was applied before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    /// Which object.
    pub object: ObjectRef,
    /// What happens to it.
    pub change: ChangeKind,
    /// From the old to the new one, for a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<BTreeMap<String, Value>>>")]
    pub patch: Option<json_patch::Patch>,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new.
    Add,
    /// It changes.
    Change,
    /// It goes.
    Remove,
}

/// What a plan shows of manifests before anything is provisioned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// With a text where an output is not known yet.
    pub manifests: Manifests,
    /// Against what was applied last.
    pub changes: Vec<ObjectChange>,
    /// What is in the cluster already where nothing was deployed yet: the first deployment
    /// takes it over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// Why nobody could look what is there already: none of it, or the first object of
    /// which that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_looked: Option<Fault>,
    /// Why the templater's manifests are not among them, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Fault>,
    /// Jobs that run before and after the rollout, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<ForeseenJob>,
    /// How they would be rolled out, as far as that can be foreseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutPreview>,
    /// How it comes to the cluster, where the environment is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullPreview>,
    /// What policies say of it now, as far as that can be told; none where there are
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<PolicyReport>,
}

/// How manifests differ from those applied before. What is equal is left out.
pub fn changes(before: &Manifests, after: &Manifests) -> Vec<ObjectChange> {
    let by_reference = |manifests: &Manifests| -> BTreeMap<ObjectRef, Value> {
        manifests
            .all()
            .filter_map(|m| Some((manifests.reference(&m.object)?, m.object.clone())))
            .collect()
    };
    let (before, after) = (by_reference(before), by_reference(after));
    let mut found = Vec::new();
    for (object, new) in &after {
        let (change, patch) = match before.get(object) {
            None => (ChangeKind::Add, None),
            Some(old) if old != new => (ChangeKind::Change, Some(json_patch::diff(old, new))),
            Some(_) => continue,
        };
        found.push(ObjectChange { object: object.clone(), change, patch });
    }
    for object in before.keys().filter(|object| !after.contains_key(*object)) {
        let object = object.clone();
        found.push(ObjectChange { object, change: ChangeKind::Remove, patch: None });
    }
    found
}

/// Workloads in dependency order: one that asks for a resource of type
/// `service-port` or `service` with the param `workload` comes after that one.
/// A cycle among workloads is no error (services may call each other): those in
/// it come in the order of their names, and wait for nothing within it.
pub fn workload_order<'a>(
    workloads: impl Iterator<Item = &'a String>,
    nodes: impl Iterator<Item = &'a Node>,
) -> Vec<PlannedWorkload> {
    let mut after: BTreeMap<String, BTreeSet<String>> =
        workloads.map(|name| (name.clone(), BTreeSet::new())).collect();
    for node in nodes {
        if !matches!(node.key.resource_type.as_str(), "service-port" | "service") {
            continue;
        }
        let Some(target) = node.params.get("workload").and_then(Value::as_str) else { continue };
        if !after.contains_key(target) {
            continue;
        }
        for user in node.used_by.iter().filter(|user| *user != target) {
            if let Some(needs) = after.get_mut(user) {
                needs.insert(target.to_owned());
            }
        }
    }
    let mut ordered: Vec<PlannedWorkload> = Vec::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    while done.len() < after.len() {
        let ready: Vec<String> = after
            .iter()
            .filter(|(name, needs)| !done.contains(*name) && needs.is_subset(&done))
            .map(|(name, _)| name.clone())
            .collect();
        // Nothing is ready but something is left: a cycle.
        let cut = ready.is_empty();
        let next = if cut {
            after.keys().find(|name| !done.contains(*name)).cloned().into_iter().collect()
        } else {
            ready
        };
        for name in next {
            let needs = after.get(&name).cloned().unwrap_or_default();
            let after = needs.intersection(&done).cloned().collect();
            ordered.push(PlannedWorkload { name: name.clone(), after });
            done.insert(name);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifests(objects: &[Value]) -> Manifests {
        let objects = objects
            .iter()
            .map(|object| Manifest { owner: ObjectOwner::Environment, object: object.clone() })
            .collect();
        Manifests { namespace: "ns".into(), objects, ..Manifests::default() }
    }

    fn config_map(name: &str, value: i32) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value}})
    }

    #[test]
    fn changes_name_what_is_new_changed_and_gone() {
        let before =
            manifests(&[config_map("same", 1), config_map("changed", 1), config_map("gone", 1)]);
        let after =
            manifests(&[config_map("same", 1), config_map("changed", 2), config_map("new", 1)]);
        let found: Vec<(String, ChangeKind)> =
            changes(&before, &after).into_iter().map(|c| (c.object.name, c.change)).collect();
        assert_eq!(
            found,
            [
                ("changed".into(), ChangeKind::Change),
                ("new".into(), ChangeKind::Add),
                ("gone".into(), ChangeKind::Remove),
            ]
        );
    }

    fn node(user: &str, target: &str) -> Node {
        serde_json::from_value(json!({
            "key": {"type": "service-port", "class": "default", "id": format!("{user}.{target}")},
            "usedBy": [user], "params": {"workload": target}, "definition": "d",
            "definitionDigest": Digest::of(b""), "driver": "d", "inputs": {}, "after": [],
            "whenUnused": "keep",
        }))
        .unwrap()
    }

    #[test]
    fn workloads_come_after_those_they_call() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let nodes = [node("a", "b"), node("b", "c")];
        let order: Vec<String> =
            workload_order(names.iter(), nodes.iter()).into_iter().map(|w| w.name).collect();
        assert_eq!(order, ["c", "b", "a"]);
        let nodes = [node("a", "b"), node("b", "a")];
        let order = workload_order(names.iter(), nodes.iter());
        assert_eq!(order.len(), 3);
    }
}
