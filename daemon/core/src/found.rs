//! What is in a cluster already before deployd has deployed anything there: somebody else
//! has applied it, and the first deployment takes it over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drift::{Drift, ObjectCheck};
use crate::plan::{ChangeKind, ObjectChange};
use crate::ports::ObjectRef;

/// An object that is there already, and how it differs from what would be applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Which.
    pub object: ObjectRef,
    /// The fields that would change; none where nothing would but deployd's own labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<Drift>,
}

/// By which deployd finds again what it has applied: nothing that runs changes with them.
const MARKS: [&str; 3] = [
    ".metadata.labels[app.kubernetes.io/managed-by]",
    ".metadata.labels[deployd.dev/",
    ".metadata.annotations[deployd.dev/",
];

/// Takes what is there as it would be from the changes of a plan, which took it for new;
/// what differs is a change. What can't be compared stays as it was.
pub fn found(checks: Vec<ObjectCheck>, changes: &mut Vec<ObjectChange>) -> Vec<Found> {
    let mut all = Vec::new();
    for ObjectCheck { object, drift } in checks {
        let Ok(mut differs) = drift else { continue };
        if differs.contains(&Drift::Missing) {
            continue;
        }
        differs.retain(|drift| !is_mark(drift));
        match differs.is_empty() {
            true => changes.retain(|change| !is_same(&change.object, &object)),
            false => {
                for change in changes.iter_mut().filter(|it| is_same(&it.object, &object)) {
                    change.change = ChangeKind::Change;
                }
            }
        }
        all.push(Found { object, differs });
    }
    all
}

fn is_mark(drift: &Drift) -> bool {
    matches!(drift, Drift::FieldDiffers { path, .. }
        if MARKS.iter().any(|mark| path.starts_with(mark)))
}

/// Whether a plan's reference is of this object. Plans give all objects a namespace,
/// clusters those that have one.
fn is_same(planned: &ObjectRef, there: &ObjectRef) -> bool {
    let of = |object: &ObjectRef| (object.api_version.clone(), object.kind.clone());
    of(planned) == of(there)
        && planned.name == there.name
        && (there.namespace.is_none() || planned.namespace == there.namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Fault;
    use crate::drift::Difference;

    fn object(name: &str, namespace: Option<&str>) -> ObjectRef {
        ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    fn differs(path: &str) -> Drift {
        let values =
            Difference { recorded: Some(json!("web")), live: Some(json!("old")), hidden: false };
        Drift::FieldDiffers { path: path.to_owned(), values, by: Vec::new() }
    }

    #[test]
    fn what_is_there_as_it_would_be_is_no_change() {
        let names = ["same", "marked", "other", "gone", "unknown", "cluster-wide"];
        let mut changes: Vec<ObjectChange> = names
            .iter()
            .map(|name| ObjectChange {
                object: object(name, Some("shop")),
                change: ChangeKind::Add,
                patch: None,
            })
            .collect();
        let check = |name: &str, drift| ObjectCheck { object: object(name, Some("shop")), drift };
        let marks = MARKS.map(|mark| differs(&format!("{mark}workload]")));
        let checks = vec![
            check("same", Ok(Vec::new())),
            check("marked", Ok(marks[1..].to_vec())),
            check("other", Ok([&[differs(".spec.type")], &marks[1..]].concat())),
            check("gone", Ok(vec![Drift::Missing])),
            check("unknown", Err(Fault::permanent("rejected", "no"))),
            ObjectCheck { object: object("cluster-wide", None), drift: Ok(Vec::new()) },
            ObjectCheck { object: object("gone", Some("elsewhere")), drift: Ok(Vec::new()) },
        ];
        let all = found(checks, &mut changes);
        let left: Vec<(&str, ChangeKind)> =
            changes.iter().map(|it| (it.object.name.as_str(), it.change)).collect();
        let (add, change) = (ChangeKind::Add, ChangeKind::Change);
        assert_eq!(left, [("other", change), ("gone", add), ("unknown", add)]);
        let differing: Vec<(&str, usize)> =
            all.iter().map(|it| (it.object.name.as_str(), it.differs.len())).collect();
        let same = [("same", 0), ("marked", 0), ("other", 1), ("cluster-wide", 0), ("gone", 0)];
        assert_eq!(differing, same);
    }
}
