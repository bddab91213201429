//! A request that was looked at: all of it that needs no repository.

use std::collections::BTreeMap;

use deployd_core::Fault;
use deployd_core::ports::CommitRequest;
use russh::keys::PrivateKey;

use crate::commit::Draft;
use crate::id::{Kind, ObjectId};
use crate::signature::private_key;
use crate::{fault, path};

/// Files of one request, those to be removed included: an environment has some dozens.
const FILES_MAX: usize = 10_000;
/// Bytes of all files of one request.
const FILES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What is to be done.
pub(crate) struct Order {
    pub(crate) request: CommitRequest,
    /// What is to be at each path of ours; none where nothing is to be.
    pub(crate) wanted: BTreeMap<String, Option<ObjectId>>,
    /// What we have left there.
    pub(crate) owned: BTreeMap<String, ObjectId>,
    pub(crate) key: Option<PrivateKey>,
}

impl Order {
    /// Checks a request. Takes as long as it takes to hash its files.
    pub(crate) fn new(request: CommitRequest) -> Result<Self, Fault> {
        path::check_branch(&request.branch.name)?;
        if let Some(proposal) = &request.proposal {
            path::check_branch(proposal)?;
            if *proposal == request.branch.name {
                return Err(fault::invalid(format!(
                    "{proposal:?} is the branch that is proposed to; expected another name for the proposal"
                )));
            }
        }
        let bytes: usize = request.files.values().map(Vec::len).sum();
        let count = request.files.len().saturating_add(request.owned.len());
        if count > FILES_MAX || bytes > FILES_BYTES_MAX {
            return Err(fault::too_large_request(format!(
                "{count} files with {bytes} bytes are more than is committed at once: up to {FILES_MAX} \
                 files with {FILES_BYTES_MAX} bytes"
            )));
        }
        let draft = Draft {
            author: &request.author,
            at: request.at,
            message: &request.message,
            key: &request.key,
        };
        draft.check()?;
        let mut wanted = BTreeMap::new();
        let mut owned = BTreeMap::new();
        for (path, blob) in &request.owned {
            path::check(path)?;
            let id = ObjectId::from_hex(blob.0.as_bytes()).ok_or_else(|| {
                let shown = fault::quoted(blob.0.as_bytes());
                fault::invalid(format!(
                    "{shown:?} of {path} is no name of a content: expected 40 digits"
                ))
            })?;
            owned.insert(path.clone(), id);
            wanted.insert(path.clone(), None);
        }
        for (path, content) in &request.files {
            path::check(path)?;
            let id = ObjectId::of(Kind::Blob, content).ok_or_else(|| {
                fault::invalid(format!(
                    "the content of {path} was made to have the name of another"
                ))
            })?;
            wanted.insert(path.clone(), Some(id));
        }
        for path in request.files.keys() {
            let mut directories = directories(path);
            if let Some(file) = directories.find(|directory| request.files.contains_key(*directory))
            {
                return Err(fault::invalid(format!(
                    "{file} can't be a file and the directory of {path}"
                )));
            }
        }
        let key = match &request.signing_key {
            Some(key) => {
                let key = private_key(key);
                Some(
                    key.map_err(|fault| fault.with_reason("the key that commits are signed with"))?,
                )
            }
            None => None,
        };
        Ok(Self { request, wanted, owned, key })
    }

    /// Every path that it is about.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.wanted.keys().map(String::as_str)
    }

    /// Its files as they are to be.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, ObjectId)> {
        self.wanted.iter().filter_map(|(path, id)| Some((path.as_str(), (*id)?)))
    }

    /// What a commit of it says.
    pub(crate) fn draft(&self) -> Draft<'_> {
        let request = &self.request;
        Draft {
            author: &request.author,
            at: request.at,
            message: &request.message,
            key: &request.key,
        }
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> usize {
        self.request.files.values().map(Vec::len).sum()
    }
}

/// The directories that a path leads through, from the top.
fn directories(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(end, _)| path.get(..end))
}
