//! Who has changed what is ours, and what to do about it.

use std::collections::BTreeSet;

use deployd_core::Fault;
use deployd_core::ports::{EDITED, ForeignChange, ForeignEdit};

use crate::commit::Commit;
use crate::history::History;
use crate::id::ObjectId;
use crate::order::Order;
use crate::repository::{Looked, Reader};
use crate::snapshot::{Found, Snapshot};
use crate::tree::EntryKind;

/// How many commits are looked at: with their trees, so that it is one question. What is
/// older than that is told without its commit.
const COMMITS_MAX: u32 = 50;
/// How many files are named in the message; the detail has all.
const NAMED: usize = 5;

/// Adds to each edit the commit that it came with, as far as that is known, and gives the
/// paths whose last content of ours is not in the branch's history any more.
pub(crate) async fn explain(
    reader: &mut Reader<'_>,
    tip: ObjectId,
    order: &Order,
    edits: &mut [ForeignEdit],
) -> Result<BTreeSet<String>, Fault> {
    let mut snapshot = reader.repository.snapshot();
    let commits = reader.commits_with_trees(tip, COMMITS_MAX, &mut snapshot).await?;
    let history = History::new(commits);
    let mut rewritten = BTreeSet::new();
    for edit in edits {
        let left = order.owned.get(&edit.path).copied();
        let commit = changed_by(&history, tip, &mut snapshot, &edit.path, left);
        edit.commit = commit.map(Commit::summary);
        let Some(left) = left.filter(|_| history.is_whole(tip)) else { continue };
        let ours = Found::Entry(EntryKind::Plain, left);
        // Merges have ours on either side.
        let mut commits = history.from(tip);
        if !commits.any(|commit| at(&mut snapshot, commit, &edit.path).as_ref() == Some(&ours)) {
            rewritten.insert(edit.path.clone());
        }
    }
    Ok(rewritten)
}

/// What is at a path in a commit, if that is known.
fn at(snapshot: &mut Snapshot, commit: &Commit, path: &str) -> Option<Found> {
    match snapshot.find_all(commit.tree, [path]) {
        Ok(Looked::All(found)) => found.into_values().next(),
        Ok(Looked::Missing(_)) | Err(_) => None,
    }
}

/// The commit with which a path became what it is, along first parents: a merge changes
/// what it does not have from there.
fn changed_by<'a>(
    history: &'a History,
    tip: ObjectId,
    snapshot: &mut Snapshot,
    path: &str,
    left: Option<ObjectId>,
) -> Option<&'a Commit> {
    let ours = |found: &Found| match left {
        Some(left) => *found == Found::Entry(EntryKind::Plain, left),
        None => *found == Found::Nothing,
    };
    let mut commit = history.get(tip)?;
    let mut now = at(snapshot, commit, path)?;
    loop {
        let parent = match commit.parents.first() {
            None => return (!ours(&now)).then_some(commit),
            Some(parent) => history.get(*parent)?,
        };
        let before = at(snapshot, parent, path)?;
        if before != now {
            return Some(commit);
        }
        (commit, now) = (parent, before);
    }
}

/// What people read of it.
pub(crate) fn fault(
    place: &str,
    branch: &str,
    edits: &[ForeignEdit],
    rewritten: &BTreeSet<String>,
) -> Fault {
    let mut lines: Vec<String> =
        edits.iter().take(NAMED).map(|edit| line(edit, rewritten.contains(&edit.path))).collect();
    if let Some(more) = edits.len().checked_sub(NAMED).filter(|more| *more > 0) {
        lines.push(format!("and {more} more"));
    }
    let (count, them) = match edits.len() {
        1 => ("1 file is".to_owned(), "it"),
        count => (format!("{count} files are"), "them"),
    };
    let message = format!(
        "{count} not on the branch {branch} of {place} as deployd has left {them}: {}. Bring what \
         is to stay to where it belongs (the application's set, the environment's values), or deploy with \
         `takeOverFields: true` to overwrite it, or roll back",
        lines.join("; ")
    );
    let detail = serde_json::to_value(edits).unwrap_or_default();
    Fault::conflict(EDITED, message).with_detail(detail)
}

fn line(edit: &ForeignEdit, rewritten: bool) -> String {
    let path = &edit.path;
    let what = match edit.change {
        ForeignChange::Added => "is there, and was never written by deployd",
        ForeignChange::Changed => "was changed",
        ForeignChange::Removed => "was removed",
    };
    let who = edit.commit.as_ref().map(|commit| {
        let (id, author, at) = (commit.commit.short(), &commit.author, commit.at);
        format!(", by {author} at {at} in {id} ({})", commit.subject)
    });
    let who = who.unwrap_or_default();
    let gone = if rewritten {
        ", and what deployd had left there is not in the branch's history any more, which was rewritten"
    } else {
        ""
    };
    format!("{path} {what}{who}{gone}")
}
