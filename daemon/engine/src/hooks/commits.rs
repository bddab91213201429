//! Commits that forges tell of: kept for a time, and looked up for what is announced of
//! them.
//!
//! Whose commits count for an image is a matter of the hook: it may tell of the images of
//! some repositories, with whatever author it says; so may the commits that it tells of.

use deployd_core::Name;
use deployd_core::artifact::Artifact;
use deployd_core::commit::{
    COMMIT_TURNS, COMMITS, COMMITS_KEPT_MAX, COMMITS_LOOKED_AT_MAX, COMMITS_TOLD_MAX, Commit,
    KnownCommit, completed, known_as, turn_in, turn_key, turns_of, whole_name,
};
use deployd_core::ports::{Batch, Order, Put};

use crate::configuration::Configuration;
use crate::records::{decode, get};
use crate::{EngineError, Inner};

impl Inner {
    /// Keeps commits that a delivery of a hook tells of, in the place of its oldest ones.
    /// Those of one hook are kept one after the other.
    pub(super) async fn keep_commits(
        &self,
        hook: &Name,
        told: Vec<Commit>,
        notes: &mut Vec<String>,
    ) -> Result<(), EngineError> {
        if told.len() > COMMITS_TOLD_MAX {
            let found = told.len();
            notes.push(format!("of {found} commits the first {COMMITS_TOLD_MAX} are kept"));
        }
        let store = &*self.ports.store;
        let last = store.scan(COMMIT_TURNS, turns_of(hook), Order::Descending, 1).await?;
        let mut turn = last.entries.first().and_then(|(key, _)| turn_in(key)).unwrap_or_default();
        let at = self.ports.clock.now();
        // What goes comes first: it may be told of once more.
        let (mut puts, mut new) = (Vec::new(), Vec::new());
        for mut commit in told.into_iter().take(COMMITS_TOLD_MAX) {
            notes.extend(commit.bound().then(|| {
                let name = &commit.commit;
                format!("what has changed with {name} is too much to be kept, or not relative to the repository's root: its paths are not known")
            }));
            notes.push(summary(&commit));
            turn = turn.saturating_add(1);
            let mut known = KnownCommit { commit, hook: hook.clone(), at, turn };
            if known.commit.paths.is_empty()
                && let Some(before) = get::<KnownCommit>(store, COMMITS, &known.key()).await?
            {
                // A branch that is made once more has nothing new, and says so.
                known.commit.paths = before.commit.paths;
            }
            new.extend(known.puts().map_err(EngineError::bug)?);
            puts.extend(self.oldest_commit(hook, turn).await?);
        }
        puts.append(&mut new);
        if !puts.is_empty() {
            store.append(Batch { puts, ..Batch::default() }).await?;
        }
        Ok(())
    }

    /// What takes out the commit of a hook that is not kept once a turn comes.
    async fn oldest_commit(&self, hook: &Name, turn: u64) -> Result<Vec<Put>, EngineError> {
        let Some(oldest) = turn.checked_sub(COMMITS_KEPT_MAX) else { return Ok(Vec::new()) };
        let store = &*self.ports.store;
        let key = turn_key(hook, oldest);
        let Some(of) = store.get(COMMIT_TURNS, &key).await? else { return Ok(Vec::new()) };
        let mut puts = vec![Put { index: COMMIT_TURNS, key, value: None }];
        // What was told of once more since has a later turn, too.
        let kept: Option<KnownCommit> = get(store, COMMITS, &of).await?;
        if kept.is_some_and(|kept| kept.turn == oldest) {
            puts.push(Put { index: COMMITS, key: of, value: None });
        }
        Ok(puts)
    }

    /// An artifact with what is known of its commit by hooks that may tell of its
    /// repository, and the paths that have changed with it.
    pub(crate) async fn completed(
        &self,
        configuration: &Configuration,
        artifact: &Artifact,
    ) -> Result<(Artifact, Vec<String>), EngineError> {
        let is_whole = artifact.author.is_some()
            && artifact.committed_at.is_some()
            && !artifact.paths.is_empty();
        let commit = artifact.commit.as_deref().and_then(whole_name);
        let mut known = Vec::new();
        if let Some(commit) =
            commit.filter(|_| !is_whole && configuration.expects(&artifact.repository))
        {
            let (range, max) = (known_as(&commit), COMMITS_LOOKED_AT_MAX);
            let page = self.ports.store.scan(COMMITS, range, Order::Ascending, max).await?;
            for (_, bytes) in &page.entries {
                let one: KnownCommit = decode(COMMITS.0, bytes)?;
                let hook = configuration.hooks.get(&one.hook);
                if hook.is_some_and(|hook| hook.takes(&artifact.repository)) {
                    known.push(one);
                }
            }
        }
        Ok(completed(artifact, &known))
    }
}

/// A commit in a line.
fn summary(commit: &Commit) -> String {
    let place = commit.git_ref.as_ref().map(|place| format!(" on {place}")).unwrap_or_default();
    format!("commit {} of {}{place}, {} paths", commit.commit, commit.source, commit.paths.len())
}
