//! Removing what we have applied, dependents first.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{CallLog, LogLevel, ObjectRef};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::FIELD_MANAGER;
use crate::client::Session;
use crate::discovery::Resource;
use crate::faults::{self, Doing};
use crate::fields::{annotation, items, kind, text, uid};
use crate::listing::Scope;
use crate::order::{ranked, runs_pods};
use crate::request::Ask;
use crate::settle::finalizers;

const ANNOTATION: &str = "deployd.dev/prune";

/// What is to be done with an object.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Remove,
    /// And why.
    Keep(&'static str),
}

/// An object that was deleted.
struct Removed {
    object: ObjectRef,
    resource: Resource,
    /// Its uid, while it is still there.
    lingering: Option<String>,
}

impl Session {
    /// See [`Cluster::prune`](deployd_core::ports::Cluster::prune).
    pub(crate) async fn prune(
        &self,
        namespace: &str,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault> {
        let mut removed = Vec::new();
        for stage in ranked(objects.to_vec(), |object| object).into_iter().rev() {
            // Those given last go first, within a rank too.
            let outcomes: Vec<Option<Removed>> = stream::iter(stage.into_iter().rev())
                .map(|object| self.prune_one(object, namespace, log))
                .buffered(self.options.parallel.max(1))
                .try_collect()
                .await?;
            let stage: Vec<Removed> = outcomes.into_iter().flatten().collect();
            self.wait_gone(&stage).await?;
            for Removed { object, .. } in stage {
                log.line(LogLevel::Info, format!("{object} removed"));
                removed.push(object);
            }
        }
        Ok(removed)
    }

    async fn prune_one(
        &self,
        mut object: ObjectRef,
        namespace: &str,
        log: &CallLog,
    ) -> Result<Option<Removed>, Fault> {
        let Some(resource) = self.resource(&object.api_version, &object.kind).await? else {
            // With its definition, the objects of a kind go as well.
            log.line(LogLevel::Info, format!("{object} is gone: its kind is not served"));
            return Ok(None);
        };
        if resource.namespaced {
            object.namespace.get_or_insert_with(|| namespace.to_owned());
        } else {
            object.namespace = None;
        }
        let path = resource.item(&object);
        let found = match self.ask(&Ask::metadata(&path)).await {
            Ok(answer) => answer.body,
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => return Err(self.prune_fault(&failure, &object)),
        };
        if let Choice::Keep(why) = choose(&object, &found) {
            log.line(LogLevel::Info, format!("{object} is kept: {why}"));
            return Ok(None);
        }
        let uid = uid(&found).to_owned();
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation(&object),
            // Not what somebody has made under the same name meanwhile.
            "preconditions": { "uid": uid },
        });
        let lingers = match self.ask(&Ask::delete(&path, &options)).await {
            // A status says that it is gone; the object, that it is on its way.
            Ok(answer) => kind(&answer.body) != "Status",
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) if failure.status().is_some_and(|s| s.is_precondition()) => {
                log.line(LogLevel::Info, format!("{object} is kept: another took its place"));
                return Ok(None);
            }
            Err(failure) => return Err(self.prune_fault(&failure, &object)),
        };
        Ok(Some(Removed { object, resource, lingering: lingers.then_some(uid) }))
    }

    /// Waits until those that linger are gone: one watch for all of a kind.
    async fn wait_gone(&self, removed: &[Removed]) -> Result<(), Fault> {
        let mut kinds: Vec<(&Resource, Option<&str>, Vec<&Removed>)> = Vec::new();
        for each in removed.iter().filter(|each| each.lingering.is_some()) {
            let (resource, namespace) = (&each.resource, each.object.namespace.as_deref());
            let same = |(r, n, _): &&mut (_, _, _)| *r == resource && *n == namespace;
            match kinds.iter_mut().find(same) {
                Some((_, _, group)) => group.push(each),
                None => kinds.push((resource, namespace, vec![each])),
            }
        }
        let limit = self.options.prune_timeout;
        let waits = kinds.into_iter().map(|(resource, namespace, group)| async move {
            let scope = match group.as_slice() {
                [one] => Scope::one(resource, namespace, &one.object.name),
                _ => Scope::all(resource, namespace),
            };
            let uids = group.iter().filter_map(|each| each.lingering.clone()).collect();
            let left = self.until_gone(scope, uids, limit).await?;
            let held = left.first().and_then(|object| {
                let is_it = |each: &&&Removed| each.lingering.as_deref() == Some(uid(object));
                Some((group.iter().find(is_it)?, object))
            });
            match held {
                Some((each, seen)) => Err(self.held(&each.object, seen, limit)),
                None => Ok(()),
            }
        });
        try_join_all(waits).await.map(|_| ())
    }

    fn held(&self, object: &ObjectRef, seen: &Value, limit: Duration) -> Fault {
        let held = finalizers(seen);
        let why = if held.is_empty() {
            "It may have pods that take long to end.".to_owned()
        } else {
            format!("It is held by the finalizers {}.", held.join(", "))
        };
        Fault::transient(
            "prune-timeout",
            format!(
                "{object} in cluster {} was deleted but is still there after {} s. {why}",
                self.cluster,
                limit.as_secs()
            ),
        )
        .with_detail(json!({ "cluster": &*self.cluster, "object": object, "finalizers": held }))
    }

    fn prune_fault(&self, failure: &crate::failure::Failure, object: &ObjectRef) -> Fault {
        let doing = Doing { cluster: &self.cluster, verb: "remove", object: Some(object) };
        faults::fault(failure, doing)
    }
}

/// Workloads take their pods with them before they are gone, so that what
/// they need is removed after them. What others own may go in its own time.
fn propagation(object: &ObjectRef) -> &'static str {
    if runs_pods(&object.api_version, &object.kind) { "Foreground" } else { "Background" }
}

fn choose(object: &ObjectRef, found: &Value) -> Choice {
    let is_ours = items(found, "/metadata/managedFields")
        .iter()
        .any(|entry| text(entry, "/manager") == Some(FIELD_MANAGER));
    let wish = annotation(found, ANNOTATION);
    if wish == Some("keep") {
        return Choice::Keep("its annotation deployd.dev/prune says so");
    }
    if !is_ours {
        return Choice::Keep("deployd has not applied it, or owns none of its fields any more");
    }
    let is_claim = object.kind == "PersistentVolumeClaim" && object.api_version == "v1";
    if is_claim && wish != Some("delete") {
        return Choice::Keep(
            "it is a claim with data; annotate it with deployd.dev/prune: delete to let it go",
        );
    }
    Choice::Remove
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some("shop".into()),
            name: "a".into(),
        }
    }

    fn found(manager: &str, wish: &str) -> Value {
        json!({"metadata": {
            "managedFields": [{"manager": manager, "operation": "Apply"}],
            "annotations": {ANNOTATION: wish},
        }})
    }

    #[test]
    fn choices() {
        let table = [
            ("ConfigMap", "deployd", "", true),
            ("ConfigMap", "deployd", "keep", false),
            ("ConfigMap", "deployd", "delete", true),
            ("ConfigMap", "kubectl", "", false),
            ("ConfigMap", "kubectl", "delete", false),
            ("PersistentVolumeClaim", "deployd", "", false),
            ("PersistentVolumeClaim", "deployd", "delete", true),
        ];
        for (kind, manager, wish, removed) in table {
            let choice = choose(&object("v1", kind), &found(manager, wish));
            assert_eq!(choice == Choice::Remove, removed, "{kind} {manager} {wish}");
        }
    }

    #[test]
    fn workloads_take_their_pods_along() {
        assert_eq!(propagation(&object("apps/v1", "Deployment")), "Foreground");
        assert_eq!(propagation(&object("batch/v1", "Job")), "Foreground");
        assert_eq!(propagation(&object("v1", "ConfigMap")), "Background");
    }
}
