//! Brings what is deployed to the branch that its environment is pulled from: by one
//! commit, directly or by a pull request that somebody else merges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use deployd_core::config::GitSpec;
use deployd_core::deployment::{Action, CLOSED, Step, StepKind, StepStatus};
use deployd_core::plan::{Manifest, Manifests, Plan};
use deployd_core::ports::{
    BlobId, Branch, CommitAuthor, CommitRequest, Committed, EDITED, Forge, LogLevel, Proposal,
    PullRequest, PullRequestState, Revision, SshLogin,
};
use deployd_core::pull::{self, Files, Published};
use deployd_core::secret::{OPERATOR, SecretRef, SecretValue};
use deployd_core::seeded::{Bug, seeded};
use deployd_core::{Fault, FaultClass, Name};

use super::{Ended, Work};
use crate::records::{content, object};
use crate::{EngineError, Inner};

/// Between looks at a pull request that was opened just now: somebody may wait for it.
const LOOK_MS_MIN: u64 = 2_000;

/// Between looks at one that has waited for long: forges count requests by the hour.
const LOOK_MS_MAX: u64 = 60_000;

/// A part of the time that it has waited is waited between looks.
const LOOK_PART: u64 = 20;

/// What a step has brought to the branch, so that it is recorded however the step ends.
#[derive(Debug, Default)]
pub(crate) struct Brought(Mutex<Option<(Published, Files)>>);

impl Brought {
    fn note(&self, mut published: Published, files: Files) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        published.changed |= known.as_ref().is_some_and(|(before, _)| before.changed);
        *known = Some((published, files));
    }

    pub(super) fn get(&self) -> Option<(Published, Files)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is to be on the branch.
pub(super) struct Wanted {
    /// All objects; those that can't be committed are passed over.
    pub(super) objects: Vec<Manifest>,
    /// The namespace of those that name none.
    pub(super) namespace: String,
    /// Which commit of its step it is.
    pub(super) nth: Nth,
    /// Whether what others have changed of our files is taken over.
    pub(super) take_over: bool,
}

/// Which of the commits of a step, which come one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nth {
    /// 0 for the first.
    pub(super) place: usize,
    /// How many there may be.
    pub(super) of: usize,
}

impl Nth {
    /// The only one.
    pub(super) const ONLY: Self = Self { place: 0, of: 1 };
}

/// What came of it.
pub(super) enum Came {
    /// It is on the branch.
    There,
    /// A later commit of the same step is: this one was there, and was waited for.
    Past,
    /// Somebody has to merge it.
    Waits(Ended),
}

impl Inner {
    /// The branch of an environment, and how it is reached.
    pub(crate) async fn branch(&self, git: &GitSpec) -> Result<Branch, EngineError> {
        let ssh = match &git.ssh {
            Some(ssh) => Some(SshLogin {
                key: self.of_operator(&ssh.key_secret).await?,
                host_keys: ssh.host_keys.clone(),
            }),
            None => None,
        };
        Ok(Branch {
            repository: git.repository.clone(),
            name: git.branch.clone(),
            grants: git.hosts.clone().into(),
            ssh,
        })
    }

    pub(super) async fn of_operator(&self, name: &Name) -> Result<SecretValue, EngineError> {
        let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_string() };
        Ok(self.ports.vault.get(&secret).await?)
    }

    /// Our files on a branch, as we have left them; none of another branch.
    pub(crate) async fn left(
        &self,
        published: Option<&Published>,
        git: &GitSpec,
    ) -> Result<Files, EngineError> {
        match published.filter(|known| known.is_beside(&git.repository, &git.branch)) {
            Some(known) => content(&*self.ports.store, "files", known.files).await,
            None => Ok(Files::new()),
        }
    }
}

fn forge(git: &GitSpec) -> Option<Forge> {
    let spec = git.pull_request.as_ref()?;
    Some(Forge {
        kind: spec.forge,
        api: spec.api.clone(),
        project: spec.project.clone(),
        grants: git.hosts.clone().into(),
    })
}

/// Whom commits are by, unless the type says otherwise.
fn deployd() -> CommitAuthor {
    CommitAuthor { name: "deployd".to_owned(), email: "deployd@localhost".to_owned() }
}

impl Work {
    /// Has objects, and no other of ours, be on the branch.
    pub(super) async fn publish(
        &self,
        plan: &Plan,
        git: &GitSpec,
        wanted: Wanted,
    ) -> Result<Came, EngineError> {
        match forge(git) {
            Some(forge) => self.by_request(plan, git, &forge, wanted).await,
            None => {
                let request = self.commit_request(plan, git, &wanted, None).await?;
                let committed = self.commit(&request).await?;
                if committed.past {
                    return Ok(Came::Past);
                }
                let (commit, changed) = (committed.commit.clone(), committed.changed);
                self.brought(git, commit, committed.files, changed, None)?;
                Ok(Came::There)
            }
        }
    }

    /// Takes the files of some objects from the branch, and touches no other.
    pub(super) async fn unpublish(
        &self,
        plan: &Plan,
        git: &GitSpec,
        namespace: &str,
        objects: &[Manifest],
    ) -> Result<Came, EngineError> {
        let going: BTreeSet<String> = objects
            .iter()
            .filter_map(|it| pull::path_of(&git.path, namespace, &it.object).ok())
            .collect();
        let left = self.ours_left().await?;
        if !left.keys().any(|path| going.contains(path)) {
            return Ok(Came::There);
        }
        let wanted = Wanted {
            objects: Vec::new(),
            namespace: namespace.to_owned(),
            nth: Nth::ONLY,
            take_over: false,
        };
        let proposal = git.pull_request.as_ref().map(|_| self.proposal_branch());
        let mut request = self.commit_request(plan, git, &wanted, proposal).await?;
        request.owned.retain(|path, _| going.contains(path));
        if let Some(forge) = forge(git) {
            return self.proposed(plan, git, &forge, &wanted, request).await;
        }
        let committed = self.commit(&request).await?;
        let files = left.into_iter().filter(|(path, _)| !going.contains(path)).collect();
        self.brought(git, committed.commit, files, committed.changed, None)?;
        Ok(Came::There)
    }

    async fn commit(&self, request: &CommitRequest) -> Result<Committed, EngineError> {
        let committed = self.engine.ports.repositories.commit(request, &self.log).await?;
        for edit in &committed.taken_over {
            let by = edit
                .commit
                .as_ref()
                .map(|by| format!(", by {} ({})", by.author, by.commit.short()));
            let message =
                format!("taken over: {} was changed{}", edit.path, by.unwrap_or_default());
            self.log.line(LogLevel::Warn, message);
        }
        let (commit, branch) = (committed.commit.short(), &request.branch.name);
        let message = match (committed.changed, &request.proposal) {
            (true, None) => format!("committed {commit} to {branch}"),
            (true, Some(proposal)) => format!("committed {commit} to {proposal}"),
            (false, _) => format!("{branch} has it already, at {commit}: nothing to commit"),
        };
        self.log.line(LogLevel::Info, message);
        Ok(committed)
    }

    fn brought(
        &self,
        git: &GitSpec,
        commit: deployd_core::ports::CommitId,
        files: Files,
        changed: bool,
        pull_request: Option<PullRequest>,
    ) -> Result<(), EngineError> {
        let (repository, branch) = (git.repository.clone(), git.branch.clone());
        let digest = object(&files)?.digest;
        let published =
            Published { repository, branch, commit, files: digest, changed, pull_request };
        self.brought.note(published, files);
        Ok(())
    }

    async fn commit_request(
        &self,
        plan: &Plan,
        git: &GitSpec,
        wanted: &Wanted,
        proposal: Option<String>,
    ) -> Result<CommitRequest, EngineError> {
        let objects = pull::paths(&git.path, &wanted.namespace, wanted.objects.iter())
            .map_err(|error| Fault::invalid("git-path-invalid", error.to_string()))?;
        let mut files = BTreeMap::new();
        for (path, object) in objects {
            files.insert(path, yaml(&object)?.into_bytes());
        }
        let mut owned = self.ours_left().await?;
        let kept = self.kept(git, &wanted.namespace).await?;
        owned.retain(|path, _| files.contains_key(path) || !kept.contains(path));
        let at = self.step.started.unwrap_or_else(|| self.engine.ports.clock.now());
        let signing_key = match &git.signing_key_secret {
            Some(name) => Some(self.engine.of_operator(name).await?),
            None => None,
        };
        Ok(CommitRequest {
            branch: self.engine.branch(git).await?,
            proposal,
            files,
            owned,
            take_over: wanted.take_over || plan.take_over_fields,
            message: self.message(plan).await?,
            key: self.commit_key(wanted.nth.place),
            later: (wanted.nth.place + 1..wanted.nth.of).map(|it| self.commit_key(it)).collect(),
            author: git.author.clone().unwrap_or_else(deployd),
            at,
            signing_key,
            again: self.step.attempts > 1 && !seeded(Bug::CommitMadeTwice),
        })
    }

    fn commit_key(&self, place: usize) -> String {
        format!("{}-{place}", self.step.key)
    }

    /// Our files, as this step, or the last one that has brought any, has left them.
    async fn ours_left(&self) -> Result<Files, EngineError> {
        if let Some((_, files)) = self.brought.get() {
            return Ok(files);
        }
        match &self.state.published {
            Some(known) => match &self.plan().await?.pull {
                Some(git) => self.engine.left(Some(known), git).await,
                None => Ok(Files::new()),
            },
            None => Ok(Files::new()),
        }
    }

    /// Files that earlier manifests had, and that went with the last commit: a revision
    /// that still has one is older than that.
    pub(super) async fn gone(
        &self,
        git: &GitSpec,
        namespace: &str,
        files: &Files,
    ) -> Result<BTreeSet<String>, EngineError> {
        let mut gone = BTreeSet::new();
        let deployed = self.state.deployed.iter().map(|deployed| deployed.manifests);
        for digest in self.state.applied.iter().copied().chain(deployed) {
            let manifests = self.manifests_at(digest).await?;
            for manifest in manifests.objects.iter().filter(|it| !pull::stays(&it.object)) {
                gone.extend(pull::path_of(&git.path, namespace, &manifest.object).ok());
            }
        }
        gone.retain(|path| !files.contains_key(path));
        Ok(gone)
    }

    /// Files of objects that stay in the cluster although nobody asks for them any more:
    /// whoever pulls the branch would take them away with their files.
    async fn kept(&self, git: &GitSpec, namespace: &str) -> Result<BTreeSet<String>, EngineError> {
        let mut kept = BTreeSet::new();
        for digest in &self.state.applied {
            let manifests = self.manifests_at(*digest).await?;
            for manifest in manifests.objects.iter().filter(|it| pull::stays(&it.object)) {
                kept.extend(pull::path_of(&git.path, namespace, &manifest.object).ok());
            }
        }
        Ok(kept)
    }

    /// The same by a pull request: committed to a branch of its own, which somebody
    /// merges.
    async fn by_request(
        &self,
        plan: &Plan,
        git: &GitSpec,
        forge: &Forge,
        wanted: Wanted,
    ) -> Result<Came, EngineError> {
        let proposal = Some(self.proposal_branch());
        let request = self.commit_request(plan, git, &wanted, proposal).await?;
        self.proposed(plan, git, forge, &wanted, request).await
    }

    async fn proposed(
        &self,
        plan: &Plan,
        git: &GitSpec,
        forge: &Forge,
        wanted: &Wanted,
        request: CommitRequest,
    ) -> Result<Came, EngineError> {
        let forges = &self.engine.ports.forges;
        let number = self.step.operation.as_deref().and_then(|token| token.parse().ok());
        let request = match number {
            Some(number) => forges.look(forge, number, &self.log).await?,
            None => {
                let committed = self.commit(&request).await?;
                if !committed.changed {
                    self.brought(git, committed.commit, committed.files, false, None)?;
                    return Ok(Came::There);
                }
                let proposal = Proposal {
                    from: self.proposal_branch(),
                    into: git.branch.clone(),
                    title: self.title(plan).await?,
                    body: self.body(plan).await?,
                };
                forges.propose(forge, &proposal, &self.log).await?
            }
        };
        match &request.state {
            PullRequestState::Open => Ok(Came::Waits(self.waits(&request))),
            PullRequestState::Merged { .. } => {
                self.merged(git, wanted, request).await?;
                Ok(Came::There)
            }
            PullRequestState::Closed { by, .. } => {
                let by = by.as_deref().unwrap_or("somebody");
                let message = format!("{by} has closed the pull request {}", request.url);
                Err(Fault::denied(CLOSED, message).into())
            }
        }
    }

    fn waits(&self, request: &PullRequest) -> Ended {
        let now = self.engine.ports.clock.now();
        let waited = now.0.saturating_sub(self.step.started.unwrap_or(now).0);
        Ended::Pending {
            token: request.number.to_string(),
            poll_after_ms: (waited / LOOK_PART).clamp(LOOK_MS_MIN, LOOK_MS_MAX),
            message: format!("waits until {} is merged", request.url),
        }
    }

    /// What was merged has to be what was proposed: somebody may have changed it.
    async fn merged(
        &self,
        git: &GitSpec,
        wanted: &Wanted,
        request: PullRequest,
    ) -> Result<(), EngineError> {
        let PullRequestState::Merged { commit, by, .. } = &request.state else { return Ok(()) };
        let by = by.as_deref().unwrap_or("somebody");
        self.log.line(LogLevel::Info, format!("{by} has merged {} as {commit}", request.url));
        let repositories = &self.engine.ports.repositories;
        let branch = self.engine.branch(git).await?;
        let revision = Revision::Commit(commit.clone());
        let found = repositories.files(&branch, &revision, &git.path, &self.log).await?;
        let objects = pull::paths(&git.path, &wanted.namespace, wanted.objects.iter())
            .map_err(|error| Fault::invalid("git-path-invalid", error.to_string()))?;
        let ours = |path: &String| objects.contains_key(path);
        let files: Files = found.files.into_iter().filter(|(path, _)| ours(path)).collect();
        let commit = commit.clone();
        let contents: Vec<BlobId> = files.values().cloned().collect();
        let contents =
            repositories.contents(&branch, &contents, MERGED_BYTES_MAX, &self.log).await?;
        let mut others = Vec::new();
        for (path, object) in &objects {
            let found = files.get(path).and_then(|blob| contents.get(blob));
            if found.map(Vec::as_slice) != Some(yaml(object)?.as_bytes()) {
                others.push(path.as_str());
            }
        }
        let url = request.url.clone();
        self.brought(git, commit, files, true, Some(request))?;
        // Nobody needs it any more; that it is still there does no harm.
        let proposal = Branch { name: self.proposal_branch(), ..branch };
        if let Err(fault) = repositories.remove_branch(&proposal, &self.log).await {
            let message = format!("the branch {} is left: {fault}", proposal.name);
            self.log.line(LogLevel::Warn, message);
        }
        if others.is_empty() {
            return Ok(());
        }
        Err(Fault::conflict(
            EDITED,
            format!(
                "{url} was changed before it was merged, and is not what was planned any more: {}. \
                 What ran before is brought back; change it where it comes from, and deploy that",
                others.join(", ")
            ),
        )
        .into())
    }

    /// The branch that a step's proposal is on.
    fn proposal_branch(&self) -> String {
        let environment = &self.environment;
        let of = match self.step.kind {
            StepKind::Propose | StepKind::Withdraw => String::new(),
            _ => format!("-{}", self.step.id.0.replace(':', "-")),
        };
        format!("deployd/{environment}/{}{of}", self.deployment.id.0)
    }

    /// Proposes what is rendered, and waits until somebody has merged it.
    pub(super) async fn propose(&self) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        let git = pulled_from(&plan)?;
        let manifests = self.rendered().await?;
        let wanted = Wanted {
            objects: self.whole(&manifests).await?,
            namespace: manifests.namespace.clone(),
            nth: Nth::ONLY,
            take_over: false,
        };
        match self.publish(&plan, git, wanted).await? {
            Came::There | Came::Past => Ok(Ended::Done(None)),
            Came::Waits(ended) => Ok(ended),
        }
    }

    /// Closes the pull request that this deployment has opened. One that was merged
    /// meanwhile is on the branch, which is recorded.
    pub(super) async fn withdraw(&self) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        let git = pulled_from(&plan)?;
        let forge = forge(git).ok_or_else(|| EngineError::bug("a request without a forge"))?;
        let proposed = self.deployment.steps.find("propose");
        let operation = proposed.and_then(|step| step.operation.as_deref());
        let branch = self.engine.branch(git).await?;
        if let Some(number) = operation.and_then(|token| token.parse().ok()) {
            let why = match (&self.deployment.superseded, &self.deployment.cancel) {
                (Some(by), _) => format!("{by} takes its place."),
                (None, Some(reason)) if !reason.is_empty() => format!("It was cancelled: {reason}"),
                (None, Some(_)) => "It was cancelled.".to_owned(),
                (None, None) => "It has failed.".to_owned(),
            };
            let comment = format!("deployd closes this request of {}. {why}", self.deployment.id.0);
            let forges = &self.engine.ports.forges;
            let request = forges.close(&forge, number, &comment, &self.log).await?;
            if let PullRequestState::Merged { .. } = &request.state {
                let manifests = self.rendered().await?;
                let wanted = Wanted {
                    objects: self.whole(&manifests).await?,
                    namespace: manifests.namespace.clone(),
                    nth: Nth::ONLY,
                    take_over: false,
                };
                self.merged(git, &wanted, request).await?;
                return Ok(Ended::Done(None));
            }
            self.log.line(LogLevel::Info, format!("{} is closed", request.url));
        }
        let proposal = Branch { name: self.proposal_branch(), ..branch };
        self.engine.ports.repositories.remove_branch(&proposal, &self.log).await?;
        Ok(Ended::Done(None))
    }

    /// Whether any step of this deployment has changed the branch.
    pub(super) fn has_committed(&self) -> bool {
        let changed = |published: &Published| published.changed;
        let before = self.deployment.steps.iter().filter(|step| step.id != self.step.id);
        // What became of an attempt that came to nothing is known once it is looked for:
        // with the files of another deployment there is nothing to bring back.
        before.into_iter().any(|step| {
            step.published.as_deref().is_some_and(changed)
                || (step.status == StepStatus::Failed && step.published.is_none() && commits(step))
        })
    }

    /// All objects of manifests, and those of resources that stay though nothing asks for
    /// them.
    pub(super) async fn whole(&self, manifests: &Manifests) -> Result<Vec<Manifest>, EngineError> {
        let mut all = manifests.objects.clone();
        let known = manifests.references();
        let kept = self.objects_of_resources(|uid| !self.is_destroyed(uid)).await?;
        let is_known =
            |it: &Manifest| manifests.reference(&it.object).is_some_and(|it| known.contains(&it));
        all.extend(kept.into_iter().filter(|manifest| !is_known(manifest)));
        Ok(all)
    }
}

/// Whether a step may have committed something, although it has not said so.
fn commits(step: &Step) -> bool {
    let refused = |fault: &Fault| fault.code == EDITED || fault.class == FaultClass::Denied;
    let by_action = |action: &Action| !action.is_waiting();
    step.fault.as_ref().is_some_and(|fault| !refused(fault))
        && match &step.kind {
            StepKind::Rollout { action } => by_action(action),
            StepKind::ApplyResources | StepKind::Propose => true,
            _ => false,
        }
}

/// What of a pull request is read again once it is merged: the manifests of one
/// environment, and no more.
const MERGED_BYTES_MAX: usize = 64 << 20;

/// Where a plan's environment is pulled from.
pub(super) fn pulled_from(plan: &Plan) -> Result<&GitSpec, EngineError> {
    plan.pull.as_ref().ok_or_else(|| EngineError::bug("an environment that is not pulled"))
}

/// Lines are not folded: a difference of manifests is to show what has changed.
const FOLD_CHARS: usize = usize::MAX;

/// An object as a file has it.
pub(crate) fn yaml(object: &serde_json::Value) -> Result<String, EngineError> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: FOLD_CHARS };
    serde_saphyr::to_string_with_options(object, options).map_err(EngineError::bug)
}
