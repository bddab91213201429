//! The controllers: one task that looks at every change and sees to what
//! follows from it.

mod budget;
mod claim;
mod collector;
mod conditions;
mod daemonset;
mod definition;
mod deployment;
mod deployment_status;
pub(crate) mod endpoints;
mod events;
mod gateway_api;
mod ingress;
mod job;
mod namespace;
mod quota;
mod replicaset;
mod revisions;
mod rollout;
mod statefulset;
pub(crate) mod writes;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use conditions::{condition, set_condition};
pub(crate) use definition::establish;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::gateway_api::{CLASSES, GATEWAYS, HTTP_ROUTES};
use crate::json;
use crate::pods::Pods;
use crate::storage::{Change, ChangeKind, Key};

/// Tasks between two chances for others to run.
const TASKS_AT_A_TIME: usize = 32;

/// The owner of most writes of the controllers.
pub(crate) const MANAGER: &str = "kube-controller-manager";

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Task {
    Definition(Key),
    Namespace(Key),
    Claim(Key),
    Quota(Key),
    Deployment(Key),
    ReplicaSet(Key),
    StatefulSet(Key),
    DaemonSet(Key),
    Job(Key),
    Pod(Key),
    Endpoints(Key),
    Ingress(Key),
    GatewayApi(Key),
    Budget(Key),
    Collect(Key),
}

/// When to look at something again without a change.
pub(crate) type Again = Option<Duration>;

/// Tasks in the order they came, each once: one that keeps coming back waits
/// behind all others, so that nobody starves.
#[derive(Default)]
struct Queue {
    order: VecDeque<Task>,
    known: HashSet<Task>,
}

impl Queue {
    fn push(&mut self, task: Task) {
        if self.known.insert(task.clone()) {
            self.order.push_back(task);
        }
    }

    fn pop(&mut self) -> Option<Task> {
        let task = self.order.pop_front()?;
        self.known.remove(&task);
        Some(task)
    }
}

struct Controllers {
    cluster: Arc<Cluster>,
    pods: Pods,
    dirty: Queue,
    due: BTreeSet<(Instant, Task)>,
    times: HashMap<Task, Instant>,
}

/// Runs the controllers until the cluster ends.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    let mut versions = cluster.versions();
    let mut rules = cluster.behaviours.changes();
    let mut all = Controllers {
        pods: Pods::default(),
        dirty: Queue::default(),
        due: BTreeSet::new(),
        times: HashMap::new(),
        cluster,
    };
    loop {
        versions.borrow_and_update();
        all.take_changes();
        let mut done = 0;
        while let Some(task) = all.dirty.pop() {
            all.perform(task);
            all.take_changes();
            done += 1;
            if done % TASKS_AT_A_TIME == 0 {
                tokio::task::yield_now().await;
            }
        }
        let next = all.due.first().map(|(at, _)| *at);
        let far = Instant::now() + Duration::from_secs(3600);
        tokio::select! {
            changed = versions.changed() => if changed.is_err() { return },
            changed = rules.changed() => {
                if changed.is_err() { return }
                all.every_pod();
            }
            () = tokio::time::sleep_until(next.unwrap_or(far)) => {}
        }
        all.take_due();
    }
}

impl Controllers {
    fn take_due(&mut self) {
        let now = Instant::now();
        while let Some((at, task)) = self.due.pop_first() {
            if at > now {
                self.due.insert((at, task));
                return;
            }
            self.times.remove(&task);
            self.dirty.push(task);
        }
    }

    fn later(&mut self, task: Task, after: Duration) {
        let at = Instant::now() + after;
        if let Some(known) = self.times.insert(task.clone(), at) {
            self.due.remove(&(known, task.clone()));
        }
        self.due.insert((at, task));
    }

    fn perform(&mut self, task: Task) {
        let cluster = &self.cluster;
        let again = match &task {
            Task::Definition(key) => definition::reconcile(cluster, key),
            Task::Namespace(key) => namespace::reconcile(cluster, key),
            Task::Claim(key) => claim::reconcile(cluster, key),
            Task::Quota(key) => quota::reconcile(cluster, key),
            Task::Deployment(key) => deployment::reconcile(cluster, key),
            Task::ReplicaSet(key) => replicaset::reconcile(cluster, key),
            Task::StatefulSet(key) => statefulset::reconcile(cluster, key),
            Task::DaemonSet(key) => daemonset::reconcile(cluster, key),
            Task::Job(key) => job::reconcile(cluster, key),
            Task::Pod(key) => self.pods.reconcile(cluster, key),
            Task::Endpoints(key) => endpoints::reconcile(cluster, key),
            Task::Ingress(key) => ingress::reconcile(cluster, key),
            Task::GatewayApi(key) => gateway_api::reconcile(cluster, key),
            Task::Budget(key) => budget::reconcile(cluster, key),
            Task::Collect(key) => collector::reconcile(cluster, key),
        };
        if let Some(after) = again {
            self.later(task, after);
        }
    }

    fn every_pod(&mut self) {
        for pod in self.cluster.list("pods", "") {
            let key = Key::new("pods", json::namespace(&pod), json::name(&pod));
            self.dirty.push(Task::Pod(key));
        }
    }

    fn take_changes(&mut self) {
        // Nothing to wake here: only the queue of changes is emptied.
        let pending = self.cluster.write(crate::storage::Store::take_pending);
        match pending {
            Some(changes) => {
                for change in changes {
                    self.follow(&change);
                }
            }
            None => self.everything(),
        }
    }

    /// Looks at all objects, when changes were lost.
    fn everything(&mut self) {
        for resource in self.cluster.read(crate::storage::Store::resources) {
            for object in self.cluster.list(&resource, "") {
                let key = Key::new(&resource, json::namespace(&object), json::name(&object));
                self.dirty.push(Task::Collect(key.clone()));
                self.own_task(key);
            }
        }
    }

    fn own_task(&mut self, key: Key) {
        let task = match &*key.resource {
            "customresourcedefinitions.apiextensions.k8s.io" => Task::Definition(key),
            "namespaces" => Task::Namespace(key),
            "persistentvolumeclaims" => Task::Claim(key),
            "resourcequotas" => Task::Quota(key),
            "deployments.apps" => Task::Deployment(key),
            "replicasets.apps" => Task::ReplicaSet(key),
            "statefulsets.apps" => Task::StatefulSet(key),
            "daemonsets.apps" => Task::DaemonSet(key),
            "jobs.batch" => Task::Job(key),
            "pods" => Task::Pod(key),
            "services" => Task::Endpoints(key),
            "ingresses.networking.k8s.io" => Task::Ingress(key),
            "poddisruptionbudgets.policy" => Task::Budget(key),
            CLASSES | GATEWAYS | HTTP_ROUTES => Task::GatewayApi(key),
            _ => return,
        };
        self.dirty.push(task);
    }

    /// Notes what has to be looked at because of a change.
    fn follow(&mut self, change: &Change) {
        let key = &change.key;
        let object = &change.object;
        self.own_task(key.clone());
        for owner in json::items(object, "/metadata/ownerReferences") {
            self.owner_task(&key.namespace, owner, change.kind);
        }
        let has_owners = !json::items(object, "/metadata/ownerReferences").is_empty();
        let is_going =
            json::is_deleting(object) && !json::items(object, "/metadata/finalizers").is_empty();
        if is_going || (has_owners && change.kind == ChangeKind::Added) {
            self.dirty.push(Task::Collect(key.clone()));
        }
        if change.kind == ChangeKind::Deleted {
            let uid = json::uid(object);
            for dependent in self.cluster.read(|store| store.owned_by(uid)) {
                self.dirty.push(Task::Collect(dependent));
            }
            if let Some(namespace) = self.cluster.get("namespaces", "", &key.namespace)
                && json::is_deleting(&namespace)
            {
                let key = Key::new("namespaces", "", &key.namespace);
                self.dirty.push(Task::Namespace(key));
            }
            let is_custom =
                self.cluster.resource(&key.resource).is_some_and(|resource| !resource.builtin);
            if is_custom {
                let crds = "customresourcedefinitions.apiextensions.k8s.io";
                let key = Key::new(crds, "", &key.resource);
                self.dirty.push(Task::Definition(key));
            }
        }
        if &*key.resource == "pods" {
            self.neighbours(&key.namespace, "services", Task::Endpoints);
            self.neighbours(&key.namespace, "poddisruptionbudgets.policy", Task::Budget);
        }
        if &*key.resource == "persistentvolumeclaims" {
            // Pods may wait for the volume.
            self.neighbours(&key.namespace, "pods", Task::Pod);
        }
        if matches!(&*key.resource, "configmaps" | "secrets") && change.kind == ChangeKind::Added {
            self.neighbours(&key.namespace, "pods", Task::Pod);
        }
        // Routes say whether there is what they name; gateways, how many there are.
        match &*key.resource {
            CLASSES => {
                self.everywhere(GATEWAYS, Task::GatewayApi);
                self.everywhere(HTTP_ROUTES, Task::GatewayApi);
            }
            GATEWAYS => self.everywhere(HTTP_ROUTES, Task::GatewayApi),
            HTTP_ROUTES => self.everywhere(GATEWAYS, Task::GatewayApi),
            "services" if change.kind != ChangeKind::Modified => {
                self.neighbours(&key.namespace, HTTP_ROUTES, Task::GatewayApi);
            }
            _ => {}
        }
        if !key.namespace.is_empty() && change.kind != ChangeKind::Modified
            || &*key.resource == "pods"
        {
            self.neighbours(&key.namespace, "resourcequotas", Task::Quota);
        }
    }

    fn owner_task(&mut self, namespace: &str, owner: &Value, kind: ChangeKind) {
        let name = json::text(owner, "/name");
        let storage = match json::text(owner, "/kind") {
            "Deployment" => "deployments.apps",
            "ReplicaSet" => "replicasets.apps",
            "StatefulSet" => "statefulsets.apps",
            "DaemonSet" => "daemonsets.apps",
            "Job" => "jobs.batch",
            _ => "",
        };
        if !storage.is_empty() {
            let key = Key::new(storage, namespace, name);
            self.own_task(key.clone());
            if kind == ChangeKind::Deleted {
                // A deployment that recreates waits for the last old pod.
                let set = self.cluster.get(storage, namespace, name);
                let above = set.as_deref().unwrap_or(&Value::Null);
                for owner in json::items(above, "/metadata/ownerReferences") {
                    let name = json::text(owner, "/name");
                    self.own_task(Key::new("deployments.apps", namespace, name));
                }
                self.dirty.push(Task::Collect(key));
            }
        } else if kind == ChangeKind::Deleted
            && let Some(key) = collector::owner_key(&self.cluster, namespace, owner)
        {
            self.dirty.push(Task::Collect(key));
        }
    }

    fn neighbours(&mut self, namespace: &str, storage: &str, task: fn(Key) -> Task) {
        for object in self.cluster.list(storage, namespace) {
            let key = Key::new(storage, namespace, json::name(&object));
            self.dirty.push(task(key));
        }
    }

    fn everywhere(&mut self, storage: &str, task: fn(Key) -> Task) {
        for object in self.cluster.list(storage, "") {
            let key = Key::new(storage, json::namespace(&object), json::name(&object));
            self.dirty.push(task(key));
        }
    }
}
