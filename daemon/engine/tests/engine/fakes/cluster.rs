//! A cluster that keeps what is applied to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::drift::{Difference, Drift, ObjectCheck};
use deployd_core::ports::{
    Applier, ApplyRequest, CallLog, Cluster, ClusterAccess, LogLines, ObjectRef, ObservedWorkload,
    Readiness, SensitiveObjects, Snapshot, Target, UNAUTHORIZED, WorkloadFault,
};
use deployd_core::{Fault, Timestamp};
use serde_json::Value;

use super::Instance;
use super::pods::Pods;
use crate::history::Seen;

/// How soon who watches sees what has changed.
const WATCH: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct ClusterWorld {
    /// What is there, secrets and all.
    pub objects: BTreeMap<ObjectRef, Value>,
    /// Names of what was applied, awaited and pruned, in order.
    pub calls: Vec<(&'static str, Vec<String>)>,
    /// What Jobs and Deployments that were applied do, in order.
    pub applied: Vec<String>,
    /// Objects that hold one of these texts never become ready.
    pub broken: BTreeSet<String>,
    /// Objects that hold one of these texts were ready, and fail now.
    pub crashed: BTreeSet<String>,
    /// Objects that hold one of these texts become neither ready nor fail.
    pub stuck: BTreeSet<String>,
    /// Faults of applying an object of this name, first to last.
    pub apply_faults: BTreeMap<String, Vec<Fault>>,
    /// Faults of pruning, first to last.
    pub prune_faults: Vec<Fault>,
    pub ready_after_ms: u64,
    /// How many pods are not ready of objects of these names, to whoever observes them.
    pub unready: BTreeMap<String, u64>,
    pub observe_takes: Duration,
    /// Objects that somebody makes this of, each time they are applied.
    pub undone: BTreeMap<String, Value>,
    /// Objects that can't be compared.
    pub unseen: BTreeSet<String>,
    pub compare_takes_ms: u64,
    /// Nobody answers.
    pub away: bool,
    /// The access that was used last.
    pub kubeconfig: Option<String>,
    /// When it lets an access in no longer.
    pub ends: BTreeMap<String, Timestamp>,
    /// How often it let nobody in.
    pub refused: u32,
    /// Pods of Deployments, where somebody looks at them.
    pub pods: Option<Pods>,
}

impl ClusterWorld {
    pub fn names(&self) -> BTreeSet<String> {
        self.objects.keys().map(|object| format!("{} {}", object.kind, object.name)).collect()
    }

    pub fn object(&self, kind: &str, name: &str) -> Option<&Value> {
        let found = self.objects.iter().find(|(o, _)| o.kind == kind && o.name == name);
        found.map(|(_, object)| object)
    }

    fn answers(&self) -> Result<(), Fault> {
        match self.away {
            true => Err(Fault::transient("unreachable", "nobody answers")),
            false => Ok(()),
        }
    }

    fn lets_in(&mut self, target: &Target, now: Timestamp) -> Result<(), Fault> {
        let ClusterAccess::Kubeconfig(text) = &target.access else { return Ok(()) };
        let text = String::from_utf8_lossy(text.expose()).into_owned();
        if self.ends.get(&text).is_some_and(|end| *end <= now) {
            self.refused += 1;
            return Err(Fault::denied(UNAUTHORIZED, "Cluster main: Unauthorized."));
        }
        self.kubeconfig = Some(text);
        Ok(())
    }

    pub fn holds(&self, object: &ObjectRef, texts: &BTreeSet<String>) -> bool {
        let text = self.objects.get(object).map(Value::to_string).unwrap_or_default();
        texts.iter().any(|wanted| text.contains(wanted))
    }
}

pub fn fault(object: &ObjectRef, reason: &str) -> WorkloadFault {
    WorkloadFault {
        object: object.clone(),
        reason: reason.to_owned(),
        message: format!("{} does not become ready", object.name),
        containers: Vec::new(),
        events: Vec::new(),
        logs: Vec::new(),
    }
}

/// What a Job or a Deployment does, as the fake templater writes them.
fn work_of(object: &Value) -> Option<String> {
    let kind = object["kind"].as_str()?;
    Some(match kind {
        "Job" => object.pointer("/spec/template/spec/containers/0/args/0")?.as_str()?.to_owned(),
        "Deployment" => format!(
            "{} {}",
            object["metadata"]["name"].as_str()?,
            object.pointer("/spec/images/0")?.as_str()?
        ),
        _ => return None,
    })
}

fn names<'a>(objects: impl IntoIterator<Item = &'a ObjectRef>) -> Vec<String> {
    objects.into_iter().map(|object| object.name.clone()).collect()
}

#[async_trait]
impl Cluster for Instance {
    async fn apply(&self, request: &ApplyRequest, _log: &CallLog) -> Result<Vec<ObjectRef>, Fault> {
        self.operation("apply", async {
            self.world.saw(Seen::cluster("apply", &request.target.namespace));
            let mut cluster = self.world.cluster.lock().unwrap();
            cluster.answers()?;
            cluster.lets_in(&request.target, self.world.now())?;
            let mut references = Vec::new();
            for object in cluster.in_order(request.objects.expose()) {
                let mut reference = ObjectRef::of(object).unwrap();
                reference.namespace.get_or_insert_with(|| request.target.namespace.clone());
                let faults = cluster.apply_faults.entry(reference.name.clone()).or_default();
                if !faults.is_empty() {
                    // What came before it is applied all the same.
                    return Err(faults.remove(0));
                }
                let kept = cluster.undone.get(&reference.name).unwrap_or(object).clone();
                cluster.applied.extend(work_of(object));
                cluster.objects.insert(reference.clone(), kept);
                cluster.changed("apply", &reference);
                references.push(reference);
            }
            cluster.calls.push(("apply", names(&references)));
            Ok(references)
        })
        .await
    }

    async fn await_ready(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        deadline_ms: u64,
        _log: &CallLog,
    ) -> Result<Readiness, Fault> {
        self.operation("await", async { Ok::<(), Fault>(()) }).await?;
        let (wait, verdict) = {
            let mut cluster = self.world.cluster.lock().unwrap();
            cluster.answers()?;
            cluster.lets_in(target, self.world.now())?;
            cluster.calls.push(("await", names(objects)));
            let of = |wanted: &dyn Fn(&ObjectRef) -> Option<&'static str>| -> Vec<WorkloadFault> {
                objects.iter().filter_map(|o| Some(fault(o, wanted(o)?))).collect()
            };
            let failed = of(&|object| {
                if !cluster.objects.contains_key(object) {
                    return Some("gone");
                }
                cluster.holds(object, &cluster.broken).then_some("crash-loop")
            });
            let stuck =
                of(&|object| cluster.holds(object, &cluster.stuck).then_some("progress-deadline"));
            let late: Vec<WorkloadFault> = match cluster.ready_after_ms > deadline_ms {
                true => objects.iter().map(|o| fault(o, "progress-deadline")).collect(),
                false => Vec::new(),
            };
            let stuck = if stuck.is_empty() { late } else { stuck };
            let by_names = match (failed.is_empty(), stuck.is_empty()) {
                (true, true) => (Duration::from_millis(cluster.ready_after_ms), Readiness::Ready),
                (true, false) => (Duration::from_millis(deadline_ms), Readiness::Failed(stuck)),
                _ => (Duration::from_millis(cluster.ready_after_ms), Readiness::Failed(failed)),
            };
            cluster.readiness(objects, Duration::from_millis(deadline_ms)).unwrap_or(by_names)
        };
        tokio::time::sleep(wait).await;
        self.operation("answer of a wait", async {
            self.world.cluster.lock().unwrap().lets_in(target, self.world.now())?;
            Ok(verdict)
        })
        .await
    }

    async fn await_failure(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        _log: &CallLog,
    ) -> Result<Vec<WorkloadFault>, Fault> {
        loop {
            {
                let mut cluster = self.world.cluster.lock().unwrap();
                cluster.answers()?;
                cluster.lets_in(target, self.world.now())?;
                let why = |object: &&ObjectRef| match cluster.objects.contains_key(*object) {
                    false => Some("gone"),
                    true => cluster.holds(object, &cluster.crashed).then_some("crash-loop"),
                };
                let failed: Vec<WorkloadFault> =
                    objects.iter().filter_map(|o| Some(fault(o, why(&o)?))).collect();
                if !failed.is_empty() {
                    return Ok(failed);
                }
            }
            tokio::time::sleep(WATCH).await;
            self.life.alive().await;
        }
    }

    async fn prune(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        _log: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault> {
        self.operation("prune", async {
            self.world.saw(Seen::cluster("prune", &target.namespace));
            let mut cluster = self.world.cluster.lock().unwrap();
            cluster.answers()?;
            cluster.lets_in(target, self.world.now())?;
            if !cluster.prune_faults.is_empty() {
                return Err(cluster.prune_faults.remove(0));
            }
            cluster.calls.push(("prune", names(objects)));
            let found = objects.iter().filter(|o| cluster.objects.contains_key(*o)).cloned();
            let found = cluster.in_order_of_going(found.collect());
            for object in &found {
                cluster.objects.remove(object);
                cluster.changed("prune", object);
            }
            Ok(found)
        })
        .await
    }

    async fn compare(
        &self,
        target: &Target,
        objects: &SensitiveObjects,
        _applier: Applier,
        _log: &CallLog,
    ) -> Result<Vec<ObjectCheck>, Fault> {
        self.look("compare", async { Ok::<(), Fault>(()) }).await?;
        let wait = self.world.cluster.lock().unwrap().compare_takes_ms;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        self.life.alive().await;
        let mut cluster = self.world.cluster.lock().unwrap();
        cluster.answers()?;
        cluster.lets_in(target, self.world.now())?;
        let mut checks = Vec::new();
        for object in objects.expose() {
            let mut reference = ObjectRef::of(object).unwrap();
            reference.namespace.get_or_insert_with(|| target.namespace.clone());
            let drift = match cluster.objects.get(&reference) {
                _ if cluster.unseen.contains(&reference.name) => {
                    Err(Fault::denied("forbidden", "it can't be looked at"))
                }
                None => Ok(vec![Drift::Missing]),
                Some(live) if live == object => Ok(Vec::new()),
                Some(live) => Ok(vec![Drift::FieldDiffers {
                    path: ".".to_owned(),
                    values: Difference {
                        recorded: Some(object["spec"].clone()),
                        live: Some(live["spec"].clone()),
                        hidden: false,
                    },
                    by: vec!["somebody".to_owned()],
                }]),
            };
            checks.push(ObjectCheck { object: reference, drift });
        }
        let references: Vec<ObjectRef> = checks.iter().map(|c| c.object.clone()).collect();
        cluster.calls.push(("compare", names(&references)));
        Ok(checks)
    }

    async fn version(&self, _target: &Target) -> Result<String, Fault> {
        Ok("1.34".to_owned())
    }

    async fn logs(
        &self,
        _target: &Target,
        _object: &ObjectRef,
        _tail: usize,
    ) -> Result<Vec<LogLines>, Fault> {
        Ok(Vec::new())
    }

    async fn observe(
        &self,
        _target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<ObservedWorkload>>, Fault> {
        let takes = {
            let mut cluster = self.world.cluster.lock().unwrap();
            cluster.calls.push(("observe", names(objects)));
            cluster.observe_takes
        };
        tokio::time::sleep(takes).await;
        let cluster = self.world.cluster.lock().unwrap();
        cluster.answers()?;
        let seen = |object: &ObjectRef| {
            let manifest = cluster.objects.get(object)?;
            let replicas = manifest.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
            Some(ObservedWorkload {
                object: object.clone(),
                replicas,
                ready: replicas.saturating_sub(*cluster.unready.get(&object.name).unwrap_or(&0)),
                conditions: Vec::new(),
                pods: Vec::new(),
            })
        };
        Ok(objects.iter().map(seen).collect())
    }

    async fn read(
        &self,
        target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<Value>>, Fault> {
        self.look("read", async { Ok::<(), Fault>(()) }).await?;
        let mut cluster = self.world.cluster.lock().unwrap();
        cluster.answers()?;
        cluster.lets_in(target, self.world.now())?;
        let found = |object: &ObjectRef| {
            let mut object = object.clone();
            object.namespace.get_or_insert_with(|| target.namespace.clone());
            let mut found = cluster.objects.get(&object)?.clone();
            if object.kind == "Secret" {
                let fields = found.as_object_mut().unwrap();
                fields.retain(|field, _| field != "data" && field != "stringData");
            }
            Some(found)
        };
        Ok(objects.iter().map(found).collect())
    }

    async fn snapshot(&self, _target: &Target, objects: &[ObjectRef]) -> Result<Snapshot, Fault> {
        let cluster = self.world.cluster.lock().unwrap();
        cluster.answers()?;
        let there = objects.iter().filter(|object| cluster.objects.contains_key(object));
        let containers = there.map(|object| format!("{}-0/main: running", object.name)).collect();
        let events = vec!["Pod web-0: Pulled: the image is there".to_owned()];
        Ok(Snapshot { containers, events, logs: Vec::new() })
    }
}
