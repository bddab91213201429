//! Deployment sets and deltas.
//!
//! A set is all of an application's configuration that does not depend on an
//! environment. It is immutable and named by the hash of its content. The only
//! way to make a new set from an old one is a delta.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::score::{Resource, Workload};
use crate::{Digest, Name};

mod known;
mod obstacle;

pub use known::{
    KnownSet, MergeRequest, MergedSet, PatchRequest, SETS, SETS_BY_APPLICATION, SetOrigin,
    SetsPage, listed, listed_key, listed_place,
};

/// The image of a container that an artifact supplies.
pub const IMAGE_FROM_ARTIFACT: &str = ".";

/// All of an application's environment-independent configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSet {
    /// The application.
    pub application: Name,
    /// Workloads by name.
    pub workloads: BTreeMap<String, Workload>,
    /// Shared resources by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Resource>,
}

impl DeploymentSet {
    /// The set's name: the digest of its canonical JSON.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }

    /// Images by workload and container.
    pub fn images(&self) -> BTreeMap<(String, String), String> {
        self.workloads
            .iter()
            .flat_map(|(name, workload)| {
                workload.containers.iter().map(|(container, spec)| {
                    ((name.clone(), container.clone()), spec.image.clone())
                })
            })
            .collect()
    }

    /// Containers, as `workload/container`, whose image no artifact has
    /// supplied yet.
    pub fn missing_images(&self) -> Vec<String> {
        self.images()
            .into_iter()
            .filter(|(_, image)| image == IMAGE_FROM_ARTIFACT)
            .map(|((workload, container), _)| format!("{workload}/{container}"))
            .collect()
    }
}

/// Changes of things with names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes<T> {
    /// New ones.
    #[serde(default = "BTreeMap::<String, T>::new", skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, T>,
    /// Names of those that go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub remove: BTreeSet<String>,
    /// JSON Patches (RFC 6902) of those that change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<BTreeMap<String, Value>>>")]
    pub update: BTreeMap<String, json_patch::Patch>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { add: BTreeMap::new(), remove: BTreeSet::new(), update: BTreeMap::new() }
    }
}

impl<T> Changes<T> {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.update.is_empty()
    }
}

/// A patch from one set to another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// Of workloads.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub workloads: Changes<Workload>,
    /// Of shared resources.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub resources: Changes<Resource>,
}

impl Delta {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty() && self.resources.is_empty()
    }

    /// A delta that sets images, by workload and container.
    pub fn of_images(images: &BTreeMap<(String, String), String>) -> Self {
        let mut delta = Self::default();
        for ((workload, container), image) in images {
            let path = ["containers", container, "image"];
            let operation = json_patch::PatchOperation::Replace(json_patch::ReplaceOperation {
                path: json_patch::jsonptr::PointerBuf::from_tokens(path),
                value: Value::String(image.clone()),
            });
            delta.workloads.update.entry(workload.clone()).or_default().0.push(operation);
        }
        delta
    }
}

/// An operation of a patch that can't be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {number} of {count} ({operation}) can't be applied: {reason}; {found}")]
pub struct RefusedOperation {
    /// Its place in its patch: 1 for the first.
    pub number: usize,
    /// How many there are.
    pub count: usize,
    /// `replace /containers/main/image`.
    pub operation: String,
    /// Why.
    pub reason: String,
    /// What is at its place, or where the way there ends.
    pub found: String,
}

/// Why a delta can't be applied to a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It adds what is there.
    #[error("{what} {name:?} is in the set already; update it instead of adding it")]
    Present {
        /// `workload` or `resource`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It removes or changes what is not there.
    #[error("there is no {what} {name:?} in the set")]
    Absent {
        /// `workload` or `resource`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An operation fails.
    #[error("{what} {name:?}: {refused}")]
    Operation {
        /// `workload` or `resource`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Which operation, and why.
        refused: Box<RefusedOperation>,
    },
    /// What comes out is not what Score allows.
    #[error("{what} {name:?} would not be valid: {reason}")]
    Result {
        /// `workload` or `resource`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The field and what is wrong.
        reason: String,
    },
}

/// The delta that makes `b` of `a`.
pub fn diff(a: &DeploymentSet, b: &DeploymentSet) -> Result<Delta, serde_json::Error> {
    Ok(Delta {
        workloads: changes(&a.workloads, &b.workloads)?,
        resources: changes(&a.resources, &b.resources)?,
    })
}

/// The set that a delta makes of another one.
pub fn patch(set: &DeploymentSet, delta: &Delta) -> Result<DeploymentSet, DeltaError> {
    Ok(DeploymentSet {
        application: set.application.clone(),
        workloads: apply("workload", &set.workloads, &delta.workloads)?,
        resources: apply("resource", &set.resources, &delta.resources)?,
    })
}

fn changes<T: Clone + PartialEq + Serialize>(
    a: &BTreeMap<String, T>,
    b: &BTreeMap<String, T>,
) -> Result<Changes<T>, serde_json::Error> {
    let mut changes = Changes::default();
    for (name, new) in b {
        match a.get(name) {
            None => {
                changes.add.insert(name.clone(), new.clone());
            }
            Some(old) if old != new => {
                let patch =
                    json_patch::diff(&serde_json::to_value(old)?, &serde_json::to_value(new)?);
                changes.update.insert(name.clone(), patch);
            }
            Some(_) => {}
        }
    }
    changes.remove = a.keys().filter(|name| !b.contains_key(*name)).cloned().collect();
    Ok(changes)
}

fn apply<T: Clone + Serialize + for<'de> Deserialize<'de>>(
    what: &'static str,
    old: &BTreeMap<String, T>,
    changes: &Changes<T>,
) -> Result<BTreeMap<String, T>, DeltaError> {
    let mut new = old.clone();
    for name in &changes.remove {
        if new.remove(name).is_none() {
            return Err(DeltaError::Absent { what, name: name.clone() });
        }
    }
    for (name, patch) in &changes.update {
        let Some(item) = new.get_mut(name) else {
            return Err(DeltaError::Absent { what, name: name.clone() });
        };
        let invalid = |error: serde_json::Error| DeltaError::Result {
            what,
            name: name.clone(),
            reason: error.to_string(),
        };
        let mut value = serde_json::to_value(&*item).map_err(invalid)?;
        for (place, operation) in patch.iter().enumerate() {
            let one = std::slice::from_ref(operation);
            json_patch::patch(&mut value, one).map_err(|error| DeltaError::Operation {
                what,
                name: name.clone(),
                refused: Box::new(RefusedOperation {
                    number: place.saturating_add(1),
                    count: patch.len(),
                    operation: obstacle::shown(operation),
                    reason: error.kind.to_string(),
                    found: obstacle::found(operation, &value),
                }),
            })?;
        }
        *item = serde_json::from_value(value).map_err(invalid)?;
    }
    for (name, item) in &changes.add {
        if new.insert(name.clone(), item.clone()).is_some() {
            return Err(DeltaError::Present { what, name: name.clone() });
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compare::samples::{sets, shop};

    proptest! {
        #[test]
        fn the_diff_of_two_sets_makes_one_of_the_other(a in sets(), b in sets()) {
            let delta = diff(&a, &b).unwrap();
            prop_assert_eq!(&patch(&a, &delta).unwrap(), &b);
            prop_assert_eq!(delta.is_empty(), a == b);
            prop_assert!(diff(&a, &a).unwrap().is_empty());
            // Also after it was written to a file, and read again.
            let text = serde_json::to_string(&delta).unwrap();
            let read: Delta = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(patch(&a, &read).unwrap(), b);
        }
    }

    #[test]
    fn a_delta_that_does_not_fit_is_refused() {
        let set = shop(".", &[]);
        assert_eq!(set.missing_images(), ["web/main"]);
        let images = |workload: &str, container: &str| {
            BTreeMap::from([((workload.to_owned(), container.to_owned()), "x@y".to_owned())])
        };
        let set = patch(&set, &Delta::of_images(&images("web", "main"))).unwrap();
        assert_eq!(set.missing_images(), Vec::<String>::new());
        assert!(matches!(
            patch(&set, &Delta::of_images(&images("db", "main"))),
            Err(DeltaError::Absent { .. })
        ));
        assert!(matches!(
            patch(&set, &Delta::of_images(&images("web", "other"))),
            Err(DeltaError::Operation { .. })
        ));
    }

    #[test]
    fn what_is_in_the_way_of_a_delta_is_said() {
        let set = shop("r/web:1", &[("MODE", "a")]);
        for (operations, said) in [
            (
                r#"[{"op":"replace","path":"/containers/mian/image","value":"x"}]"#,
                "operation 1 of 1 (replace /containers/mian/image) can't be applied: path is invalid; \
                 at /containers there is no \"mian\", but \"main\"",
            ),
            (
                r#"[{"op":"add","path":"/containers/main/image","value":"r/web:2"},
                    {"op":"test","path":"/containers/main/variables/MODE","value":"b"}]"#,
                "operation 2 of 2 (test /containers/main/variables/MODE) can't be applied: value did not match; \
                 at /containers/main/variables/MODE there is \"a\"",
            ),
            (
                r#"[{"op":"remove","path":"/containers/main/args/0"}]"#,
                "at /containers/main there is no \"args\", but \"image\", \"variables\"",
            ),
            (
                r#"[{"op":"remove","path":"/containers/main/image/x"}]"#,
                "at /containers/main/image there is \"r/web:1\", which has no fields",
            ),
            (
                r#"[{"op":"move","from":"/containers/other","path":"/containers/main"}]"#,
                "operation 1 of 1 (move /containers/other to /containers/main)",
            ),
        ] {
            let delta = format!(r#"{{"workloads":{{"update":{{"web":{operations}}}}}}}"#);
            let error = patch(&set, &serde_json::from_str(&delta).unwrap()).unwrap_err();
            assert!(error.to_string().contains(said), "{error}\n{said}");
        }
    }
}
