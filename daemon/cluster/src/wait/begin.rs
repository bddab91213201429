//! The first look at what is waited for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{CallLog, ObjectRef};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use super::{Until, Wait};
use crate::client::Session;
use crate::discovery::Resource;
use crate::faults::{self, Doing};
use crate::fields::{annotation, group_of, items, name, text};
use crate::listing::{Detail, Scope};
use crate::ownership::Family;
use crate::prepare::ours;
use crate::readiness::is_there_enough;
use crate::request::Ask;
use crate::tracked::{Outlook, Tracked};
use crate::unchanged::LIST_FROM;

impl Session {
    /// Looks at each object once: what is ready already needs no watch.
    pub(super) async fn begin<'a>(
        &'a self,
        namespace: &str,
        objects: &[ObjectRef],
        log: &'a CallLog,
    ) -> Result<Wait<'a>, Fault> {
        let mut tracked = Vec::with_capacity(objects.len());
        let labels = labels(objects);
        for (object, label) in objects.iter().zip(labels) {
            let resource = self.known_resource(&object.api_version, &object.kind).await?;
            let mut object = object.clone();
            if resource.namespaced {
                object.namespace.get_or_insert_with(|| namespace.to_owned());
            } else {
                object.namespace = None;
            }
            tracked.push(Tracked::new(object, resource, label));
        }
        let listed = self.listed(&tracked).await?;
        let tracked: Vec<Tracked> = stream::iter(tracked)
            .map(|mut tracked| async {
                let seen = match listed.get(&tracked.object) {
                    Some(seen) => Some(seen.clone()),
                    // Without our label, or gone.
                    None => self.seen(&tracked).await?,
                };
                self.first_look(&mut tracked, seen.as_ref(), log).await;
                Ok::<_, Fault>(tracked)
            })
            .buffered(self.options.parallel.max(1))
            .try_collect()
            .await?;
        let watch_of = vec![None; tracked.len()];
        Ok(Wait { until: Until::Ready, session: self, tracked, watch_of, watches: Vec::new(), log })
    }

    /// Objects of which there are many of a kind, by one request for hundreds.
    async fn listed(&self, tracked: &[Tracked]) -> Result<HashMap<ObjectRef, Value>, Fault> {
        let mut wanted: BTreeMap<(String, Option<&str>), Vec<&Tracked>> = BTreeMap::new();
        for tracked in tracked.iter().filter(|tracked| tracked.object.namespace.is_some()) {
            let key = (tracked.resource.path(None), tracked.object.namespace.as_deref());
            wanted.entry(key).or_default().push(tracked);
        }
        let mut found = HashMap::new();
        for ((_, namespace), group) in wanted {
            let Some(first) = group.first().filter(|_| group.len() >= LIST_FROM) else { continue };
            let scope = Scope::all(&first.resource, namespace).with_labels(ours());
            let detail = if is_enough(first) { Detail::Metadata } else { Detail::Whole };
            let names: HashSet<&ObjectRef> = group.iter().map(|t| &t.object).collect();
            let mut next = String::new();
            loop {
                let page = self.page(&scope, detail, &next, self.options.retry_budget).await;
                // Each is asked for by name then, and whoever forbids says so.
                let Ok(page) = page else { break };
                found.extend(page.items.into_iter().filter_map(|item| {
                    let reference = ObjectRef::of(&item)?;
                    names.contains(&reference).then_some((reference, item))
                }));
                next = page.next;
                if next.is_empty() {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn seen(&self, tracked: &Tracked) -> Result<Option<Value>, Fault> {
        let path = tracked.resource.item(&tracked.object);
        let ask = if is_enough(tracked) { Ask::metadata(path) } else { Ask::get(path) };
        match self.ask(&ask).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => {
                let object = Some(&tracked.object);
                let doing = Doing { cluster: &self.cluster, verb: "read", object };
                Err(faults::fault(&failure, doing))
            }
        }
    }

    async fn first_look(&self, tracked: &mut Tracked, seen: Option<&Value>, log: &CallLog) {
        if let Some(claim) = seen
            && tracked.object.kind == "PersistentVolumeClaim"
        {
            tracked.binds_late = self.binds_late(claim).await;
        }
        let patience = &self.options.patience;
        if is_enough(tracked) && seen.is_some() {
            tracked.outlook = Outlook::Ready;
        } else {
            tracked.look(seen, &Family::default(), &[], patience, log);
            // Why it failed is to be seen from its pods, which are not watched yet.
            if seen.is_some() && !tracked.is_ready() {
                tracked.outlook = Outlook::Unknown;
            }
        }
    }

    /// Whether a claim's storage class binds it only with its first consumer.
    /// An account that may not see classes can't tell: no.
    async fn binds_late(&self, claim: &Value) -> bool {
        let classes = Resource {
            api_version: "storage.k8s.io/v1".to_owned(),
            kind: "StorageClass".to_owned(),
            plural: "storageclasses".to_owned(),
            namespaced: false,
        };
        let Ok(listed) = self.ask_within(&Ask::get(classes.path(None)), Duration::ZERO).await
        else {
            return false;
        };
        let wanted = text(claim, "/spec/storageClassName");
        let is_its = |class: &&Value| match wanted {
            Some(wanted) => name(class) == wanted,
            None => {
                annotation(class, "storageclass.kubernetes.io/is-default-class") == Some("true")
            }
        };
        items(&listed.body, "/items")
            .iter()
            .find(is_its)
            .and_then(|class| text(class, "/volumeBindingMode"))
            == Some("WaitForFirstConsumer")
    }
}

/// Whether it is ready when it is there.
fn is_enough(tracked: &Tracked) -> bool {
    is_there_enough(group_of(&tracked.object.api_version), &tracked.object.kind)
}

/// What people call the objects: the name, with the kind where it is not that
/// of a workload or the name alone does not tell.
fn labels(objects: &[ObjectRef]) -> Vec<String> {
    let mut same: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects.iter().filter(|o| is_plain(o)) {
        *same.entry(&object.name).or_default() += 1;
    }
    objects
        .iter()
        .map(|object| match same.get(object.name.as_str()) {
            Some(1) if is_plain(object) => object.name.clone(),
            _ => format!("{} {}", object.kind, object.name),
        })
        .collect()
}

fn is_plain(object: &ObjectRef) -> bool {
    group_of(&object.api_version) == "apps"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_objects_apart() {
        let object = |version: &str, kind: &str, name: &str| ObjectRef {
            api_version: version.into(),
            kind: kind.into(),
            namespace: None,
            name: name.into(),
        };
        let objects = [
            object("apps/v1", "Deployment", "web"),
            object("v1", "Service", "web"),
            object("apps/v1", "Deployment", "db"),
            object("apps/v1", "StatefulSet", "db"),
        ];
        assert_eq!(labels(&objects), ["web", "Service web", "Deployment db", "StatefulSet db"]);
    }
}
