//! Server-side apply of many objects, in order.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{ApplyRequest, CallLog, LogLevel, ObjectRef};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::FIELD_MANAGER;
use crate::client::Session;
use crate::conflict;
use crate::discovery::Resource;
use crate::failure::Failure;
use crate::faults::{self, Doing};
use crate::fields::{group_of, is_leaving};
use crate::order::ranked;
use crate::prepare::{self, Draft};
use crate::request::{Answer, Ask, with_query};
use crate::scrub::Scrubber;
use crate::settle::{Outcome, Settled};
use crate::unchanged::Stage;

/// One of several API servers may not know yet of a namespace that another
/// has just made.
const NAMESPACE_LAG: Duration = Duration::from_secs(3);

/// Between looks for such a namespace.
const NAMESPACE_PAUSE: Duration = Duration::from_millis(250);

/// Applies that may find the object on its way out, each followed by a wait.
const LEAVING_TRIES: usize = 2;

/// An object that is in the cluster as it should be.
struct Applied {
    reference: ObjectRef,
    created: bool,
}

/// Whether these are namespaces or definitions: what is in them, or of their kind,
/// can't be looked at before.
fn is_early(stage: &[Draft]) -> bool {
    stage.iter().any(|draft| {
        let ObjectRef { api_version, kind, .. } = &draft.reference;
        matches!(
            (group_of(api_version), kind.as_str()),
            ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition")
        )
    })
}

/// One line for each kind: a deployment's log is for what happens.
fn tell_unchanged(stage: &[(Resource, Draft)], unchanged: &HashSet<usize>, log: &CallLog) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (resource, _) in unchanged.iter().filter_map(|index| stage.get(*index)) {
        *kinds.entry(&resource.kind).or_default() += 1;
    }
    for (kind, count) in kinds {
        let objects = if count == 1 { "object" } else { "objects" };
        log.line(LogLevel::Info, format!("{count} {objects} of kind {kind} unchanged"));
    }
}

impl Session {
    /// See [`Cluster::apply`](deployd_core::ports::Cluster::apply).
    pub(crate) async fn apply(
        &self,
        request: &ApplyRequest,
        log: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault> {
        let drafts = prepare::drafts(request.objects.expose())?;
        self.refuse_unknown_kinds(&drafts).await?;
        let (early, later): (Vec<_>, Vec<_>) =
            ranked(drafts, |draft| &draft.reference).into_iter().partition(|stage| is_early(stage));
        let mut applied = Vec::new();
        // Namespaces that were made just now: there is nothing in them.
        let mut fresh = HashSet::new();
        for stage in early {
            let stage = self.prepared(stage, &request.target.namespace).await?;
            for done in self.apply_stage(stage, &HashSet::new(), request.force, log).await? {
                if done.created && done.reference.kind == "Namespace" {
                    fresh.insert(done.reference.name.clone());
                }
                applied.push(done.reference);
            }
        }
        let mut stages = Vec::with_capacity(later.len());
        for stage in later {
            // Definitions of an earlier stage are served by now.
            stages.push(self.prepared(stage, &request.target.namespace).await?);
        }
        // All kinds together, and before the first is applied. Who changes an object
        // after it was looked at is as late as who does after it was applied.
        let unchanged = self.unchanged(&stages, &fresh).await;
        for (stage, unchanged) in stages.into_iter().zip(unchanged) {
            tell_unchanged(&stage, &unchanged, log);
            let done = self.apply_stage(stage, &unchanged, request.force, log).await?;
            applied.extend(done.into_iter().map(|done| done.reference));
        }
        Ok(applied)
    }

    /// Finds every kind before anything is applied, so that a typing error in
    /// the last object does not leave the others behind. Kinds that the same
    /// objects define can't be there yet.
    async fn refuse_unknown_kinds(&self, drafts: &[Draft]) -> Result<(), Fault> {
        let defined: Vec<_> =
            drafts.iter().flat_map(|draft| prepare::defined_kinds(&draft.object)).collect();
        // Asked once per group and version, several at a time; the order is that of
        // the objects, so that the first typing error is the one that is told.
        let mut versions: Vec<(&str, Vec<&str>)> = Vec::new();
        for ObjectRef { api_version, kind, .. } in drafts.iter().map(|draft| &draft.reference) {
            if defined.iter().any(|(version, name)| version == api_version && name == kind) {
                continue;
            }
            match versions.iter_mut().find(|(version, _)| version == api_version) {
                Some((_, kinds)) if kinds.contains(&kind.as_str()) => {}
                Some((_, kinds)) => kinds.push(kind),
                None => versions.push((api_version, vec![kind])),
            }
        }
        let questions: Vec<_> = versions
            .into_iter()
            .map(|(version, kinds)| async move {
                for kind in kinds {
                    self.known_resource(version, kind).await?;
                }
                Ok(())
            })
            .collect();
        stream::iter(questions).buffered(self.options.parallel.max(1)).try_collect().await
    }

    async fn prepared(&self, stage: Vec<Draft>, namespace: &str) -> Result<Stage, Fault> {
        let mut prepared = Vec::with_capacity(stage.len());
        for draft in stage {
            let ObjectRef { api_version, kind, .. } = &draft.reference;
            let resource = self.known_resource(api_version, kind).await?;
            let draft = draft.prepared(&resource, namespace);
            prepared.push((resource, draft));
        }
        let (resources, drafts): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        prepare::refuse_duplicates(&drafts)?;
        Ok(resources.into_iter().zip(drafts).collect())
    }

    /// Applies objects of one rank, in parallel with a bound. After a failure
    /// no more are begun; conflicts are collected from all.
    async fn apply_stage(
        &self,
        stage: Stage,
        unchanged: &HashSet<usize>,
        force: bool,
        log: &CallLog,
    ) -> Result<Vec<Applied>, Fault> {
        let stop = AtomicBool::new(false);
        let mut outcomes: Vec<(usize, Result<Option<Applied>, Fault>)> =
            stream::iter(stage.into_iter().enumerate())
                .map(|(index, (resource, draft))| {
                    let stop = &stop;
                    async move {
                        if unchanged.contains(&index) {
                            let reference = draft.reference;
                            return (index, Ok(Some(Applied { reference, created: false })));
                        }
                        if stop.load(Ordering::Relaxed) {
                            return (index, Ok(None));
                        }
                        let outcome = self.apply_one(&resource, &draft, force, log).await;
                        let is_conflict =
                            outcome.as_ref().is_err_and(|f| conflict::conflicts_of(f).is_some());
                        if outcome.is_err() && !is_conflict {
                            stop.store(true, Ordering::Relaxed);
                        }
                        let reference = draft.reference;
                        (index, outcome.map(|created| Some(Applied { reference, created })))
                    }
                })
                // Not in order: one that waits must not hold the others up.
                .buffer_unordered(self.options.parallel.max(1))
                .collect()
                .await;
        outcomes.sort_by_key(|(index, _)| *index);
        let mut applied = Vec::with_capacity(outcomes.len());
        let mut faults = Vec::new();
        for (_, outcome) in outcomes {
            match outcome {
                Ok(done) => applied.extend(done),
                Err(fault) => faults.push(fault),
            }
        }
        match self.worst(faults) {
            Some(fault) => Err(fault),
            None => Ok(applied),
        }
    }

    /// One fault for several: what must be mended by somebody before what may
    /// pass by itself, conflicts together.
    fn worst(&self, mut faults: Vec<Fault>) -> Option<Fault> {
        if let Some(position) = faults
            .iter()
            .position(|fault| !fault.is_transient() && conflict::conflicts_of(fault).is_none())
        {
            return Some(faults.swap_remove(position));
        }
        let conflicts: Vec<Fault> =
            faults.iter().filter(|f| conflict::conflicts_of(f).is_some()).cloned().collect();
        match conflicts.len() {
            0 => faults.into_iter().next(),
            1 => conflicts.into_iter().next(),
            _ => Some(conflict::merged(&self.cluster, &conflicts)),
        }
    }

    /// Returns whether the object was not there before.
    async fn apply_one(
        &self,
        resource: &Resource,
        draft: &Draft,
        force: bool,
        log: &CallLog,
    ) -> Result<bool, Fault> {
        let object = &draft.reference;
        for _ in 0..LEAVING_TRIES {
            let answer = self.send_apply(resource, draft, force).await?;
            // Applying to what is on its way out succeeds, and is lost.
            if answer.body.is_leaving() && object.kind != "Namespace" {
                self.wait_out(resource, object, log).await?;
                continue;
            }
            if answer.body.is_leaving() {
                return Err(self.leaving(object));
            }
            let done = if answer.created { "created" } else { "applied" };
            log.line(LogLevel::Info, format!("{object} {done}"));
            self.settle(resource, object, &draft.object, &answer, log).await?;
            return Ok(answer.created);
        }
        Err(self.leaving(object))
    }

    async fn wait_out(
        &self,
        resource: &Resource,
        object: &ObjectRef,
        log: &CallLog,
    ) -> Result<(), Fault> {
        log.line(LogLevel::Warn, format!("{object} is being deleted; waiting until it is gone"));
        let limit = self.options.settle_timeout;
        let gone = |seen: Option<&Value>| seen.is_none_or(|o| !is_leaving(o));
        match self.until(resource, object, limit, gone).await? {
            Settled::Done => Ok(()),
            Settled::Late(_) => Err(self.leaving(object)),
        }
    }

    fn leaving(&self, object: &ObjectRef) -> Fault {
        let code =
            if object.kind == "Namespace" { "namespace-terminating" } else { "object-terminating" };
        Fault::transient(
            code,
            format!(
                "{object} in cluster {} is being deleted; it can be applied once it is gone. If it \
                 stays, look at its finalizers.",
                self.cluster
            ),
        )
        .with_detail(json!({ "cluster": &*self.cluster, "object": object }))
    }

    async fn send_apply(
        &self,
        resource: &Resource,
        draft: &Draft,
        force: bool,
    ) -> Result<Answer<Outcome>, Fault> {
        let object = &draft.reference;
        let query = [
            ("fieldManager", FIELD_MANAGER),
            ("fieldValidation", "Strict"),
            ("force", if force { "true" } else { "false" }),
        ];
        let ask = Ask::apply(with_query(&resource.item(object), &query), &draft.object);
        let begun = Instant::now();
        loop {
            let failure = match self.ask(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let missing = failure.status().is_some_and(|status| status.is_namespace_missing());
            if missing && begun.elapsed() < NAMESPACE_LAG {
                tokio::time::sleep(NAMESPACE_PAUSE).await;
                continue;
            }
            if failure.is_not_found() && !missing {
                // The kind is served no more, or by another name.
                self.connection.kinds.forget(&resource.api_version);
                self.known_resource(&resource.api_version, &resource.kind).await?;
            }
            return Err(self.apply_fault(failure, draft));
        }
    }

    fn apply_fault(&self, failure: Failure, draft: &Draft) -> Fault {
        let failure = match Scrubber::of(&draft.object) {
            Some(scrubber) => scrubber.failure(failure),
            None => failure,
        };
        let doing = Doing { cluster: &self.cluster, verb: "apply", object: Some(&draft.reference) };
        faults::fault(&failure, doing)
    }
}
