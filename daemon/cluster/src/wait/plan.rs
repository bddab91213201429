//! Which watches a wait needs.

use std::collections::{BTreeSet, HashMap};

use super::{Role, Wait, Watched};
use crate::discovery::Resource;
use crate::fields::group_of;
use crate::listing::Scope;
use crate::readiness::is_there_enough;

impl Wait<'_> {
    /// One watch per object, or per kind where there are several in a
    /// namespace; and for workloads what explains their state.
    pub(super) fn plan_watches(&mut self) {
        let mut per_kind: HashMap<(&Resource, Option<&str>), usize> = HashMap::new();
        let open: Vec<usize> = (0..self.tracked.len())
            .filter(|index| {
                // A job that is done stays done.
                self.tracked.get(*index).is_some_and(|t| {
                    let is_enough =
                        is_there_enough(group_of(&t.object.api_version), &t.object.kind);
                    let is_done = t.is_ready() && t.object.kind == "Job";
                    !is_enough && !is_done
                })
            })
            .collect();
        for tracked in open.iter().filter_map(|index| self.tracked.get(*index)) {
            let key = (&tracked.resource, tracked.object.namespace.as_deref());
            *per_kind.entry(key).or_default() += 1;
        }
        let mut watches: Vec<Watched> = Vec::new();
        let mut explained: BTreeSet<(Role, String)> = BTreeSet::new();
        for index in &open {
            let Some(tracked) = self.tracked.get(*index) else { continue };
            let namespace = tracked.object.namespace.as_deref();
            let alone = per_kind.get(&(&tracked.resource, namespace)).is_none_or(|n| *n == 1);
            // Collections without a namespace are large and others' business.
            let scope = if alone || namespace.is_none() {
                Scope::one(&tracked.resource, namespace, &tracked.object.name)
            } else {
                Scope::all(&tracked.resource, namespace)
            };
            let number = match watches.iter().position(|watched| watched.scope == scope) {
                Some(number) => number,
                None => {
                    watches.push(Watched::new(Role::Objects, scope));
                    watches.len() - 1
                }
            };
            if let Some(slot) = self.watch_of.get_mut(*index) {
                *slot = Some(number);
            }
            if tracked.runs_pods() {
                let namespace = namespace.unwrap_or_default().to_owned();
                if matches!(tracked.object.kind.as_str(), "Deployment" | "Rollout") {
                    explained.insert((Role::ReplicaSets, namespace.clone()));
                }
                if tracked.object.kind != "Pod" {
                    explained.insert((Role::Pods, namespace.clone()));
                    explained.insert((Role::Refusals, namespace));
                }
            }
        }
        for (role, namespace) in explained {
            let namespace = Some(namespace.as_str());
            let scope = match role {
                Role::ReplicaSets => {
                    Scope::all(&Resource::apps("ReplicaSet", "replicasets"), namespace)
                }
                Role::Pods => Scope::all(&Resource::core("Pod", "pods"), namespace),
                Role::Refusals => Scope::all(&Resource::core("Event", "events"), namespace)
                    .with_fields("reason=FailedCreate".to_owned()),
                Role::Objects => continue,
            };
            watches.push(Watched::new(role, scope));
        }
        self.watches = watches;
    }
}
