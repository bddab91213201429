//! The environment's values, and whether secrets have the same ones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{FieldChange, ItemChange, Resolved};
use crate::Digest;
use crate::plan::{ChangeKind, Plan};
use crate::secret::{SecretRef, references};

/// The environment's values by key.
pub(super) fn documents(plan: &Plan) -> BTreeMap<String, Value> {
    plan.values.iter().map(|(key, value)| (format!("value {key}"), value.clone())).collect()
}

/// Secrets that resources have, by the resources' names, which are the same in
/// all environments, and not by their uids, which are not.
fn by_name(side: &Resolved) -> BTreeMap<String, Option<Digest>> {
    let own = side.outputs.values().flat_map(references);
    let own: BTreeSet<SecretRef> = own.collect();
    own.into_iter()
        .map(|secret| {
            let known = side.fingerprints.get(&secret).copied();
            (format!("secret {}", name(&side.plan, &secret)), known)
        })
        .collect()
}

/// `postgres#backend.db/password`.
pub(super) fn name(plan: &Plan, secret: &SecretRef) -> String {
    let node = plan.graph.nodes.iter().find(|(uid, _)| uid.0 == secret.owner);
    match node {
        Some((_, node)) => format!("{}/{}", node.key, secret.name),
        None => format!("{}/{}", secret.owner, secret.name),
    }
}

/// Secrets that differ, and names of those of which nobody knows.
pub(super) fn secrets(a: &Resolved, b: &Resolved) -> (Vec<ItemChange>, Vec<String>) {
    let (a, b) = (by_name(a), by_name(b));
    let mut differing = Vec::new();
    let mut unknown = Vec::new();
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let change = match (a.get(name), b.get(name)) {
            (None, _) => ChangeKind::Add,
            (_, None) => ChangeKind::Remove,
            (Some(Some(a)), Some(Some(b))) if a == b => continue,
            (Some(Some(_)), Some(Some(_))) => ChangeKind::Change,
            (Some(_), Some(_)) => {
                unknown.push(name.clone());
                continue;
            }
        };
        let hidden = FieldChange { path: String::new(), from: None, to: None, hidden: true };
        let fields = if change == ChangeKind::Change { vec![hidden] } else { Vec::new() };
        let (before, after) = (None, None);
        differing.push(ItemChange { name: name.clone(), change, fields, before, after });
    }
    (differing, unknown)
}
