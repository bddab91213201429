//! A repository as one login sees it, and what is read of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deployd_core::Fault;
use tokio::sync::Semaphore;

use crate::cache::{Cache, Owner};
use crate::commit::Commit;
use crate::fault;
use crate::id::{Kind, ObjectId};
use crate::pack::{self, Keep, Object};
use crate::protocol::{Capabilities, Fetch, Filter, head_request, read_fetched, read_heads};
use crate::snapshot::Snapshot;
use crate::transport::{Route, Service, Session};

/// What trees and commits may have together that are fetched at once, decompressed.
const KEPT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Servers whose capabilities are remembered, and branches whose heads are.
const REMEMBERED: usize = 10_000;
/// Fetches at the same time, of all repositories together.
const FETCHES_MAX: usize = 16;
/// How many objects are asked for at once: some hundred KiB of request.
const WANTS_MAX: usize = 4_000;

/// What is remembered of all repositories. It can be lost at any time.
#[derive(Default)]
pub(crate) struct Memory {
    cache: Mutex<Cache>,
    capabilities: Mutex<HashMap<Owner, Capabilities>>,
    /// By repository and branch: the last head that was seen.
    heads: Mutex<HashMap<(Owner, String), ObjectId>>,
    turns: Turns,
}

/// Who may fetch: each may need as much memory as an answer may have, and more.
struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(FETCHES_MAX))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers one more, and forgets all others when they are too many.
fn remember<K: Eq + std::hash::Hash, V>(memory: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut memory = locked(memory);
    if memory.len() >= REMEMBERED {
        memory.clear();
    }
    memory.insert(key, value);
}

impl Memory {
    /// The content of an object, if it is kept.
    pub(crate) fn get(&self, owner: &Owner, id: ObjectId, kind: Kind) -> Option<Arc<[u8]>> {
        locked(&self.cache).get(owner, id, kind)
    }
}

/// A repository.
pub(crate) struct Repository {
    /// As people wrote it.
    pub(crate) name: String,
    pub(crate) owner: Owner,
    pub(crate) route: Route,
    pub(crate) memory: Arc<Memory>,
}

impl Repository {
    /// What is known of its trees.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.memory), Arc::clone(&self.owner))
    }

    /// Keeps objects.
    pub(crate) fn keep(&self, objects: impl IntoIterator<Item = Object>) {
        locked(&self.memory.cache).put(&self.owner, objects);
    }

    /// Notes where a branch is.
    pub(crate) fn saw(&self, branch: &str, head: ObjectId) {
        remember(&self.memory.heads, (Arc::clone(&self.owner), branch.to_owned()), head);
    }

    /// Where a branch was when it was seen last.
    fn seen(&self, branch: &str) -> Option<ObjectId> {
        let key = (Arc::clone(&self.owner), branch.to_owned());
        locked(&self.memory.heads).get(&key).copied()
    }

    /// A commit that is kept.
    fn kept_commit(&self, id: ObjectId) -> Option<Commit> {
        Commit::read(id, &self.memory.get(&self.owner, id, Kind::Commit)?)
    }
}

/// Reads from a repository; connects when it has to.
pub(crate) struct Reader<'a> {
    pub(crate) repository: &'a Repository,
    open: Option<(Session<'a>, Capabilities)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(repository: &'a Repository) -> Self {
        Self { repository, open: None }
    }

    async fn connect(&self) -> Result<(Session<'a>, Capabilities), Fault> {
        let repository = self.repository;
        let known = locked(&repository.memory.capabilities).get(&repository.owner).copied();
        if let Some(known) = known
            && let Some(session) = repository.route.resume(Service::UploadPack)
        {
            return Ok((session, known));
        }
        let (session, told) = repository.route.open(Service::UploadPack).await?;
        let capabilities = Capabilities::read(&told)?;
        let owner = Arc::clone(&repository.owner);
        remember(&repository.memory.capabilities, owner, capabilities);
        Ok((session, capabilities))
    }

    /// Asks. What is known of the server is forgotten when it refuses: it may have changed.
    async fn ask<T>(
        &mut self,
        request: impl FnOnce(Capabilities) -> Vec<u8>,
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (mut session, capabilities) = match self.open.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let answer = session.ask(request(capabilities)).await;
        match answer.and_then(|answer| read(&answer)) {
            Ok(read) => {
                self.open = Some((session, capabilities));
                Ok(read)
            }
            Err(fault) => {
                locked(&self.repository.memory.capabilities).remove(&self.repository.owner);
                Err(fault)
            }
        }
    }

    /// Where a branch is, and whether it is the one that `HEAD` is.
    pub(crate) async fn head(&mut self, branch: &str) -> Result<(Option<ObjectId>, bool), Fault> {
        let name = branch.to_owned();
        self.ask(|server| head_request(branch, server), |answer| read_heads(answer, &name)).await
    }

    /// Fetches, and keeps what may be needed again.
    pub(crate) async fn fetch(
        &mut self,
        fetch: Fetch<'_>,
        keep: Keep,
    ) -> Result<Vec<Object>, Fault> {
        let objects = self.fetch_once(fetch, keep).await?;
        self.repository.keep(objects.iter().cloned());
        Ok(objects)
    }

    /// Fetches what is needed now.
    async fn fetch_once(&mut self, fetch: Fetch<'_>, keep: Keep) -> Result<Vec<Object>, Fault> {
        // Never closed; and a turn is not kept for longer than an answer may take.
        let _turn = self.repository.memory.turns.0.acquire().await;
        let pack = self.ask(|server| fetch.request(server), read_fetched).await?;
        blocking(move || pack::read(&pack, keep)).await?
    }

    /// Fetches trees and commits, and no contents of files.
    async fn fetch_trees(
        &mut self,
        wants: &[ObjectId],
        have: Option<ObjectId>,
        depth: Option<u32>,
        filter: Filter,
    ) -> Result<Vec<Object>, Fault> {
        let keep = Keep { blobs: false, bytes_max: KEPT_BYTES_MAX };
        self.fetch(Fetch { wants, have, depth, filter }, keep).await
    }

    /// The commit that a branch is at. A server may not have it any more, or not yet on each
    /// of its machines: that passes.
    pub(crate) async fn head_commit(
        &mut self,
        id: ObjectId,
        branch: &str,
    ) -> Result<Commit, Fault> {
        self.commit(id, Some(branch)).await.map_err(|fault| match fault.code.as_str() {
            fault::NOT_FOUND => fault::unreachable(fault.message),
            _ => fault,
        })
    }

    /// A commit; its trees are fetched with it if they are not too many. `branch` is the one
    /// that it is the head of.
    pub(crate) async fn commit(
        &mut self,
        id: ObjectId,
        branch: Option<&str>,
    ) -> Result<Commit, Fault> {
        if let Some(kept) = self.repository.kept_commit(id) {
            if let Some(branch) = branch {
                self.repository.saw(branch, id);
            }
            return Ok(kept);
        }
        let have = branch.and_then(|branch| self.repository.seen(branch));
        // What a server has forgotten it does not take for known, and sends all.
        let have = have.filter(|have| self.repository.kept_commit(*have).is_some());
        let fetched = match self.fetch_trees(&[id], have, Some(1), Filter::Blobs).await {
            Err(fault) if fault.code == fault::TOO_LARGE => {
                self.fetch_trees(&[id], None, Some(1), Filter::Trees).await?
            }
            other => other?,
        };
        let found = fetched.iter().find(|object| object.id == id && object.kind == Kind::Commit);
        let commit = found.and_then(|object| Commit::read(id, &object.content));
        let commit = commit.ok_or_else(|| {
            fault::not_found(format!("{id} is no commit in {}", self.repository.name))
        })?;
        if let Some(branch) = branch {
            self.repository.saw(branch, id);
        }
        Ok(commit)
    }

    /// Commits from one on, so many generations, without their trees where the server can
    /// leave them out.
    pub(crate) async fn commits(
        &mut self,
        tip: ObjectId,
        depth: u32,
    ) -> Result<Vec<Commit>, Fault> {
        let keep = Keep { blobs: false, bytes_max: KEPT_BYTES_MAX };
        let fetch = Fetch { wants: &[tip], have: None, depth: Some(depth), filter: Filter::Trees };
        // A commit that is kept is taken for one whose trees have been fetched with it.
        Ok(read_commits(&self.fetch_once(fetch, keep).await?))
    }

    /// The same with their trees, which the snapshot holds from then on.
    pub(crate) async fn commits_with_trees(
        &mut self,
        tip: ObjectId,
        depth: u32,
        snapshot: &mut Snapshot,
    ) -> Result<Vec<Commit>, Fault> {
        let objects = self.fetch_trees(&[tip], None, Some(depth), Filter::Blobs).await?;
        snapshot.hold(&objects);
        Ok(read_commits(&objects))
    }

    /// Has a snapshot hold trees.
    pub(crate) async fn trees(
        &mut self,
        missing: &BTreeSet<ObjectId>,
        snapshot: &mut Snapshot,
    ) -> Result<(), Fault> {
        let wants: Vec<ObjectId> = missing.iter().copied().collect();
        for wants in wants.chunks(WANTS_MAX) {
            let objects = self.fetch_trees(wants, None, None, Filter::Trees).await?;
            snapshot.hold(&objects);
            for want in wants {
                if !snapshot.holds(*want) {
                    return Err(fault::invalid(format!(
                        "the server of {} has no tree {want}, which its commits name",
                        self.repository.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Looks at trees until all that is needed is there. The function tells which are
    /// missing, and is asked again when they are not any more.
    pub(crate) async fn look<T: Send + 'static>(
        &mut self,
        mut snapshot: Snapshot,
        look: impl Fn(&mut Snapshot) -> Result<Looked<T>, Fault> + Send + Sync + 'static,
    ) -> Result<(Snapshot, T), Fault> {
        let look = Arc::new(look);
        loop {
            let again = Arc::clone(&look);
            let (mut held, looked) = blocking(move || {
                let looked = again(&mut snapshot);
                (snapshot, looked)
            })
            .await?;
            match looked? {
                Looked::All(found) => return Ok((held, found)),
                Looked::Missing(missing) => self.trees(&missing, &mut held).await?,
            }
            // Each time, all trees are one level deeper; paths and listings are bounded.
            snapshot = held;
        }
    }
}

/// What came of looking at trees.
pub(crate) enum Looked<T> {
    /// All was there.
    All(T),
    /// These trees are needed as well.
    Missing(BTreeSet<ObjectId>),
}

fn read_commits(objects: &[Object]) -> Vec<Commit> {
    let commits = objects.iter().filter(|object| object.kind == Kind::Commit);
    commits.filter_map(|object| Commit::read(object.id, &object.content)).collect()
}

/// Does what takes long where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Fault::bug("git-broken", format!("work on a repository broke off: {error}"))
    })
}
