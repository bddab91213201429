//! Waiting until objects are ready: watched, not polled.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{CallLog, LogLevel, ObjectRef, Readiness};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Session;
use crate::diagnose::Patient;
use crate::discovery::Resource;
use crate::faults::{self, Doing};
use crate::fields::{annotation, count, group_of, items, name, text, text_or_empty};
use crate::ownership::{Family, family};
use crate::readiness::is_there_enough;
use crate::request::Ask;
use crate::tracked::{Outlook, Tracked};
use crate::watch::{self, Change, Outlet, Scope};

/// The longest wait; longer ones are not meant.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Failed objects that are diagnosed; the rest is only named.
const DIAGNOSED: usize = 10;

/// What a watch is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
enum Role {
    /// Objects that are waited for.
    Objects,
    /// What explains the state of those: it may be missing.
    ReplicaSets,
    Pods,
    Refusals,
}

/// One watch and what it has seen, by name.
struct Watched {
    role: Role,
    scope: Scope,
    synced: bool,
    seen: HashMap<String, Value>,
    interrupted: Option<Fault>,
    /// Versions of events that were there at the beginning.
    stale: HashSet<String>,
}

/// A wait for objects.
struct Wait<'a> {
    session: &'a Session,
    tracked: Vec<Tracked>,
    /// For each tracked object the number of its watch; none for what was
    /// ready at first sight.
    watch_of: Vec<Option<usize>>,
    watches: Vec<Watched>,
    log: &'a CallLog,
}

impl Session {
    /// See [`Cluster::await_ready`](deployd_core::ports::Cluster::await_ready).
    pub(crate) async fn await_ready(
        &self,
        namespace: &str,
        objects: &[ObjectRef],
        deadline_ms: u64,
        log: &CallLog,
    ) -> Result<Readiness, Fault> {
        let allowed = Duration::from_millis(deadline_ms).min(LONGEST);
        let deadline = Instant::now() + allowed;
        let begun = tokio::time::timeout_at(deadline, self.begin(namespace, objects, log)).await;
        let Ok(begun) = begun else {
            return Err(Fault::transient(
                "cluster-timeout",
                format!(
                    "Cluster {} did not tell the state of the objects within {} s.",
                    self.cluster,
                    allowed.as_secs()
                ),
            ));
        };
        let mut wait = begun?;
        if !wait.is_decided() {
            wait.go_on(deadline).await?;
        }
        wait.verdict(allowed).await
    }

    /// Looks at each object once: what is ready already needs no watch.
    async fn begin<'a>(
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

impl Wait<'_> {
    fn is_decided(&self) -> bool {
        self.is_lost() || self.tracked.iter().all(Tracked::is_ready)
    }

    fn is_lost(&self) -> bool {
        self.tracked.iter().any(|tracked| matches!(tracked.outlook, Outlook::Lost(..)))
    }

    /// Watches until it is decided or the deadline passes.
    async fn go_on(&mut self, deadline: Instant) -> Result<(), Fault> {
        self.plan_watches();
        let (sender, mut changes) = mpsc::channel(watch::PENDING);
        let mut tasks = JoinSet::new();
        for (number, watched) in self.watches.iter().enumerate() {
            let outlet = Outlet { changes: sender.clone(), number };
            tasks.spawn(watch::run(self.session.clone(), watched.scope.clone(), outlet));
        }
        drop(sender);
        let mut wake = deadline;
        loop {
            tokio::select! {
                change = changes.recv() => {
                    let Some((number, change)) = change else { break };
                    self.take(number, change)?;
                    // Many come at once: they are looked at together.
                    while let Ok((number, change)) = changes.try_recv() {
                        self.take(number, change)?;
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
            if self.is_synced() {
                wake = self.look_at_all().map_or(deadline, |again| again.min(deadline));
                if self.is_decided() {
                    return Ok(());
                }
            } else {
                wake = deadline;
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.refuse_guessing()
    }

    /// At the deadline: of objects that could not be seen nothing can be said.
    fn refuse_guessing(&mut self) -> Result<(), Fault> {
        let objects = self.watches.iter_mut().filter(|watched| watched.role == Role::Objects);
        for watched in objects {
            if let Some(fault) = watched.interrupted.take() {
                return Err(fault);
            }
            if !watched.synced {
                return Err(Fault::transient(
                    "cluster-timeout",
                    format!(
                        "Cluster {} did not list {} in time.",
                        self.session.cluster, watched.scope.resource.plural
                    ),
                ));
            }
        }
        Ok(())
    }

    /// One watch per object, or per kind where there are several in a
    /// namespace; and for workloads what explains their state.
    fn plan_watches(&mut self) {
        let mut per_kind: HashMap<(&Resource, Option<&str>), usize> = HashMap::new();
        let open: Vec<usize> = (0..self.tracked.len())
            .filter(|index| {
                // A job that is done stays done.
                self.tracked.get(*index).is_some_and(|t| {
                    let is_enough =
                        is_there_enough(group_of(&t.object.api_version), &t.object.kind);
                    !is_enough && !(t.is_ready() && t.object.kind == "Job")
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
                if tracked.object.kind == "Deployment" {
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

    fn take(&mut self, number: usize, change: Change) -> Result<(), Fault> {
        let Some(watched) = self.watches.get_mut(number) else { return Ok(()) };
        let by_name = |object: Value| (name(&object).to_owned(), object);
        match change {
            Change::Listed(listed) => {
                if watched.role == Role::Refusals && !watched.synced {
                    watched.stale = listed.iter().map(version).collect();
                }
                watched.synced = true;
                watched.seen = listed.into_iter().map(by_name).collect();
            }
            Change::Set(object) => {
                let (name, object) = by_name(object);
                watched.seen.insert(name, object);
            }
            Change::Gone(object) => {
                watched.seen.remove(name(&object));
            }
            Change::Interrupted(fault) => {
                self.log.line(LogLevel::Warn, fault.message.clone());
                watched.interrupted = Some(fault);
            }
            Change::Resumed => watched.interrupted = None,
            Change::Ended(fault) if watched.role == Role::Objects => return Err(fault),
            Change::Ended(fault) => {
                // Without it the wait goes on; a failure is told with less.
                let what = &watched.scope.resource.plural;
                let line = format!("The state of {what} can't be followed: {}", fault.message);
                self.log.line(LogLevel::Warn, line);
                watched.synced = true;
            }
        }
        Ok(())
    }

    fn is_synced(&self) -> bool {
        self.watches.iter().all(|watched| watched.synced)
    }

    /// Looks at each object. Returns when to look again at the latest.
    fn look_at_all(&mut self) -> Option<Instant> {
        let mut tracked = std::mem::take(&mut self.tracked);
        let refusals: Vec<&Value> = self.all(Role::Refusals, None).collect();
        let fresh: Vec<&Value> = refusals.iter().copied().filter(|e| !self.is_stale(e)).collect();
        let patience = &self.session.options.patience;
        let mut again: Option<Instant> = None;
        for (each, number) in tracked.iter_mut().zip(&self.watch_of) {
            let Some(watched) = number.and_then(|number| self.watches.get(number)) else {
                continue;
            };
            let seen = watched.seen.get(&each.object.name);
            let family = seen.map(|object| self.family(each, object)).unwrap_or_default();
            // What was there before the wait may be about a version before.
            let is_first = seen.is_some_and(|o| count(o, "/metadata/generation") <= 1);
            let refusals = if is_first { &refusals } else { &fresh };
            let next = each.look(seen, &family, refusals, patience, self.log);
            again = match (again, next) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        self.tracked = tracked;
        again
    }

    /// Whether an event was there at the beginning, and has not come again.
    fn is_stale(&self, event: &Value) -> bool {
        let version = version(event);
        self.watches.iter().any(|watched| watched.stale.contains(&version))
    }

    /// All that the watches of a role have seen, in a namespace.
    fn all<'a>(
        &'a self,
        role: Role,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Value> {
        self.watches
            .iter()
            .filter(move |watched| {
                watched.role == role
                    && (namespace.is_none() || watched.scope.namespace.as_deref() == namespace)
            })
            .flat_map(|watched| watched.seen.values())
    }

    fn family<'a>(&'a self, tracked: &Tracked, object: &'a Value) -> Family<'a> {
        if !tracked.runs_pods() {
            return Family::default();
        }
        let namespace = text(object, "/metadata/namespace");
        family(object, self.all(Role::ReplicaSets, namespace), self.all(Role::Pods, namespace))
    }

    /// What came of it, with all that a person needs about what failed.
    async fn verdict(&self, allowed: Duration) -> Result<Readiness, Fault> {
        if self.tracked.iter().all(Tracked::is_ready) {
            return Ok(Readiness::Ready);
        }
        // What failed for good; at the deadline, all that is not ready.
        let is_lost = self.is_lost();
        let failed = self.tracked.iter().zip(&self.watch_of).filter(|(tracked, _)| {
            if is_lost { matches!(tracked.outlook, Outlook::Lost(..)) } else { !tracked.is_ready() }
        });
        let patients: Vec<Patient> = failed
            .map(|(tracked, number)| {
                let (reason, message) = tracked.too_late(allowed);
                self.log.line(LogLevel::Error, format!("{}: {reason}: {message}", tracked.label));
                let watched = number.and_then(|number| self.watches.get(number));
                let seen = watched.and_then(|watched| watched.seen.get(&tracked.object.name));
                let family = seen.map(|object| self.family(tracked, object)).unwrap_or_default();
                Patient {
                    object: tracked.object.clone(),
                    reason,
                    message,
                    replica_set: family.replica_set.cloned(),
                    pods: family.pods.into_iter().cloned().collect(),
                    seen: seen.cloned(),
                }
            })
            .collect();
        let faults = stream::iter(patients.into_iter().enumerate())
            .map(|(index, patient)| async move {
                if index < DIAGNOSED {
                    self.session.diagnose(patient).await
                } else {
                    patient.undiagnosed()
                }
            })
            .buffered(4)
            .collect()
            .await;
        Ok(Readiness::Failed(faults))
    }
}

fn version(object: &Value) -> String {
    format!("{} {}", name(object), text_or_empty(object, "/metadata/resourceVersion"))
}

impl Watched {
    fn new(role: Role, scope: Scope) -> Self {
        Self {
            role,
            scope,
            synced: false,
            seen: HashMap::new(),
            interrupted: None,
            stale: HashSet::new(),
        }
    }
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
