//! Trees of a repository, as far as they are there, and what is in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use deployd_core::Fault;

use crate::cache::Owner;
use crate::fault;
use crate::id::{Kind, ObjectId};
use crate::pack::Object;
use crate::path::DEPTH_MAX;
use crate::repository::{Looked, Memory};
use crate::tree::{self, EntryKind};

/// Files that are listed at once: the largest repositories that people have.
const LISTED_MAX: usize = 200_000;
/// What all trees may have together that are looked at for one question.
const HELD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Trees that were looked at stay as long as this does; others are where all are kept.
pub(crate) struct Snapshot {
    memory: Arc<Memory>,
    owner: Owner,
    held: HashMap<ObjectId, Arc<[u8]>>,
    bytes: usize,
}

/// Why a tree can't be looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look {
    /// It is not there.
    Missing(ObjectId),
    /// It is none.
    Fault(Fault),
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// This.
    Entry(EntryKind, ObjectId),
    /// Something that is no directory is on the way there.
    Blocked {
        /// Where.
        at: String,
        /// What it is.
        kind: EntryKind,
    },
}

impl Snapshot {
    pub(crate) fn new(memory: Arc<Memory>, owner: Owner) -> Self {
        Self { memory, owner, held: HashMap::new(), bytes: 0 }
    }

    /// Has it hold the trees among these.
    pub(crate) fn hold(&mut self, objects: &[Object]) {
        for object in objects.iter().filter(|object| object.kind == Kind::Tree) {
            self.insert(object.id, &object.content);
        }
    }

    fn insert(&mut self, id: ObjectId, content: &Arc<[u8]>) {
        self.bytes = self.bytes.saturating_add(content.len());
        self.held.insert(id, Arc::clone(content));
    }

    /// Whether a tree is held.
    pub(crate) fn holds(&self, id: ObjectId) -> bool {
        self.held.contains_key(&id)
    }

    /// A tree.
    pub(crate) fn tree(&mut self, id: ObjectId) -> Result<Arc<[u8]>, Look> {
        if let Some(held) = self.held.get(&id) {
            return Ok(Arc::clone(held));
        }
        let kept = if id == ObjectId::EMPTY_TREE {
            Some(Arc::from(Vec::new()))
        } else {
            self.memory.get(&self.owner, id, Kind::Tree)
        };
        if self.bytes > HELD_BYTES_MAX {
            return Err(Look::Fault(fault::too_large_request(format!(
                "the directories that are looked at have more than {HELD_BYTES_MAX} bytes together"
            ))));
        }
        let content = kept.ok_or(Look::Missing(id))?;
        self.insert(id, &content);
        Ok(content)
    }

    /// What is at a path below a tree.
    pub(crate) fn find(&mut self, root: ObjectId, path: &str) -> Result<Found, Look> {
        let mut at = root;
        let mut passed = 0_usize;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            passed = passed.saturating_add(name.len());
            let content = self.tree(at)?;
            let found = tree::find(&content, name.as_bytes()).map_err(|_| malformed(at))?;
            let Some(entry) = found else { return Ok(Found::Nothing) };
            if names.peek().is_none() {
                return Ok(Found::Entry(entry.kind(), entry.id));
            }
            if entry.kind() != EntryKind::Directory {
                let at = path.get(..passed).unwrap_or(path).to_owned();
                return Ok(Found::Blocked { at, kind: entry.kind() });
            }
            at = entry.id;
            passed = passed.saturating_add(1);
        }
        Ok(Found::Nothing)
    }

    /// What is at several paths; or the trees that have to be there before that is known.
    pub(crate) fn find_all<'a>(
        &mut self,
        root: ObjectId,
        paths: impl IntoIterator<Item = &'a str>,
    ) -> Result<Looked<BTreeMap<&'a str, Found>>, Fault> {
        let (mut found, mut missing) = (BTreeMap::new(), BTreeSet::new());
        for path in paths {
            match self.find(root, path) {
                Ok(one) => {
                    found.insert(path, one);
                }
                Err(Look::Missing(id)) => {
                    missing.insert(id);
                }
                Err(Look::Fault(fault)) => return Err(fault),
            }
        }
        Ok(if missing.is_empty() { Looked::All(found) } else { Looked::Missing(missing) })
    }

    /// The files in a directory, or the file; in all of it, when the path is empty.
    pub(crate) fn files(&mut self, root: ObjectId, path: &str) -> Result<Looked<Listing>, Fault> {
        let found = if path.is_empty() {
            Ok(Found::Entry(EntryKind::Directory, root))
        } else {
            self.find(root, path)
        };
        let mut listing = Listing::default();
        let mut missing = BTreeSet::new();
        let mut open = Vec::new();
        let mut passed = 0_usize;
        match found {
            Err(Look::Missing(id)) => return Ok(Looked::Missing([id].into())),
            Err(Look::Fault(fault)) => return Err(fault),
            Ok(Found::Entry(EntryKind::Directory, id)) => open.push((path.to_owned(), id, 0)),
            Ok(Found::Entry(EntryKind::Plain | EntryKind::Executable, id)) => {
                listing.files.insert(path.to_owned(), id);
            }
            Ok(_) => {}
        }
        while let Some((path, id, depth)) = open.pop() {
            if depth > DEPTH_MAX {
                return Err(fault::too_large_request(format!(
                    "{path} leads through more than {DEPTH_MAX} directories"
                )));
            }
            let content = match self.tree(id) {
                Ok(content) => content,
                Err(Look::Missing(id)) => {
                    missing.insert(id);
                    continue;
                }
                Err(Look::Fault(fault)) => return Err(fault),
            };
            // The same few trees, one in the other, may lead through more directories than
            // anybody has time for.
            passed = passed.saturating_add(1);
            for entry in tree::entries(&content) {
                let Ok(entry) = entry else { return Err(malformed_tree(id)) };
                // Whatever it is: no place of ours has such a name.
                let Some(path) = below(&path, entry.name) else {
                    listing.skipped = listing.skipped.saturating_add(1);
                    continue;
                };
                match entry.kind() {
                    EntryKind::Directory => open.push((path, entry.id, depth + 1)),
                    EntryKind::Plain | EntryKind::Executable => {
                        listing.files.insert(path, entry.id);
                    }
                    _ => {}
                }
                if listing.files.len().saturating_add(open.len()).saturating_add(passed)
                    > LISTED_MAX
                {
                    return Err(fault::too_large_request(format!(
                        "there are more than {LISTED_MAX} files; name a directory with less"
                    )));
                }
            }
        }
        Ok(if missing.is_empty() { Looked::All(listing) } else { Looked::Missing(missing) })
    }
}

/// Files in a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) files: BTreeMap<String, ObjectId>,
    /// Names that can't be those of files, with all that is below them.
    pub(crate) skipped: usize,
}

/// The path of an entry; none when it leads nowhere that is in the repository.
fn below(directory: &str, name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    crate::path::check(name).ok().filter(|()| !name.contains('/'))?;
    Some(if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") })
}

fn malformed(id: ObjectId) -> Look {
    Look::Fault(malformed_tree(id))
}

fn malformed_tree(id: ObjectId) -> Fault {
    fault::invalid(format!("the tree {id} of the repository can't be read; `git fsck` says why"))
}
