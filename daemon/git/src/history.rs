//! Commits that came to a branch.

use std::collections::{HashMap, HashSet, VecDeque};

use deployd_core::Fault;

use crate::commit::Commit;
use crate::id::ObjectId;
use crate::repository::Reader;

/// How many generations are looked at, one after the other, until enough is known. With the
/// last, all is known that came to a busy branch within days.
const DEPTHS: [u32; 3] = [100, 1_000, 10_000];

/// Commits, and how they hang together.
#[derive(Default)]
pub(crate) struct History {
    commits: HashMap<ObjectId, Commit>,
}

impl History {
    pub(crate) fn new(commits: Vec<Commit>) -> Self {
        Self { commits: commits.into_iter().map(|commit| (commit.id, commit)).collect() }
    }

    /// A commit.
    pub(crate) fn get(&self, id: ObjectId) -> Option<&Commit> {
        self.commits.get(&id)
    }

    /// The last commit up to a tip that was made by this key.
    pub(crate) fn by_key(&self, tip: ObjectId, key: &str) -> Option<&Commit> {
        self.from(tip).find(|commit| commit.keys.iter().any(|one| one == key))
    }

    /// Whether all is known that came to the tip since then, in seconds since 1970.
    fn reaches(&self, tip: ObjectId, since: u64) -> bool {
        self.from(tip).all(|commit| {
            commit.seconds < since
                || commit.parents.iter().all(|parent| self.commits.contains_key(parent))
        })
    }

    /// Whether all is known that came to the tip.
    pub(crate) fn is_whole(&self, tip: ObjectId) -> bool {
        self.reaches(tip, 0)
    }

    /// All commits up to a tip that are known, those nearest to it first.
    pub(crate) fn from(&self, tip: ObjectId) -> impl Iterator<Item = &Commit> {
        let (mut open, mut seen) = (VecDeque::from([tip]), HashSet::from([tip]));
        std::iter::from_fn(move || {
            loop {
                let Some(commit) = self.commits.get(&open.pop_front()?) else { continue };
                for parent in &commit.parents {
                    if seen.insert(*parent) {
                        open.push_back(*parent);
                    }
                }
                return Some(commit);
            }
        })
    }
}

/// Reads what came to a tip since then, or as much of it as it takes to find all keys.
pub(crate) async fn since(
    reader: &mut Reader<'_>,
    tip: ObjectId,
    since: u64,
    keys: &[String],
) -> Result<History, Fault> {
    let mut history = History::default();
    for depth in DEPTHS {
        history = History::new(reader.commits(tip, depth).await?);
        let found = keys.iter().all(|key| history.by_key(tip, key).is_some());
        if found || history.reaches(tip, since) {
            break;
        }
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Kind;

    fn id(name: &str) -> ObjectId {
        ObjectId::of(Kind::Blob, name.as_bytes()).unwrap()
    }

    fn commit(name: &str, parents: &[&str], seconds: u64, key: &str) -> Commit {
        let parents: String = parents.iter().map(|name| format!("parent {}\n", id(name))).collect();
        let text = format!(
            "tree {}\n{parents}author a <b> 1 +0000\ncommitter a <b> {seconds} +0000\n\nx\n\nDeployd-Key: {key}\n",
            id("tree")
        );
        Commit::read(id(name), text.as_bytes()).unwrap()
    }

    #[test]
    fn a_key_is_found_behind_merges_and_wrong_clocks() {
        let history = History::new(vec![
            commit("tip", &["left", "right"], 50, "t"),
            commit("left", &["root"], 1, "l"),
            commit("right", &["ours"], 1, "r"),
            commit("ours", &["gone"], 40, "o"),
            commit("root", &[], 10, ""),
        ]);
        assert_eq!(history.by_key(id("tip"), "o").unwrap().id, id("ours"));
        assert!(history.by_key(id("left"), "o").is_none());
        assert!(history.reaches(id("tip"), 41));
        assert!(!history.reaches(id("tip"), 40));
        assert!(history.reaches(id("left"), 0));
    }
}
