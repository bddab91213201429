//! Deployments: replica sets for templates, and the way from one to the next.

use std::sync::Arc;

use serde_json::{Value, json};

use super::rollout::{
    DESIRED, HASH, MOST, REVISION, REVISION_HISTORY, annotation, bare, bounds, proportion,
    revision, scale_up,
};
use super::writes::{adopt, controlled, controlled_by, is_active};
use super::{Again, MANAGER, deployment_status as status};
use crate::cluster::Cluster;
use crate::json;
use crate::random::template_hash;
use crate::storage::Key;

const SETS: &str = "replicasets.apps";
const TELLER: &str = "deployment-controller";

/// A deployment with its replica sets.
pub(super) struct View {
    /// The deployment.
    pub(super) deployment: Arc<Value>,
    /// The replica set of the present template.
    pub(super) new: Option<Arc<Value>>,
    /// The others, oldest first.
    pub(super) old: Vec<Arc<Value>>,
}

impl View {
    fn look(cluster: &Cluster, deployment: Arc<Value>) -> Self {
        let template = deployment.pointer("/spec/template").map(bare);
        let mut sets = controlled(cluster, SETS, &deployment);
        sets.sort_by_key(|set| {
            (revision(set), json::text(set, "/metadata/creationTimestamp").to_owned())
        });
        let new = sets
            .iter()
            .position(|set| set.pointer("/spec/template").map(bare) == template)
            .map(|index| sets.remove(index));
        Self { deployment, new, old: sets }
    }

    /// All replica sets.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    /// The sum of a count over all replica sets.
    pub(super) fn sum(&self, pointer: &str) -> i64 {
        self.all().filter_map(|set| json::int(set, pointer)).sum()
    }
}

/// The wanted count of a replica set or deployment.
pub(super) fn wanted(object: &Value) -> i64 {
    json::int(object, "/spec/replicas").unwrap_or(1)
}

fn count(object: &Value, name: &str) -> i64 {
    json::int(object, &format!("/status/{name}")).unwrap_or_default()
}

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let deployment = cluster.get(&key.resource, &key.namespace, &key.name)?;
    adopt(cluster, SETS, &deployment);
    let mut view = View::look(cluster, deployment);
    if json::is_deleting(&view.deployment) {
        return status::write(cluster, key, &view, false);
    }
    let mut created = false;
    let is_paused = json::flag(&view.deployment, "/spec/paused");
    if is_paused || annotation_differs(&view) {
        rescale(cluster, &view);
    } else if json::text(&view.deployment, "/spec/strategy/type") == "Recreate" {
        created = recreate(cluster, key, &mut view);
    } else {
        created = ensure_new(cluster, key, &mut view, None);
        roll(cluster, &view);
    }
    let deployment = cluster.get(&key.resource, &key.namespace, &key.name)?;
    let view = View::look(cluster, deployment);
    if !is_paused {
        clean_up(cluster, &view);
    }
    status::write(cluster, key, &view, created)
}

/// Whether the deployment was scaled: its sets were made for another count.
fn annotation_differs(view: &View) -> bool {
    view.all().filter(|set| wanted(set) > 0).any(|set| {
        let known = annotation(set, DESIRED);
        !known.is_empty() && known != wanted(&view.deployment).to_string()
    })
}

fn set_key(set: &Value) -> Key {
    Key::new(SETS, json::namespace(set), json::name(set))
}

/// Scales a replica set, and tells.
fn scale(cluster: &Cluster, view: &View, set: &Value, to: i64) {
    let from = wanted(set);
    let desired = wanted(&view.deployment);
    let (surge, _) = bounds(&view.deployment);
    cluster.edit(MANAGER, &set_key(set), "", |set| {
        json::put(set, &["spec", "replicas"], to);
        json::put(set, &["metadata", "annotations", DESIRED], desired.to_string());
        json::put(set, &["metadata", "annotations", MOST], (desired + surge).to_string());
    });
    if from == to {
        return;
    }
    let way = if to > from { "up" } else { "down" };
    let message = format!("Scaled {way} replica set {} from {from} to {to}", json::name(set));
    cluster.tell(TELLER, &view.deployment, "Normal", "ScalingReplicaSet", &message);
}

/// Makes the replica set of the present template, or brings its revision up
/// to date. Says whether it was made.
fn ensure_new(cluster: &Cluster, key: &Key, view: &mut View, replicas: Option<i64>) -> bool {
    let next = view.old.iter().map(|set| revision(set)).max().unwrap_or_default() + 1;
    if let Some(new) = view.new.clone() {
        let known = revision(&new);
        if known < next {
            cluster.edit(MANAGER, &set_key(&new), "", |set| {
                let history = annotation(set, REVISION_HISTORY).to_owned();
                if known > 0 {
                    let history = match history.as_str() {
                        "" => known.to_string(),
                        older => format!("{older},{known}"),
                    };
                    json::put(set, &["metadata", "annotations", REVISION_HISTORY], history);
                }
                json::put(set, &["metadata", "annotations", REVISION], next.to_string());
            });
        }
        note_revision(cluster, key, known.max(next));
        view.new = cluster.get(SETS, &key.namespace, json::name(&new));
        return false;
    }
    let deployment = &view.deployment;
    let mut template = deployment.pointer("/spec/template").cloned().unwrap_or_default();
    let mut hash = template_hash(&bare(&template));
    // A name that another template has already gets another hash.
    let mut salt = 0;
    while cluster.get(SETS, &key.namespace, &format!("{}-{hash}", key.name)).is_some() {
        salt += 1;
        hash = template_hash(&json!([bare(&template), salt]));
    }
    json::put(&mut template, &["metadata", "labels", HASH], hash.as_str());
    let mut selector = deployment.pointer("/spec/selector").cloned().unwrap_or_default();
    json::put(&mut selector, &["matchLabels", HASH], hash.as_str());
    let (surge, _) = bounds(deployment);
    let total = view.sum("/spec/replicas");
    let desired = wanted(deployment);
    let replicas = replicas.unwrap_or_else(|| scale_up(desired, surge, total, 0));
    let mut annotations =
        deployment.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
    json::take(&mut annotations, &["kubectl.kubernetes.io/last-applied-configuration"]);
    json::put(&mut annotations, &[REVISION], next.to_string());
    json::put(&mut annotations, &[DESIRED], desired.to_string());
    json::put(&mut annotations, &[MOST], (desired + surge).to_string());
    let labels = template.pointer("/metadata/labels").cloned();
    let mut set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("{}-{hash}", key.name), "labels": labels,
            "annotations": annotations, "ownerReferences": controlled_by(deployment)},
        "spec": {"replicas": replicas, "selector": selector, "template": template}});
    if let Some(seconds) = deployment.pointer("/spec/minReadySeconds") {
        json::put(&mut set, &["spec", "minReadySeconds"], seconds.clone());
    }
    match cluster.make(MANAGER, SETS, &key.namespace, set) {
        Ok(set) => {
            if replicas > 0 {
                let message =
                    format!("Scaled up replica set {} from 0 to {replicas}", json::name(&set));
                cluster.tell(TELLER, deployment, "Normal", "ScalingReplicaSet", &message);
            }
            note_revision(cluster, key, next);
            view.new = Some(set);
            true
        }
        Err(error) => {
            let message = format!("Failed to create new replica set: {}", error.message);
            cluster.tell(TELLER, deployment, "Warning", "ReplicaSetCreateError", &message);
            false
        }
    }
}

fn note_revision(cluster: &Cluster, key: &Key, revision: i64) {
    cluster.edit(MANAGER, key, "", |deployment| {
        json::put(deployment, &["metadata", "annotations", REVISION], revision.to_string());
    });
}

/// One step of a rolling update; every change of a pod leads to the next.
fn roll(cluster: &Cluster, view: &View) {
    let Some(new) = &view.new else { return };
    let desired = wanted(&view.deployment);
    let (surge, unavailable) = bounds(&view.deployment);
    let total = view.sum("/spec/replicas");
    // Pods that a set was told to remove count until they are being removed.
    let present = view.all().map(|set| wanted(set).max(count(set, "replicas"))).sum();
    let up = scale_up(desired, surge, present, wanted(new));
    if up != wanted(new) {
        scale(cluster, view, new, up);
        return;
    }
    let old_total: i64 = view.old.iter().map(|set| wanted(set)).sum();
    if old_total == 0 {
        return;
    }
    let least = desired - unavailable;
    let new_missing = wanted(new) - count(new, "availableReplicas");
    let mut room = total - least - new_missing;
    if room <= 0 {
        return;
    }
    // First the old pods that are of no use anyway.
    for set in &view.old {
        let useless = (wanted(set) - count(set, "availableReplicas")).clamp(0, room);
        if useless > 0 && wanted(set) > 0 {
            scale(cluster, view, set, wanted(set) - useless);
            room -= useless;
        }
    }
    let available = view.sum("/status/availableReplicas");
    let mut spare = (available - least).min(room);
    for set in &view.old {
        let Some(set) = cluster.get(SETS, json::namespace(set), json::name(set)) else {
            continue;
        };
        let less = wanted(&set).min(spare);
        if less > 0 {
            scale(cluster, view, &set, wanted(&set) - less);
            spare -= less;
        }
    }
}

/// All old pods go before the first new one comes. Says whether the new
/// replica set was made.
fn recreate(cluster: &Cluster, key: &Key, view: &mut View) -> bool {
    let active: Vec<_> = view.old.iter().filter(|set| wanted(set) > 0).cloned().collect();
    if !active.is_empty() {
        for set in &active {
            scale(cluster, view, set, 0);
        }
        return false;
    }
    let lingering = view
        .old
        .iter()
        .flat_map(|set| controlled(cluster, "pods", set))
        .any(|pod| is_active(&pod) || json::is_deleting(&pod));
    if lingering {
        return false;
    }
    let desired = wanted(&view.deployment);
    let created = ensure_new(cluster, key, view, Some(desired));
    if let Some(new) = view.new.clone()
        && wanted(&new) != desired
    {
        scale(cluster, view, &new, desired);
    }
    created
}

/// Follows a change of the deployment's own count.
fn rescale(cluster: &Cluster, view: &View) {
    let desired = wanted(&view.deployment);
    let active: Vec<&Arc<Value>> = view.all().filter(|set| wanted(set) > 0).collect();
    let single = match active.as_slice() {
        [] => view.new.as_ref().or(view.old.last()),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(set) = single {
        scale(cluster, view, set, desired);
        return;
    }
    let (surge, _) = bounds(&view.deployment);
    let total = view.sum("/spec/replicas");
    let most = if desired > 0 { desired + surge } else { 0 };
    let mut sets = active;
    // The largest takes what rounding leaves.
    sets.sort_by_key(|set| std::cmp::Reverse(wanted(set)));
    let sizes: Vec<i64> = sets.iter().map(|set| wanted(set)).collect();
    for (set, size) in sets.iter().zip(proportion(&sizes, most - total)) {
        scale(cluster, view, set, size);
    }
}

/// Removes old replica sets beyond the history that is kept.
fn clean_up(cluster: &Cluster, view: &View) {
    if !status::is_complete(view) {
        return;
    }
    let keep = json::int(&view.deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
    let idle: Vec<_> = view
        .old
        .iter()
        .filter(|set| wanted(set) == 0 && count(set, "replicas") == 0)
        .filter(|set| !json::is_deleting(set))
        .collect();
    let excess = idle.len().saturating_sub(usize::try_from(keep).unwrap_or_default());
    for set in idle.into_iter().take(excess) {
        cluster.drop_object(&set_key(set), "Background");
    }
}
