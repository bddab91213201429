//! The part that does not depend on an environment.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::set::DeploymentSet;

/// What a set has, by names for people.
pub(super) fn documents(set: &DeploymentSet) -> Result<BTreeMap<String, Value>, serde_json::Error> {
    let mut documents = BTreeMap::new();
    for (name, workload) in &set.workloads {
        documents.insert(format!("workload {name}"), serde_json::to_value(workload)?);
    }
    for (name, resource) in &set.resources {
        documents.insert(format!("resource {name}"), serde_json::to_value(resource)?);
    }
    Ok(documents)
}
