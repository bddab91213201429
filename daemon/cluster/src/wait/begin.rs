//! The first look at what is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{CallLog, ObjectRef};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use super::Wait;
use crate::client::Session;
use crate::discovery::Resource;
use crate::faults::{self, Doing};
use crate::fields::{annotation, group_of, items, name, text};
use crate::ownership::Family;
use crate::readiness::is_there_enough;
use crate::request::Ask;
use crate::tracked::{Outlook, Tracked};

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
        let tracked: Vec<Tracked> = stream::iter(tracked)
            .map(|mut tracked| async move {
                self.first_look(&mut tracked, log).await?;
                Ok::<_, Fault>(tracked)
            })
            .buffered(self.options.parallel.max(1))
            .try_collect()
            .await?;
        let watch_of = vec![None; tracked.len()];
        Ok(Wait { session: self, tracked, watch_of, watches: Vec::new(), log })
    }

    async fn first_look(&self, tracked: &mut Tracked, log: &CallLog) -> Result<(), Fault> {
        let path = tracked.resource.item(&tracked.object);
        let is_enough =
            is_there_enough(group_of(&tracked.object.api_version), &tracked.object.kind);
        let ask = if is_enough { Ask::metadata(path) } else { Ask::get(path) };
        let seen = match self.ask(&ask).await {
            Ok(answer) => Some(answer.body),
            Err(failure) if failure.is_not_found() => None,
            Err(failure) => {
                let doing =
                    Doing { cluster: &self.cluster, verb: "read", object: Some(&tracked.object) };
                return Err(faults::fault(&failure, doing));
            }
        };
        if let Some(claim) = &seen
            && tracked.object.kind == "PersistentVolumeClaim"
        {
            tracked.binds_late = self.binds_late(claim).await;
        }
        let patience = &self.options.patience;
        if is_enough && seen.is_some() {
            tracked.outlook = Outlook::Ready;
        } else {
            tracked.look(seen.as_ref(), &Family::default(), &[], patience, log);
            // Why it failed is to be seen from its pods, which are not watched yet.
            if seen.is_some() && !tracked.is_ready() {
                tracked.outlook = Outlook::Unknown;
            }
        }
        Ok(())
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
