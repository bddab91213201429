//! A repository with its branches, a forge with its pull requests, and somebody who
//! pulls one of the branches to the cluster.

use std::collections::BTreeMap;

use async_trait::async_trait;
use deployd_core::ports::{
    BlobId, Branch, CallLog, CommitId, CommitRequest, CommitSummary, Committed, EDITED, FilesAt,
    ForeignChange, ForeignEdit, Forge, Forges, ObjectRef, Proposal, PullRequest, PullRequestState,
    Repositories, Revision,
};
use deployd_core::{Digest, Fault, Timestamp};
use serde_json::{Value, json};

use super::Instance;

pub type Contents = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Clone)]
pub struct Commit {
    pub id: CommitId,
    pub parent: Option<usize>,
    pub files: Contents,
    pub key: String,
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub from: String,
    pub into: String,
    pub title: String,
    pub body: String,
    pub state: PullRequestState,
}

/// Outlives crashes of the engine.
#[derive(Debug, Default)]
pub struct GitWorld {
    pub commits: Vec<Commit>,
    pub branches: BTreeMap<String, usize>,
    pub requests: Vec<Request>,
    /// Faults of commits, first to last.
    pub faults: Vec<Fault>,
    /// Nobody pulls.
    pub unpulled: bool,
    /// What was pulled last, by its files.
    pulled: BTreeMap<String, ObjectRef>,
}

fn blob(bytes: &[u8]) -> BlobId {
    BlobId(Digest::of(bytes).hex())
}

fn blobs(files: &Contents) -> BTreeMap<String, BlobId> {
    files.iter().map(|(path, bytes)| (path.clone(), blob(bytes))).collect()
}

impl GitWorld {
    pub fn head(&self, branch: &str) -> Option<&Commit> {
        self.branches.get(branch).map(|place| &self.commits[*place])
    }

    /// The commits of a branch, the newest first.
    pub fn log(&self, branch: &str) -> Vec<&Commit> {
        let mut next = self.branches.get(branch).copied();
        let mut found = Vec::new();
        while let Some(place) = next {
            found.push(&self.commits[place]);
            next = self.commits[place].parent;
        }
        found
    }

    /// A commit of somebody else, or of ours.
    pub fn push(&mut self, branch: &str, files: Contents, key: &str, message: &str) -> CommitId {
        let parent = self.branches.get(branch).copied();
        let id =
            CommitId(Digest::of(format!("{parent:?} {key} {message} {files:?}").as_bytes()).hex());
        let (key, message) = (key.to_owned(), message.to_owned());
        self.commits.push(Commit { id: id.clone(), parent, files, key, message });
        self.branches.insert(branch.to_owned(), self.commits.len() - 1);
        id
    }

    /// Somebody changes a file by hand.
    pub fn edit(&mut self, branch: &str, path: &str, text: Option<&str>) {
        let mut files = self.head(branch).map(|head| head.files.clone()).unwrap_or_default();
        match text {
            Some(text) => files.insert(path.to_owned(), text.as_bytes().to_vec()),
            None => files.remove(path),
        };
        self.push(branch, files, "", "by hand");
    }

    /// Somebody merges a pull request, as one commit of their own.
    pub fn merge(&mut self, number: u64, by: &str) {
        let place = number as usize - 1;
        let Request { from, into, title, .. } = self.requests[place].clone();
        let files = self.head(&from).unwrap().files.clone();
        let commit = self.push(&into, files, "", &title);
        let by = Some(by.to_owned());
        self.requests[place].state = PullRequestState::Merged { commit, by, at: None };
    }

    pub fn close(&mut self, number: u64, by: &str) {
        let by = Some(by.to_owned());
        self.requests[number as usize - 1].state = PullRequestState::Closed { by, at: None };
    }

    fn find(&self, branch: &str, key: &str) -> Option<&Commit> {
        self.log(branch).into_iter().find(|commit| commit.key == key)
    }
}

fn edits(request: &CommitRequest, there: &Contents) -> Vec<ForeignEdit> {
    let edit =
        |path: &String, change| Some(ForeignEdit { path: path.clone(), change, commit: None });
    let paths = request.files.keys().chain(request.owned.keys());
    let mut found: Vec<ForeignEdit> = paths
        .filter_map(|path| match (there.get(path), request.owned.get(path)) {
            (Some(bytes), _) if request.files.get(path) == Some(bytes) => None,
            (Some(bytes), Some(left)) if blob(bytes) == *left => None,
            (Some(_), Some(_)) => edit(path, ForeignChange::Changed),
            (Some(_), None) => edit(path, ForeignChange::Added),
            (None, Some(_)) if request.files.contains_key(path) => {
                edit(path, ForeignChange::Removed)
            }
            (None, _) => None,
        })
        .collect();
    found.dedup();
    found
}

#[async_trait]
impl Repositories for Instance {
    async fn commit(&self, request: &CommitRequest, _: &CallLog) -> Result<Committed, Fault> {
        let committed = self
            .operation("commit", async {
                let mut git = self.world.git();
                if !git.faults.is_empty() {
                    return Err(git.faults.remove(0));
                }
                let onto = request.proposal.as_ref().unwrap_or(&request.branch.name);
                let is_there = request.again || request.proposal.is_some();
                let later = request.later.iter().find_map(|key| git.find(onto, key));
                let past = later.is_some();
                let known = later.or_else(|| git.find(onto, &request.key));
                if let Some(known) = known.filter(|_| is_there) {
                    let (commit, files) = (known.id.clone(), blobs(&known.files));
                    let files = files.into_iter().filter(|(p, _)| request.files.contains_key(p));
                    let files = files.collect();
                    let taken_over = Vec::new();
                    return Ok(Committed { commit, files, changed: true, past, taken_over });
                }
                let head = git.head(&request.branch.name);
                let there = head.map(|head| head.files.clone()).unwrap_or_default();
                let taken_over = edits(request, &there);
                if !taken_over.is_empty() && !request.take_over {
                    let names: Vec<&str> =
                        taken_over.iter().map(|edit| edit.path.as_str()).collect();
                    return Err(Fault::conflict(EDITED, format!("changed by others: {names:?}")));
                }
                let mut wanted = there.clone();
                wanted.retain(|path, _| !request.owned.contains_key(path));
                wanted.extend(request.files.clone());
                let files = blobs(&request.files);
                if wanted == there
                    && let Some(head) = head
                {
                    let commit = head.id.clone();
                    return Ok(Committed {
                        commit,
                        files,
                        changed: false,
                        past: false,
                        taken_over,
                    });
                }
                if request.proposal.is_some() {
                    let base = git.branches.get(&request.branch.name).copied();
                    if let Some(base) = base {
                        git.branches.insert(onto.clone(), base);
                    }
                }
                let commit = git.push(onto, wanted, &request.key, &request.message);
                Ok(Committed { commit, files, changed: true, past: false, taken_over })
            })
            .await?;
        self.world.pull();
        Ok(committed)
    }

    async fn files(
        &self,
        branch: &Branch,
        revision: &Revision,
        directory: &str,
        _: &CallLog,
    ) -> Result<FilesAt, Fault> {
        self.look("files", async {
            let git = self.world.git();
            let found = match revision {
                Revision::Head => git.head(&branch.name),
                Revision::Commit(id) => git.commits.iter().find(|commit| commit.id == *id),
            };
            let found = found.ok_or_else(|| Fault::invalid("git-not-found", "no such commit"))?;
            let within = |path: &String| path.starts_with(directory);
            Ok(FilesAt {
                commit: CommitSummary {
                    commit: found.id.clone(),
                    author: "somebody <s@x.test>".to_owned(),
                    at: Timestamp(0),
                    subject: found.message.lines().next().unwrap_or_default().to_owned(),
                },
                files: blobs(&found.files).into_iter().filter(|(path, _)| within(path)).collect(),
            })
        })
        .await
    }

    async fn contents(
        &self,
        _: &Branch,
        wanted: &[BlobId],
        _: usize,
        _: &CallLog,
    ) -> Result<BTreeMap<BlobId, Vec<u8>>, Fault> {
        let git = self.world.git();
        let all = git.commits.iter().flat_map(|commit| commit.files.values());
        let named = all.map(|bytes| (blob(bytes), bytes.clone()));
        Ok(named.filter(|(blob, _)| wanted.contains(blob)).collect())
    }

    async fn remove_branch(&self, branch: &Branch, _: &CallLog) -> Result<(), Fault> {
        self.operation("remove-branch", async {
            self.world.git().branches.remove(&branch.name);
            Ok(())
        })
        .await
    }
}

impl crate::world::World {
    /// Who pulls does so now, if anybody does.
    pub fn pull(&self) {
        let mut git = self.git();
        if git.unpulled {
            return;
        }
        let files = git.head("main").map(|head| head.files.clone()).unwrap_or_default();
        let mut cluster = self.cluster();
        let mut there = BTreeMap::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".yaml")) {
            let text = std::str::from_utf8(bytes).unwrap();
            let object: Value = serde_saphyr::from_str(text).unwrap();
            let Some(mut reference) = ObjectRef::of(&object) else { continue };
            reference.namespace.get_or_insert_with(|| "shop-development".to_owned());
            cluster.objects.insert(reference.clone(), object);
            there.insert(path.clone(), reference);
        }
        let before = std::mem::replace(&mut git.pulled, there.clone());
        for (path, reference) in before {
            if !there.contains_key(&path) {
                cluster.objects.remove(&reference);
            }
        }
    }
}

#[async_trait]
impl Forges for Instance {
    async fn propose(
        &self,
        _: &Forge,
        proposal: &Proposal,
        _: &CallLog,
    ) -> Result<PullRequest, Fault> {
        self.operation("propose", async {
            let mut git = self.world.git();
            let known = git.requests.iter().position(|it| it.from == proposal.from);
            let place = known.unwrap_or_else(|| {
                git.requests.push(Request {
                    from: proposal.from.clone(),
                    into: proposal.into.clone(),
                    title: proposal.title.clone(),
                    body: proposal.body.clone(),
                    state: PullRequestState::Open,
                });
                git.requests.len() - 1
            });
            Ok(request(&git, place as u64 + 1))
        })
        .await
    }

    async fn look(&self, _: &Forge, number: u64, _: &CallLog) -> Result<PullRequest, Fault> {
        Ok(request(&self.world.git(), number))
    }

    async fn close(
        &self,
        _: &Forge,
        number: u64,
        _: &str,
        _: &CallLog,
    ) -> Result<PullRequest, Fault> {
        self.operation("close", async {
            let mut git = self.world.git();
            if git.requests[number as usize - 1].state == PullRequestState::Open {
                git.close(number, "deployd");
            }
            Ok(request(&git, number))
        })
        .await
    }
}

fn request(git: &GitWorld, number: u64) -> PullRequest {
    let state = git.requests[number as usize - 1].state.clone();
    PullRequest { number, url: format!("https://forge.test/pulls/{number}"), state }
}

/// The part of an environment type's document that has it pulled.
pub fn pulled() -> Value {
    json!({
        "target": "git",
        "git": {
            "repository": "https://git.test/environments.git",
            "path": "apps/{application}/{environment}",
        },
    })
}
