//! The history of stateful sets and daemon sets: a revision for each template,
//! for `kubectl rollout history` and `undo`.

use serde_json::{Value, json};

use super::MANAGER;
use super::writes::{controlled, controlled_by};
use crate::cluster::Cluster;
use crate::json;
use crate::storage::Key;

const REVISIONS: &str = "controllerrevisions.apps";

/// Which revision the present template is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revision<'a> {
    /// The label that holds the hash.
    pub(super) labels: &'a str,
    /// The template's hash.
    pub(super) hash: &'a str,
}

/// Records the present template as the newest revision, and forgets the oldest
/// beyond the limit that the set gives.
pub(super) fn record(cluster: &Cluster, set: &Value, present: Revision<'_>) {
    if json::is_deleting(set) {
        return;
    }
    let mut known = controlled(cluster, REVISIONS, set);
    known.sort_by_key(|revision| json::int(revision, "/revision"));
    let newest = known.last().and_then(|last| json::int(last, "/revision")).unwrap_or_default();
    let name = format!("{}-{}", json::name(set), present.hash);
    let key = Key::new(REVISIONS, json::namespace(set), &name);
    match known.iter().find(|revision| json::name(revision) == name) {
        Some(found) if json::int(found, "/revision") == Some(newest) => {}
        // An older template came back: its revision becomes the newest.
        Some(_) => cluster.edit(MANAGER, &key, "", |revision| {
            json::put(revision, &["revision"], newest + 1);
        }),
        None => {
            let mut template = set.pointer("/spec/template").cloned().unwrap_or_default();
            let mut labels = template.pointer("/metadata/labels").cloned().unwrap_or(json!({}));
            json::put(&mut labels, &[present.labels], present.hash);
            json::put(&mut template, &["$patch"], "replace");
            let object = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision",
                "metadata": {"name": name, "labels": labels,
                    "annotations": causes(set), "ownerReferences": controlled_by(set)},
                "data": {"spec": {"template": template}}, "revision": newest + 1});
            cluster.ensure(MANAGER, REVISIONS, json::namespace(set), object);
        }
    }
    let keep = json::int(set, "/spec/revisionHistoryLimit").unwrap_or(10);
    // The present one is not history.
    let excess = known.len().saturating_sub(usize::try_from(keep).unwrap_or_default() + 1);
    for old in known.iter().take(excess).filter(|old| json::name(old) != name) {
        let key = Key::new(REVISIONS, json::namespace(old), json::name(old));
        cluster.drop_object(&key, "Background");
    }
}

/// The annotations that a revision takes from its set.
fn causes(set: &Value) -> Value {
    let mut all = set.pointer("/metadata/annotations").cloned().unwrap_or(json!({}));
    json::take(&mut all, &["kubectl.kubernetes.io/last-applied-configuration"]);
    all
}
