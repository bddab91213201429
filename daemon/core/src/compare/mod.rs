//! How two deployments, or two sets, differ: in three parts and the manifests
//! that came of them.
//!
//! - **set**: the configuration that does not depend on an environment,
//! - **values**: the environment's values, and whether secrets have the same ones,
//! - **resources**: what was resolved for the set: definitions, drivers, inputs,
//!   outputs; templater and strategy,
//! - **manifests**: the objects, field by field.
//!
//! Nothing is guessed: names that differ because environments do are shown.

mod fields;
mod manifests;
pub mod merge;
mod resources;
#[cfg(test)]
pub(crate) mod samples;
mod sets;
mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::archive::Provenance;
use crate::graph::Uid;
use crate::plan::{ChangeKind, Manifests, Plan};
use crate::secret::SecretRef;
use crate::set::{Delta, DeploymentSet, diff};
use crate::subject::Subject;
use crate::{DeploymentId, Digest, EnvironmentId, Timestamp};

pub use fields::{FieldChange, fields};
pub(crate) use manifests::{OF_SERVERS, OWN};

/// A part of a comparison.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PartName {
    /// What does not depend on an environment.
    Set,
    /// The environment's values, and secrets.
    Values,
    /// What was resolved.
    Resources,
    /// What was rendered.
    Manifests,
}

impl PartName {
    /// All there are, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Set, Self::Values, Self::Resources, Self::Manifests];

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Values => "values",
            Self::Resources => "resources",
            Self::Manifests => "manifests",
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// As it was asked for.
    pub subject: Subject,
    /// The set.
    pub set: Digest,
    /// The deployment; none where a set was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// Its number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Where it came from, when it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Provenance>,
}

/// How two sides differ: from `a` to `b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// From.
    pub a: Side,
    /// To.
    pub b: Side,
    /// Whether nothing that could be compared differs.
    pub equal: bool,
    /// What makes `b`'s set of `a`'s: for `deployd patch`, and to be deployed.
    pub delta: Delta,
    /// The parts that were asked for.
    pub parts: Vec<Part>,
}

/// A part of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Which.
    pub part: PartName,
    /// Things that only `b` has.
    pub added: usize,
    /// Things that both have, and that differ.
    pub changed: usize,
    /// Things that only `a` has.
    pub removed: usize,
    /// What differs, in the order of the names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemChange>,
    /// Secrets of which it is not known whether their values are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Why it was not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemChange {
    /// `workload backend`, `postgres#backend.db`, `Deployment backend`.
    pub name: String,
    /// How.
    pub change: ChangeKind,
    /// Its fields that differ, when both sides have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// All of it on side `a`, if documents were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// All of it on side `b`, if documents were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Comparison {
    /// Whether something could not be compared.
    pub fn is_partial(&self) -> bool {
        self.parts.iter().any(|part| part.missing.is_some() || !part.unknown.is_empty())
    }
}

/// What is compared of one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// The set.
    pub set: DeploymentSet,
    /// What came of it, or why there is nothing.
    pub resolved: Result<Resolved, String>,
}

/// What a deployment made of its set.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Its plan.
    pub plan: Plan,
    /// Outputs of its resources, as far as it came; secrets are references.
    pub outputs: BTreeMap<Uid, Value>,
    /// Keyed hashes of the values that its secrets had then, where they are known.
    pub fingerprints: BTreeMap<SecretRef, Digest>,
    /// Its manifests, or why there are none.
    pub manifests: Result<Manifests, String>,
}

/// What of a comparison is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// One part; none for all.
    pub part: Option<PartName>,
    /// Whether what differs is to be there as a whole, on both sides.
    pub documents: bool,
}

/// Compares two sides.
pub fn compare(
    a: (Side, &Content),
    b: (Side, &Content),
    wanted: Wanted,
) -> Result<Comparison, serde_json::Error> {
    let (side_a, a) = a;
    let (side_b, b) = b;
    let mut parts = Vec::new();
    // Two sets have nothing else to compare.
    let sets = a.resolved.is_err() && b.resolved.is_err();
    let asked = |name: &PartName| match wanted.part {
        Some(one) => one == *name,
        None => !sets || *name == PartName::Set,
    };
    for name in PartName::ALL.into_iter().filter(asked) {
        let mut part = part(name, a, b)?;
        if !wanted.documents {
            for item in &mut part.items {
                (item.before, item.after) = (None, None);
            }
        }
        parts.push(part);
    }
    let equal = parts.iter().all(|part| part.items.is_empty());
    let delta = diff(&a.set, &b.set)?;
    Ok(Comparison { a: side_a, b: side_b, equal, delta, parts })
}

fn part(name: PartName, a: &Content, b: &Content) -> Result<Part, serde_json::Error> {
    if name == PartName::Set {
        return Ok(finish(name, items(sets::documents(&a.set)?, sets::documents(&b.set)?)));
    }
    let (a, b) = match (&a.resolved, &b.resolved) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(why), _) | (_, Err(why)) => return Ok(missing(name, why.clone())),
    };
    Ok(match name {
        PartName::Set | PartName::Values => {
            let (secrets, unknown) = values::secrets(a, b);
            let mut found = items(values::documents(&a.plan), values::documents(&b.plan));
            found.extend(secrets);
            Part { unknown, ..finish(name, found) }
        }
        PartName::Resources => {
            finish(name, items(resources::documents(a)?, resources::documents(b)?))
        }
        PartName::Manifests => match (&a.manifests, &b.manifests) {
            (Ok(of_a), Ok(of_b)) => {
                let of_a = manifests::documents(&a.plan, of_a);
                finish(name, items(of_a, manifests::documents(&b.plan, of_b)))
            }
            (Err(why), _) | (_, Err(why)) => missing(name, why.clone()),
        },
    })
}

fn finish(part: PartName, items: Vec<ItemChange>) -> Part {
    let count = |change| items.iter().filter(|item| item.change == change).count();
    Part {
        part,
        added: count(ChangeKind::Add),
        changed: count(ChangeKind::Change),
        removed: count(ChangeKind::Remove),
        items,
        unknown: Vec::new(),
        missing: None,
    }
}

fn missing(part: PartName, why: String) -> Part {
    Part { missing: Some(why), ..finish(part, Vec::new()) }
}

/// How documents with names differ.
fn items(a: BTreeMap<String, Value>, mut b: BTreeMap<String, Value>) -> Vec<ItemChange> {
    let mut found = Vec::new();
    for (name, before) in a {
        let Some(after) = b.remove(&name) else {
            let change = ChangeKind::Remove;
            let before = Some(before);
            found.push(ItemChange { name, change, fields: Vec::new(), before, after: None });
            continue;
        };
        let fields = fields(&before, &after);
        if !fields.is_empty() {
            let (before, after) = (Some(before), Some(after));
            found.push(ItemChange { name, change: ChangeKind::Change, fields, before, after });
        }
    }
    found.extend(b.into_iter().map(|(name, after)| ItemChange {
        name,
        change: ChangeKind::Add,
        fields: Vec::new(),
        before: None,
        after: Some(after),
    }));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

#[cfg(test)]
mod tests;
