//! The port `Repositories`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{
    BlobId, Branch, CallLog, CommitRequest, Committed, Egress, FilesAt, LogLevel, Random,
    Repositories, Revision, Uses,
};
use sha2::{Digest as _, Sha256};

use crate::address::Address;
use crate::cache::Owner;
use crate::group::{Pending, Target};
use crate::id::{Kind, ObjectId};
use crate::lanes::Lanes;
use crate::order::Order;
use crate::pack::Keep;
use crate::protocol::{Fetch, Filter};
use crate::repository::{Memory, Reader, Repository, blocking};
use crate::snapshot::Snapshot;
use crate::transport::Route;
use crate::{fault, path, removal};

/// How many files are read at once.
const CONTENTS_MAX: usize = 4_000;

/// Git repositories, through the one way out. What it remembers is bounded, and only ever
/// saves time.
pub struct GitRepositories {
    egress: Arc<dyn Egress>,
    uses: Arc<dyn Uses>,
    random: Arc<dyn Random>,
    memory: Arc<Memory>,
    lanes: Lanes,
}

impl GitRepositories {
    /// Repositories that are reached by this way out, whose uses are told to this one. Chance
    /// decides who waits how long after a collision.
    pub fn new(egress: Arc<dyn Egress>, uses: Arc<dyn Uses>, random: Arc<dyn Random>) -> Self {
        Self { egress, uses, random, memory: Arc::default(), lanes: Lanes::default() }
    }

    fn repository(&self, branch: &Branch) -> Result<Repository, Fault> {
        path::check_branch(&branch.name)?;
        let address = Address::read(&branch.repository)?;
        let owner = owner(branch);
        let (egress, uses) = (Arc::clone(&self.egress), Arc::clone(&self.uses));
        let route = Route::new(address, &branch.grants, branch.ssh.clone(), egress, uses);
        let name = branch.repository.clone();
        Ok(Repository { name, owner, route, memory: Arc::clone(&self.memory) })
    }
}

/// Who sees a repository by which login: what one login has seen is shown to no other.
fn owner(branch: &Branch) -> Owner {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part);
    };
    add(branch.repository.as_bytes());
    add(&serde_json::to_vec(&*branch.grants).unwrap_or_default());
    if let Some(ssh) = &branch.ssh {
        add(ssh.key.expose());
        ssh.host_keys.iter().for_each(|key| add(key.as_bytes()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[async_trait]
impl Repositories for GitRepositories {
    async fn commit(&self, request: &CommitRequest, log: &CallLog) -> Result<Committed, Fault> {
        let repository = Arc::new(self.repository(&request.branch)?);
        let request = request.clone();
        let order = Arc::new(blocking(move || Order::new(request)).await??);
        let (base, proposal) = (order.request.branch.name.clone(), order.request.proposal.clone());
        // A space is in no name of a branch.
        let lane = match &proposal {
            Some(proposal) => format!("{base} {proposal}"),
            None => base.clone(),
        };
        let key = (Arc::clone(&repository.owner), lane);
        let random = Arc::clone(&self.random);
        let target = Target { repository, base, proposal, random };
        let again = order.request.again;
        let reply = self.lanes.serve(key, target, Pending { order, again }).await?;
        for line in reply.lines {
            log.line(line.level, line.message);
        }
        reply.result
    }

    async fn files(
        &self,
        branch: &Branch,
        revision: &Revision,
        directory: &str,
        log: &CallLog,
    ) -> Result<FilesAt, Fault> {
        if !directory.is_empty() {
            path::check(directory)?;
        }
        let repository = self.repository(branch)?;
        let mut reader = Reader::new(&repository);
        let commit = match revision {
            Revision::Head => {
                let (head, _) = reader.head(&branch.name).await?;
                let head = head.ok_or_else(|| no_branch(branch))?;
                reader.head_commit(head, &branch.name).await?
            }
            Revision::Commit(id) => reader.commit(read_id(&id.0)?, None).await?,
        };
        let (tree, place) = (commit.tree, directory.to_owned());
        let look = move |snapshot: &mut Snapshot| snapshot.files(tree, &place);
        let (_, listing) = reader.look(repository.snapshot(), look).await?;
        if listing.skipped > 0 {
            let message = format!(
                "{} names in {:?} are none that files can have everywhere, and are left out",
                listing.skipped, directory
            );
            log.line(LogLevel::Warn, message);
        }
        let files = listing.files.into_iter().map(|(path, id)| (path, BlobId(id.to_string())));
        Ok(FilesAt { commit: commit.summary(), files: files.collect() })
    }

    async fn contents(
        &self,
        branch: &Branch,
        blobs: &[BlobId],
        bytes_max: usize,
        _log: &CallLog,
    ) -> Result<BTreeMap<BlobId, Vec<u8>>, Fault> {
        let large = || {
            fault::too_large_request(format!("the files have more than {bytes_max} bytes together"))
        };
        if blobs.len() > CONTENTS_MAX {
            return Err(fault::too_large_request(format!(
                "{} files are more than are read at once: up to {CONTENTS_MAX}",
                blobs.len()
            )));
        }
        let repository = self.repository(branch)?;
        let mut found = BTreeMap::new();
        let mut wants = Vec::new();
        let mut bytes = 0_usize;
        for blob in blobs {
            let id = read_id(&blob.0)?;
            match repository.memory.get(&repository.owner, id, Kind::Blob) {
                Some(content) => {
                    bytes = bytes.saturating_add(content.len());
                    found.insert(blob.clone(), content.to_vec());
                }
                None => wants.push(id),
            }
        }
        wants.sort_unstable();
        wants.dedup();
        let left = bytes_max.checked_sub(bytes).ok_or_else(large)?;
        if wants.is_empty() {
            return Ok(found);
        }
        let fetch = Fetch { wants: &wants, have: None, depth: None, filter: Filter::Blobs };
        let keep = Keep { blobs: true, bytes_max: left };
        let fetched = Reader::new(&repository).fetch(fetch, keep).await;
        let fetched = fetched.map_err(|fault| match fault.code.as_str() {
            fault::TOO_LARGE => large(),
            _ => fault,
        })?;
        for object in fetched.into_iter().filter(|object| object.kind == Kind::Blob) {
            if wants.binary_search(&object.id).is_ok() {
                found.insert(BlobId(object.id.to_string()), object.content.to_vec());
            }
        }
        match blobs.iter().find(|blob| !found.contains_key(*blob)) {
            Some(BlobId(missing)) => Err(fault::not_found(format!(
                "{missing} is the content of no file in {}",
                branch.repository
            ))),
            None => Ok(found),
        }
    }

    async fn remove_branch(&self, branch: &Branch, log: &CallLog) -> Result<(), Fault> {
        let repository = self.repository(branch)?;
        removal::remove(&repository, &branch.name, log).await
    }
}

fn no_branch(branch: &Branch) -> Fault {
    fault::not_found(format!("there is no branch {} in {}", branch.name, branch.repository))
}

fn read_id(text: &str) -> Result<ObjectId, Fault> {
    ObjectId::from_hex(text.as_bytes()).ok_or_else(|| {
        let shown = fault::quoted(text.as_bytes());
        fault::invalid(format!("{shown:?} names no object: expected 40 hexadecimal digits"))
    })
}
