//! Applies what changed between two sets to a third one: a three-way merge.
//!
//! Fields of maps are merged one by one; lists and texts are one value each,
//! because what half of a command line means nobody can tell.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::escaped;
use crate::set::DeploymentSet;

/// Whose value is taken where both sides have changed the same differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    /// What is there stays.
    Ours,
    /// What the change brings is taken.
    Theirs,
}

/// The same, changed differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// Where in the set, as an RFC 6901 pointer.
    pub path: String,
    /// Before the change; nothing where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<Value>,
    /// What the change made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<Value>,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The set; of what conflicts, what was preferred, else what was there.
    pub set: DeploymentSet,
    /// What conflicts, in the order of the paths, also where it was decided.
    pub conflicts: Vec<Conflict>,
}

/// Why a merge gives no set.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Each change is fine, and both together are not what Score allows.
    #[error("both changes together would not be valid: {0}")]
    Result(serde_json::Error),
    /// A set that can't be written.
    #[error(transparent)]
    Set(serde_json::Error),
}

/// Applies the change from `base` to `theirs` to `ours`.
pub fn merge(
    base: &DeploymentSet,
    theirs: &DeploymentSet,
    ours: &DeploymentSet,
    prefer: Option<Prefer>,
) -> Result<Merged, MergeError> {
    let document = |set: &DeploymentSet| -> Result<Value, MergeError> {
        let mut fields = Map::new();
        let workloads = serde_json::to_value(&set.workloads).map_err(MergeError::Set)?;
        fields.insert("workloads".to_owned(), workloads);
        let resources = serde_json::to_value(&set.resources).map_err(MergeError::Set)?;
        fields.insert("resources".to_owned(), resources);
        Ok(Value::Object(fields))
    };
    let (base, theirs) = (document(base)?, document(theirs)?);
    let mut merging = Merging { prefer, conflicts: Vec::new() };
    let merged =
        merging.merge(&mut String::new(), Some(&base), Some(&theirs), Some(&document(ours)?));
    let mut fields = match merged {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.insert("application".to_owned(), ours.application.as_str().into());
    let set = serde_json::from_value(Value::Object(fields)).map_err(MergeError::Result)?;
    Ok(Merged { set, conflicts: merging.conflicts })
}

struct Merging {
    prefer: Option<Prefer>,
    conflicts: Vec<Conflict>,
}

impl Merging {
    fn merge(
        &mut self,
        path: &mut String,
        base: Option<&Value>,
        theirs: Option<&Value>,
        ours: Option<&Value>,
    ) -> Option<Value> {
        if theirs == ours || base == theirs {
            return ours.cloned();
        }
        if base == ours {
            return theirs.cloned();
        }
        if let (Some(Value::Object(theirs)), Some(Value::Object(ours))) = (theirs, ours) {
            // Both have made it: each field is new then.
            let nothing = Map::new();
            let base = match base {
                Some(Value::Object(base)) => base,
                _ => &nothing,
            };
            let mut merged = Map::new();
            let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            for key in keys {
                let length = path.len();
                path.push('/');
                path.push_str(&escaped(key));
                let value = self.merge(path, base.get(key), theirs.get(key), ours.get(key));
                path.truncate(length);
                if let Some(value) = value {
                    merged.insert(key.clone(), value);
                }
            }
            return Some(Value::Object(merged));
        }
        self.conflicts.push(Conflict {
            path: path.clone(),
            base: base.cloned(),
            ours: ours.cloned(),
            theirs: theirs.cloned(),
        });
        match self.prefer {
            Some(Prefer::Theirs) => theirs.cloned(),
            Some(Prefer::Ours) | None => ours.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{sets, shop};
    use super::*;
    use crate::set::{diff, patch};

    proptest! {
        #[test]
        fn what_did_not_change_changes_nothing(base in sets(), ours in sets()) {
            let merged = merge(&base, &base, &ours, None).unwrap();
            prop_assert_eq!(merged, Merged { set: ours, conflicts: vec![] });
        }

        #[test]
        fn onto_where_it_came_from_it_is_what_it_was(base in sets(), theirs in sets()) {
            let merged = merge(&base, &theirs, &base, None).unwrap();
            prop_assert_eq!(merged, Merged { set: theirs, conflicts: vec![] });
        }

        #[test]
        fn the_same_change_on_both_sides_is_none(base in sets(), both in sets()) {
            let merged = merge(&base, &both, &both, None).unwrap();
            prop_assert_eq!(merged, Merged { set: both, conflicts: vec![] });
        }

        #[test]
        fn sides_can_be_swapped(base in sets(), a in sets(), b in sets()) {
            let (one, other) = (merge(&base, &a, &b, None), merge(&base, &b, &a, None));
            if let (Ok(one), Ok(other)) = (one, other) {
                let paths = |merged: &Merged| -> Vec<String> {
                    merged.conflicts.iter().map(|conflict| conflict.path.clone()).collect()
                };
                prop_assert_eq!(paths(&one), paths(&other));
                if one.conflicts.is_empty() {
                    prop_assert_eq!(one.set, other.set);
                }
            }
        }

        #[test]
        fn who_prefers_gets_what_they_prefer(base in sets(), a in sets(), b in sets()) {
            if let (Ok(theirs), Ok(ours)) = (
                merge(&base, &a, &b, Some(Prefer::Theirs)),
                merge(&base, &b, &a, Some(Prefer::Ours)),
            ) {
                prop_assert_eq!(theirs.set, ours.set);
            }
        }

        #[test]
        fn changes_of_different_workloads_meet(base in sets(), a in sets()) {
            // Of `a` what concerns resources, of the other side what concerns workloads.
            let mut theirs = base.clone();
            theirs.resources = a.resources.clone();
            let mut ours = base.clone();
            ours.workloads = a.workloads.clone();
            let merged = merge(&base, &theirs, &ours, None).unwrap();
            prop_assert!(merged.conflicts.is_empty());
            prop_assert_eq!(&merged.set, &a);
            // And that is what one patch after the other gives.
            let patched = patch(&ours, &diff(&base, &theirs).unwrap()).unwrap();
            prop_assert_eq!(patched, a);
        }
    }

    #[test]
    fn conflicts_say_what_everybody_has() {
        let base = shop("r/web:1", &[("MODE", "a"), ("LEVEL", "info")]);
        let theirs = shop("r/web:2", &[("MODE", "b"), ("LEVEL", "info")]);
        let ours = shop("r/web:1", &[("MODE", "c"), ("LEVEL", "warn")]);
        let merged = merge(&base, &theirs, &ours, None).unwrap();
        assert_eq!(
            merged.conflicts,
            [Conflict {
                path: "/workloads/web/containers/main/variables/MODE".into(),
                base: Some("a".into()),
                ours: Some("c".into()),
                theirs: Some("b".into()),
            }]
        );
        // What does not conflict is merged all the same.
        assert_eq!(merged.set, shop("r/web:2", &[("MODE", "c"), ("LEVEL", "warn")]));
        let theirs = merge(&base, &theirs, &ours, Some(Prefer::Theirs)).unwrap();
        assert_eq!(theirs.set, shop("r/web:2", &[("MODE", "b"), ("LEVEL", "warn")]));
        assert_eq!(theirs.conflicts.len(), 1);
    }

    #[test]
    fn what_one_side_changed_and_the_other_took_away_conflicts() {
        let base = shop("r/web:1", &[]);
        let mut gone = base.clone();
        gone.workloads.clear();
        let changed = shop("r/web:2", &[]);
        for (theirs, ours) in [(&gone, &changed), (&changed, &gone)] {
            let merged = merge(&base, theirs, ours, None).unwrap();
            assert_eq!(merged.conflicts.len(), 1);
            assert_eq!(merged.conflicts[0].path, "/workloads/web");
            assert_eq!(&merged.set, ours);
        }
    }
}
