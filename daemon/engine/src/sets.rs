//! Sets that are kept: every one that was ever planned, or made of another one.

use std::collections::BTreeSet;

use deployd_core::compare::merge::{MergeError, merge};
use deployd_core::deployment::timeline::{RUNS, Run, run_place, runs_of};
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Order, Put, Store};
use deployd_core::secret::marked_paths;
use deployd_core::set::{
    DeploymentSet, KnownSet, MergeRequest, MergedSet, PatchRequest, SETS, SETS_BY_APPLICATION,
    SetOrigin, SetsPage, diff, listed, listed_key, listed_place, patch,
};
use deployd_core::subject::Subject;
use deployd_core::views::PAGE_MAX;
use deployd_core::{Digest, EnvironmentId, Name, Timestamp};
use serde_json::json;

use crate::error::Problem;
use crate::journal::until_no_conflict;
use crate::records::{decode, get, named_set, object};
use crate::{Caller, Engine, EngineError, Inner};

/// The most deployments of a set that are looked at for where it runs: one that
/// was deployed more often runs in the environments of the first ones, or is
/// asked for by the timeline of an environment.
const RUNS_MAX: usize = 2_000;

/// The most environments that are named as places where a set was deployed.
const PLACES_MAX: usize = 100;

impl Engine {
    /// Sets of an application, newest first.
    pub async fn sets(
        &self,
        application: &Name,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<SetsPage, EngineError> {
        let max = max.clamp(1, PAGE_MAX);
        let store = &*self.inner.ports.store;
        let mut range = listed(application);
        if let Some(cursor) = cursor {
            range.end = Some(place_of(application, cursor)?);
        }
        let page = store.scan(SETS_BY_APPLICATION, range, Order::Descending, max).await?;
        let bug = || EngineError::bug("a key of a set that is none");
        let mut sets = Vec::with_capacity(page.entries.len());
        for (key, _) in &page.entries {
            let (at, digest) = listed_place(key).ok_or_else(bug)?;
            let origin: Option<SetOrigin> = get(store, SETS, digest.hex().as_bytes()).await?;
            // Two that made the same set at the same time have written two entries.
            if let Some(origin) = origin.filter(|origin| origin.at == at) {
                sets.push(self.inner.known_set(digest, origin).await?);
            }
        }
        let last = page.entries.last().filter(|_| page.more);
        let next = last.map(|(key, _)| listed_place(key).ok_or_else(bug)).transpose()?;
        let next = next.map(|(at, digest)| format!("{}-{}", at.0, digest.hex()));
        Ok(SetsPage { sets, next })
    }

    /// Makes a set of another one, and keeps it.
    pub async fn patch_set(
        &self,
        caller: &Caller,
        request: &PatchRequest,
    ) -> Result<KnownSet, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let (base, from) = self.inner.set_of(&request.from).await?;
        let set = patch(&base, &request.delta)
            .map_err(|error| EngineError::invalid("delta", error.to_string()))?;
        self.inner.keep_set(caller, &set, from, |known| known).await
    }

    /// Applies what changed between two sets to a third one, and keeps what
    /// comes of it.
    pub async fn merge_sets(
        &self,
        caller: &Caller,
        request: &MergeRequest,
    ) -> Result<MergedSet, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let (base, _) = self.inner.set_of(&request.base).await?;
        let (theirs, _) = self.inner.set_of(&request.theirs).await?;
        let (ours, from) = self.inner.set_of(&request.onto).await?;
        let applications = BTreeSet::from([&base.application, &theirs.application]);
        if applications.iter().any(|application| **application != ours.application) {
            let message = format!(
                "found sets of {} and {}, expected sets of {}, to which the change is applied",
                base.application, theirs.application, ours.application
            );
            return Err(EngineError::invalid("base", message));
        }
        let merged = merge(&base, &theirs, &ours, request.prefer).map_err(|error| match error {
            MergeError::Set(error) => EngineError::bug(error),
            error @ MergeError::Result(_) => EngineError::invalid("theirs", error.to_string()),
        })?;
        if request.prefer.is_none() && !merged.conflicts.is_empty() {
            return Err(EngineError::Unmerged { conflicts: merged.conflicts });
        }
        let delta = diff(&ours, &merged.set).map_err(EngineError::bug)?;
        let conflicts = merged.conflicts;
        let answer = |set| MergedSet { set, delta: delta.clone(), conflicts: conflicts.clone() };
        self.inner.keep_set(caller, &merged.set, from, answer).await
    }
}

impl Inner {
    /// A subject's set.
    pub(crate) async fn set_of(
        &self,
        subject: &Subject,
    ) -> Result<(DeploymentSet, Digest), EngineError> {
        let digest = self.resolve(subject).await?.set;
        Ok((named_set(&*self.ports.store, digest).await?, digest))
    }

    /// Keeps a set that was made of another one. One that is known already stays
    /// as it is.
    async fn keep_set<T>(
        &self,
        caller: &Caller,
        set: &DeploymentSet,
        from: Digest,
        answer: impl Fn(KnownSet) -> T,
    ) -> Result<T, EngineError>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        let document = serde_json::to_value(set).map_err(EngineError::bug)?;
        let marked = marked_paths(&document).into_iter().map(|path| {
            Problem::new(
                path,
                "references to secrets can't be written by hand; refer to a resource's output",
            )
        });
        let problems: Vec<Problem> = marked.collect();
        if !problems.is_empty() {
            return Err(EngineError::Invalid { problems });
        }
        let content = object(set)?;
        let digest = content.digest;
        let stream = StreamId::sets(&set.application);
        let store = &*self.ports.store;
        until_no_conflict(|| async {
            let version = self.version(&stream).await?;
            if let Some(origin) = get(store, SETS, digest.hex().as_bytes()).await? {
                let known = answer(self.known_set(digest, origin).await?);
                self.keep_answer(caller, &known).await?;
                return Ok(known);
            }
            let origin = SetOrigin {
                application: set.application.clone(),
                at: self.ports.clock.now(),
                actor: caller.actor.clone(),
                from: Some(from),
            };
            let puts = origin.puts(digest).map_err(EngineError::bug)?;
            let batch = Batch { puts, objects: vec![content.clone()], ..Batch::default() };
            let body = json!({"type": "set-made", "set": digest, "from": from});
            let batch = self.note(stream.clone(), version, caller, body, batch)?;
            let known = KnownSet { digest, origin, runs_in: Vec::new(), deployed_in: Vec::new() };
            self.commit(caller, answer(known), batch, &[]).await
        })
        .await
    }

    /// What to write so that a set is known, unless it is.
    pub(crate) async fn remember_set(
        &self,
        digest: Digest,
        origin: &SetOrigin,
    ) -> Result<Vec<Put>, EngineError> {
        match self.ports.store.get(SETS, digest.hex().as_bytes()).await? {
            Some(_) => Ok(Vec::new()),
            None => origin.puts(digest).map_err(EngineError::bug),
        }
    }

    async fn known_set(&self, digest: Digest, origin: SetOrigin) -> Result<KnownSet, EngineError> {
        let (runs_in, deployed_in) = places(&*self.ports.store, digest).await?;
        Ok(KnownSet { digest, origin, runs_in, deployed_in })
    }
}

/// Where a set runs, and where it was deployed.
async fn places(
    store: &dyn Store,
    set: Digest,
) -> Result<(Vec<EnvironmentId>, Vec<EnvironmentId>), EngineError> {
    let page = store.scan(RUNS, runs_of(set), Order::Ascending, RUNS_MAX).await?;
    let (mut runs, mut deployed) = (BTreeSet::new(), BTreeSet::new());
    for (key, value) in &page.entries {
        let Some((environment, _)) = run_place(key) else { continue };
        let run: Run = decode(RUNS.0, value)?;
        if run.from.is_some() && run.until.is_none() {
            runs.insert(environment.clone());
        }
        deployed.insert(environment);
    }
    Ok((runs.into_iter().collect(), deployed.into_iter().take(PLACES_MAX).collect()))
}

/// The key that a cursor stands for.
fn place_of(application: &Name, cursor: &str) -> Result<Vec<u8>, EngineError> {
    let invalid =
        || EngineError::invalid("cursor", format!("found {cursor:?}, expected what `next` said"));
    let (at, hex) = cursor.split_once('-').ok_or_else(invalid)?;
    let set = format!("sha256:{hex}").parse().map_err(|_| invalid())?;
    Ok(listed_key(application, Timestamp(at.parse().map_err(|_| invalid())?), set))
}
