//! Waits until what was committed runs: the one who pulls it has brought it to the
//! cluster, or the objects there say so themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deployd_core::config::{GitSpec, PullerSpec};
use deployd_core::drift::Drift;
use deployd_core::plan::{Manifest, ObjectOwner, Plan};
use deployd_core::ports::{
    Applier, ClusterAccess, CommitId, LogLevel, ObjectRef, Revision, SensitiveObjects, Target,
};
use deployd_core::pull::puller::{self, PullerState, Verdict};
use deployd_core::pull::{self, Files, Published};
use deployd_core::{Fault, FaultClass};
use tokio::time::Instant;

use super::Work;
use super::apply::{Waited, is_waited_for};
use crate::EngineError;

/// Between looks at who pulls: Argo CD and Flux look at a repository every few minutes,
/// and need seconds for what they have found.
const LOOK: Duration = Duration::from_secs(2);

/// How long a puller may take that is asked for nothing else: Argo CD looks at a
/// repository every 3 minutes, Flux as often as it is told to, 10 minutes at most as a
/// rule.
const PULLED_MS: u64 = 15 * 60_000;

/// What is looked at, and what was found so far.
struct Look<'w> {
    plan: &'w Plan,
    git: &'w GitSpec,
    published: Published,
    files: Files,
    /// Files that were ours before and are to be there no longer.
    gone: BTreeSet<String>,
    /// Whether who pulls says how what was brought is doing, and not only that it was.
    tells_health: bool,
    /// Revisions that others say to have brought, and whether they have what was committed.
    known: BTreeMap<CommitId, bool>,
}

impl Work {
    /// Waits until what this environment has on its branch was pulled, as long as
    /// anybody wants to know. At once where it is not pulled.
    pub(super) async fn await_pulled(
        &self,
        plan: &Plan,
        namespace: &str,
        objects: &[Manifest],
        deadline_ms: Option<u64>,
    ) -> Result<Waited, EngineError> {
        let Some(git) = &plan.pull else { return Ok(Waited::Ready) };
        let Some((published, files)) = self.on_the_branch(git).await? else {
            return Ok(Waited::Ready);
        };
        let deadline_ms = deadline_ms.unwrap_or(PULLED_MS).max(1);
        let gone = self.gone(git, namespace, &files).await?;
        let known = BTreeMap::new();
        let mut look = Look { plan, git, published, files, gone, tells_health: false, known };
        let deadline = Instant::now() + Duration::from_millis(deadline_ms);
        tokio::select! {
            biased;
            pulled = self.pulled(&mut look, namespace, objects, deadline_ms) => pulled?,
            left = self.left() => return left,
        }
        if look.tells_health {
            return Ok(Waited::Ready);
        }
        // Workloads are waited for by the step after; the rest is by nobody else.
        let others = objects.iter().filter(|it| !matches!(it.owner, ObjectOwner::Workload(_)));
        let others: Vec<ObjectRef> = others
            .filter_map(|it| {
                let mut reference = ObjectRef::of(&it.object)?;
                reference.namespace.get_or_insert_with(|| namespace.to_owned());
                Some(reference)
            })
            .filter(is_waited_for)
            .collect();
        let left = deadline.saturating_duration_since(Instant::now()).max(LOOK);
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        self.await_ready(plan, namespace, &others, left_ms).await
    }

    /// What is on the branch of this environment, as the last step has left it.
    async fn on_the_branch(
        &self,
        git: &GitSpec,
    ) -> Result<Option<(Published, Files)>, EngineError> {
        if let Some(brought) = self.brought.get() {
            return Ok(Some(brought));
        }
        match &self.state.published {
            Some(published) if published.is_beside(&git.repository, &git.branch) => {
                let files = self.engine.left(Some(published), git).await?;
                Ok(Some(((**published).clone(), files)))
            }
            _ => Ok(None),
        }
    }

    async fn pulled(
        &self,
        look: &mut Look<'_>,
        namespace: &str,
        objects: &[Manifest],
        deadline_ms: u64,
    ) -> Result<(), EngineError> {
        let deadline = Instant::now() + Duration::from_millis(deadline_ms);
        let mut told = String::new();
        loop {
            let found = match &look.git.puller {
                Some(puller) => self.by_puller(look, puller, namespace).await,
                None => self.by_objects(look, namespace, objects).await,
            };
            let waits = match found {
                Ok(Verdict::There) => return Ok(()),
                Ok(Verdict::Failed(fault)) => return Err(fault.into()),
                Ok(Verdict::Waiting(sentence)) => sentence,
                // Who is away for a moment says nothing of what becomes of it.
                Err(EngineError::Fault(fault)) if fault.is_transient() => fault.to_string(),
                Err(error) => return Err(error),
            };
            if waits != told {
                self.log.line(LogLevel::Info, waits.clone());
                told = waits;
            }
            if Instant::now() + LOOK > deadline {
                let message = format!(
                    "commit {} was not brought to the cluster in {}: {told}",
                    look.published.commit.short(),
                    deployd_core::rehearsal::span(deadline_ms),
                );
                return Err(Fault::permanent("not-pulled", message).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the object says by which somebody pulls.
    async fn by_puller(
        &self,
        look: &mut Look<'_>,
        spec: &PullerSpec,
        namespace: &str,
    ) -> Result<Verdict, EngineError> {
        let target = match &spec.kubeconfig_secret {
            Some(name) => Target {
                name: format!("the cluster of {name}"),
                access: ClusterAccess::Kubeconfig(self.engine.of_operator(name).await?),
                namespace: spec.namespace.clone(),
            },
            None => self.reach(look.plan, namespace).await?.target,
        };
        let object = puller::reference(spec);
        let Some(found) = self.one(&target, &object).await? else {
            return Ok(puller::absent(&object));
        };
        let mut state = PullerState::of(spec.kind, &found, &look.git.repository);
        if let Some(source) = puller::source(spec.kind, &found)
            && let Some(source) = self.one(&target, &source).await?
        {
            state = state.with_source(&source);
        }
        look.tells_health = state.awaits_health;
        let mut ours = BTreeMap::new();
        for revision in state.revisions() {
            let has = self.has_ours(look, &CommitId(revision.to_owned())).await;
            match has {
                Ok(has) => drop(ours.insert(revision.to_owned(), has)),
                // A commit that is nowhere has nothing of ours.
                Err(EngineError::Fault(fault)) if fault.class == FaultClass::Invalid => {}
                Err(error) => return Err(error),
            }
        }
        let now = self.engine.ports.clock.now();
        Ok(puller::judge(&state, |revision| ours.get(revision).copied(), now))
    }

    async fn one(
        &self,
        target: &Target,
        object: &ObjectRef,
    ) -> Result<Option<serde_json::Value>, EngineError> {
        let found = self.engine.ports.cluster.read(target, std::slice::from_ref(object)).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// Whether a commit has what was committed: it is that, or a later one, a merge or
    /// the squashed one of the same content.
    async fn has_ours(
        &self,
        look: &mut Look<'_>,
        revision: &CommitId,
    ) -> Result<bool, EngineError> {
        if look.published.commit.0.starts_with(&revision.0) && revision.0.len() >= SHORTEST {
            return Ok(true);
        }
        if let Some(has) = look.known.get(revision) {
            return Ok(*has);
        }
        let branch = self.engine.branch(look.git).await?;
        // Commits are asked for by all of their digits: charts name but the first ones,
        // which are the branch's last commit's or nobody's that we know.
        let at = match revision.0.len() < DIGITS {
            true => Revision::Head,
            false => Revision::Commit(revision.clone()),
        };
        let repositories = &self.engine.ports.repositories;
        let found = repositories.files(&branch, &at, &look.git.path, &self.log).await?;
        if !found.commit.commit.0.starts_with(&revision.0) {
            let message = format!("no commit is known that begins with {revision}");
            return Err(Fault::invalid("git-not-found", message).into());
        }
        let has = look.files.iter().all(|(path, blob)| found.files.get(path) == Some(blob))
            && !look.gone.iter().any(|path| found.files.contains_key(path));
        // Each is looked at once; a few at most while something is waited for.
        look.known.insert(revision.clone(), has);
        Ok(has)
    }

    /// Without anybody to ask, the objects in the cluster tell: they are as committed.
    async fn by_objects(
        &self,
        look: &Look<'_>,
        namespace: &str,
        objects: &[Manifest],
    ) -> Result<Verdict, EngineError> {
        let committed = pull::paths(&look.git.path, namespace, objects.iter())
            .map_err(|error| Fault::invalid("git-path-invalid", error.to_string()))?;
        let values = committed.into_values().collect();
        let target = self.reach(look.plan, namespace).await?.target;
        let checks = self
            .engine
            .ports
            .cluster
            .compare(&target, &SensitiveObjects::new(values), Applier::Puller, &self.log)
            .await?;
        let mut missing: Vec<&ObjectRef> = Vec::new();
        for check in &checks {
            match &check.drift {
                Ok(drift) if drift.iter().all(|it| matches!(it, Drift::TakenOver { .. })) => {}
                Ok(_) => missing.push(&check.object),
                Err(fault) => return Err(fault.clone().into()),
            }
        }
        Ok(match missing.first() {
            None => Verdict::There,
            Some(first) => Verdict::Waiting(format!(
                "{} of {} objects are not as committed yet, {first} among them",
                missing.len(),
                checks.len()
            )),
        })
    }
}

/// Digits of a commit by which it is taken for the same.
const SHORTEST: usize = 12;

/// Digits of a whole one, by SHA-1.
const DIGITS: usize = 40;
