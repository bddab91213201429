//! Waiting until objects are ready, or until one fails: watched, not polled.

mod begin;
mod outage;
mod plan;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{CallLog, LogLevel, LogLines, ObjectRef, Readiness, WorkloadFault};
use futures::stream::{self, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Session;
use crate::diagnose::Patient;
use crate::fields::{count, name, text, text_or_empty};
use crate::listing::Scope;
use crate::ownership::{Family, family};
use crate::tracked::{Outlook, Tracked};
use crate::watch::{self, Change, Outlet};
use outage::Outage;

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

/// What a wait is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// All are ready, or one has failed for good.
    Ready,
    /// One has failed for good.
    Failed,
}

/// A wait for objects.
struct Wait<'a> {
    until: Until,
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

    /// See [`Cluster::await_failure`](deployd_core::ports::Cluster::await_failure).
    pub(crate) async fn await_failure(
        &self,
        namespace: &str,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<WorkloadFault>, Fault> {
        loop {
            let mut wait = self.begin(namespace, objects, log).await?;
            wait.until = Until::Failed;
            if !wait.is_decided() {
                wait.go_on(Instant::now() + LONGEST).await?;
            }
            // At the end of the longest wait it begins anew.
            if wait.is_lost()
                && let Readiness::Failed(faults) = wait.verdict(LONGEST).await?
            {
                return Ok(faults);
            }
        }
    }
}

impl Wait<'_> {
    fn is_decided(&self) -> bool {
        let is_ready = || self.tracked.iter().all(Tracked::is_ready);
        self.is_lost() || (self.until == Until::Ready && is_ready())
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
            let budget = self.session.options.outage_budget;
            let outlet = Outlet { changes: sender.clone(), number, budget };
            tasks.spawn(watch::run(self.session.clone(), watched.scope.clone(), outlet));
        }
        drop(sender);
        let mut outage = Outage::new(self.session.options.outage_budget);
        let (mut deadline, mut wake) = (deadline, deadline);
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
            if let Some(lasted) = outage.note(self.is_away()) {
                // Nothing could happen meanwhile, or be seen.
                deadline += outage.grant(lasted);
                self.tracked.iter_mut().for_each(|tracked| tracked.postpone(lasted));
            }
            let limit = outage.limit(deadline);
            wake = limit;
            if self.is_synced() && !outage.is_on() {
                wake = self.look_at_all().map_or(limit, |again| again.min(limit));
                if self.is_decided() {
                    return Ok(());
                }
            }
            if Instant::now() >= limit {
                break;
            }
        }
        self.refuse_guessing()
    }

    /// Whether the objects can't be seen for now.
    fn is_away(&self) -> bool {
        let of_objects = |watched: &&Watched| watched.role == Role::Objects;
        self.watches.iter().filter(of_objects).any(|watched| watched.interrupted.is_some())
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
        // What only explains is not waited for while it can't be had.
        let may_lack = |w: &Watched| w.role != Role::Objects && w.interrupted.is_some();
        self.watches.iter().all(|watched| watched.synced || may_lack(watched))
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
                let line = format!("{}: {message} ({reason})", tracked.label);
                self.log.line(LogLevel::Error, line);
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
        let faults: Vec<WorkloadFault> = stream::iter(patients.into_iter().enumerate())
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
        // What a person looks for first stands where they look first.
        for LogLines { pod, container, lines } in faults.iter().flat_map(|fault| &fault.logs) {
            for line in lines {
                self.log.line(LogLevel::Info, format!("{pod}/{container} | {line}"));
            }
        }
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
