//! Whether files are as we have left them, and trees in which they are as they should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use deployd_core::Fault;
use deployd_core::ports::{ForeignChange, ForeignEdit};

use crate::fault;
use crate::id::{Kind, ObjectId};
use crate::order::Order;
use crate::pack::Object;
use crate::snapshot::{Found, Look, Snapshot};
use crate::tree::{self, Change, EntryKind};

/// What differs between a tree and what is wanted of it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Differences {
    /// What is to be written or removed, by path.
    pub(crate) changes: BTreeMap<String, Option<ObjectId>>,
    /// What others have changed.
    pub(crate) edits: Vec<ForeignEdit>,
}

/// Compares. What is already as it is wanted is nobody's edit. A path that leads through
/// what is no directory is a fault, unless that is ours and goes.
pub(crate) fn compare(order: &Order, found: &BTreeMap<&str, Found>) -> Result<Differences, Fault> {
    let mut differences = Differences::default();
    for (path, wanted) in &order.wanted {
        let goes = |at: &str| order.wanted.get(at) == Some(&None);
        let is = match found.get(path.as_str()) {
            Some(Found::Entry(kind, id)) => Some((*kind, *id)),
            Some(Found::Blocked { at, kind }) if wanted.is_some() && !goes(at) => {
                return Err(blocked(path, at, *kind));
            }
            Some(Found::Nothing | Found::Blocked { .. }) | None => None,
        };
        if is == wanted.map(|id| (EntryKind::Plain, id)) {
            continue;
        }
        let change = match (order.owned.get(path), is) {
            (Some(left), Some(is)) if is != (EntryKind::Plain, *left) => {
                Some(ForeignChange::Changed)
            }
            (Some(_), None) => Some(ForeignChange::Removed),
            // Whether all that is in it is ours is seen when it is replaced.
            (None, Some((EntryKind::Directory, _))) => None,
            (None, Some(_)) => Some(ForeignChange::Added),
            (Some(_), Some(_)) | (None, None) => None,
        };
        if let Some(change) = change {
            differences.edits.push(ForeignEdit { path: path.clone(), change, commit: None });
        }
        differences.changes.insert(path.clone(), *wanted);
    }
    Ok(differences)
}

fn blocked(path: &str, at: &str, kind: EntryKind) -> Fault {
    fault::invalid(format!(
        "{path} can't be written: {at} is {} on the branch, expected a directory; move it away, or \
         write to another path",
        kind.words()
    ))
}

/// Trees that were made, by the path of their directory; of each directory the last.
pub(crate) type Made = BTreeMap<String, Object>;

/// A tree with changes. Nothing else in it is touched; directories that become empty vanish.
/// All trees along the paths have to be in the snapshot.
pub(crate) fn apply(
    snapshot: &mut Snapshot,
    root: Option<ObjectId>,
    changes: &BTreeMap<String, Option<ObjectId>>,
    made: &mut Made,
) -> Result<ObjectId, Look> {
    let changes: Vec<(&str, Option<ObjectId>)> =
        changes.iter().map(|(path, id)| (path.as_str(), *id)).collect();
    let root = directory(snapshot, root, "", &changes, made)?;
    match root {
        Some(root) => Ok(root),
        // The top may be empty.
        None => put(snapshot, "", Vec::new(), made),
    }
}

/// What becomes of one name: of a file there, and of a directory.
#[derive(Default)]
struct Name<'a> {
    file: Option<Option<ObjectId>>,
    below: Vec<(&'a str, Option<ObjectId>)>,
}

fn directory(
    snapshot: &mut Snapshot,
    tree: Option<ObjectId>,
    path: &str,
    changes: &[(&str, Option<ObjectId>)],
    made: &mut Made,
) -> Result<Option<ObjectId>, Look> {
    let content = match tree {
        Some(id) => snapshot.tree(id)?,
        None => Arc::from(Vec::new()),
    };
    let mut names: BTreeMap<&str, Name<'_>> = BTreeMap::new();
    for (rest, id) in changes {
        match rest.split_once('/') {
            Some((name, rest)) => names.entry(name).or_default().below.push((rest, *id)),
            None => names.entry(rest).or_default().file = Some(*id),
        }
    }
    let mut new = Vec::with_capacity(names.len());
    for (name, change) in &names {
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}/{name}") };
        let entry = tree::find(&content, name.as_bytes());
        let entry = entry.map_err(|_| {
            Look::Fault(fault::invalid(format!("the directory that {path} is in can't be read")))
        })?;
        let is = entry.map(|entry| (entry.kind(), entry.id));
        if let Some(change) = one(snapshot, is, &path, change, made)? {
            new.push((name.as_bytes(), change));
        }
    }
    let changed = tree::changed(&content, new).map_err(|_| {
        Look::Fault(fault::invalid(format!(
            "the directory {path:?} of the repository can't be read"
        )))
    })?;
    if changed.is_empty() {
        made.remove(path);
        return Ok(None);
    }
    put(snapshot, path, changed, made).map(Some)
}

/// What becomes of one name; nothing, when it stays as it is.
fn one(
    snapshot: &mut Snapshot,
    is: Option<(EntryKind, ObjectId)>,
    path: &str,
    change: &Name<'_>,
    made: &mut Made,
) -> Result<Option<Change>, Look> {
    let below = match is {
        Some((EntryKind::Directory, id)) if !change.below.is_empty() => {
            directory(snapshot, Some(id), path, &change.below, made)?
        }
        Some((EntryKind::Directory, id)) => Some(id),
        Some((kind, _)) => {
            let adds = change.below.iter().any(|(_, id)| id.is_some());
            match (adds, change.file) {
                (true, Some(None)) => directory(snapshot, None, path, &change.below, made)?,
                (true, _) => return Err(Look::Fault(blocked(path, path, kind))),
                (false, _) => None,
            }
        }
        None => directory(snapshot, None, path, &change.below, made)?,
    };
    Ok(match (change.file, below, is) {
        (Some(Some(_)), Some(_), _) => {
            return Err(Look::Fault(fault::invalid(format!(
                "{path} can't be written: it is a directory on the branch, with files of others in it; \
                 move them away, or write to another path"
            ))));
        }
        (Some(Some(id)), None, _) => Some(Change::File(id)),
        (_, Some(id), _) => Some(Change::Directory(id)),
        (Some(None), None, Some(_)) | (None, None, Some((EntryKind::Directory, _))) => {
            Some(Change::Remove)
        }
        (_, None, _) => None,
    })
}

fn put(
    snapshot: &mut Snapshot,
    path: &str,
    content: Vec<u8>,
    made: &mut Made,
) -> Result<ObjectId, Look> {
    let id = ObjectId::of(Kind::Tree, &content).ok_or_else(|| {
        Look::Fault(fault::invalid("a directory was made to have the name of another"))
    })?;
    let object = Object { id, kind: Kind::Tree, content: Arc::from(content) };
    snapshot.hold(std::slice::from_ref(&object));
    made.insert(path.to_owned(), object);
    Ok(id)
}
