//! Heads of streams that were appended to or asked for lately, so that asking
//! costs no read: whoever decides anything asks for a few.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deployd_core::journal::{Head, StreamId};

/// Streams that are known at the same time, of some hundred bytes each: as many
/// as are worked on at the same time, several times over.
const STREAMS_MAX: usize = 4096;

/// What is committed, as far as it is known. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    heads: HashMap<StreamId, Head>,
    /// How often a commit has begun or ended. Odd while one goes on: nobody can
    /// say then which side of it a read has seen.
    commits: u64,
}

impl Heads {
    /// The head of a stream, if it is known.
    pub(crate) fn get(&self, stream: &StreamId) -> Option<Head> {
        self.known().heads.get(stream).copied()
    }

    /// Tells one time between two commits from another: to be asked for before a
    /// read whose result is to be [`Heads::learn`]ed.
    pub(crate) fn commits(&self) -> u64 {
        self.known().commits
    }

    /// What a read has found. It counts only if nothing was committed meanwhile.
    pub(crate) fn learn(&self, commits: u64, stream: StreamId, head: Head) {
        let mut known = self.known();
        if known.commits == commits && commits.is_multiple_of(2) {
            known.put(stream, head);
        }
    }

    /// A commit that changes these begins: from some moment on others can see it,
    /// and until it has ended nothing is known of them.
    pub(crate) fn committing(&self, heads: &[(StreamId, Head)]) {
        let mut known = self.known();
        known.commits = known.commits.wrapping_add(1);
        for (stream, _) in heads {
            known.heads.remove(stream);
        }
    }

    /// The commit has ended, and these are the heads.
    pub(crate) fn committed(&self, heads: Vec<(StreamId, Head)>) {
        let mut known = self.known();
        known.commits = known.commits.wrapping_add(1);
        for (stream, head) in heads {
            known.put(stream, head);
        }
    }

    /// Nothing is known any more: the store is closed.
    pub(crate) fn forget(&self) {
        self.known().heads.clear();
    }

    /// Nothing that holds this lock can panic; a poisoned one is as good.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, stream: StreamId, head: Head) {
        // All at once: what is asked for again is known again after one read.
        if self.heads.len() >= STREAMS_MAX && !self.heads.contains_key(&stream) {
            self.heads.clear();
        }
        self.heads.insert(stream, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_core::Digest;
    use deployd_core::journal::Version;

    fn head(version: u64) -> Head {
        Head { version: Version(version), hash: Digest::of(b"") }
    }

    fn stream(name: &str) -> StreamId {
        StreamId(name.to_owned())
    }

    #[test]
    fn what_was_read_before_a_commit_does_not_count_after_it() {
        let heads = Heads::default();
        let before = heads.commits();
        heads.committing(&[(stream("a"), head(2))]);
        heads.learn(before, stream("a"), head(1));
        let amid = heads.commits();
        heads.learn(amid, stream("a"), head(1));
        assert_eq!(heads.get(&stream("a")), None);
        heads.committed(vec![(stream("a"), head(2))]);
        heads.learn(before, stream("a"), head(1));
        heads.learn(amid, stream("b"), head(1));
        assert_eq!((heads.get(&stream("a")), heads.get(&stream("b"))), (Some(head(2)), None));
        heads.learn(heads.commits(), stream("b"), head(1));
        assert_eq!(heads.get(&stream("b")), Some(head(1)));
    }

    #[test]
    fn there_is_an_end_to_what_is_known() {
        let heads = Heads::default();
        for n in 0..3 * STREAMS_MAX {
            let one = vec![(stream(&n.to_string()), head(1))];
            heads.committing(&one);
            heads.committed(one);
        }
        assert!(heads.known().heads.len() <= STREAMS_MAX);
        assert!(heads.get(&stream(&(3 * STREAMS_MAX - 1).to_string())).is_some());
    }
}
