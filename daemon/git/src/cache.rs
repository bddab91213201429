//! Objects of repositories that are kept in memory: what was not needed for the longest
//! time goes first. Nothing here is ever wrong, since objects are named by content.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::id::{Kind, ObjectId};
use crate::pack::Object;

/// What all that is kept may have together: the trees of some hundred repositories with
/// as many environments, or those of one that is large.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What an object needs besides its content: its place in both indexes.
const ENTRY_BYTES: usize = 200;
/// Contents of files are kept up to this size: manifests are some KiB.
const BLOB_BYTES_MAX: usize = 64 * 1024;

/// Whose objects: a repository, as one login sees it.
pub(crate) type Owner = Arc<str>;

/// The objects.
#[derive(Default)]
pub(crate) struct Cache {
    objects: HashMap<(Owner, ObjectId), Entry>,
    /// By when they were needed last.
    order: BTreeMap<u64, (Owner, ObjectId)>,
    tick: u64,
    bytes: usize,
}

struct Entry {
    kind: Kind,
    content: Arc<[u8]>,
    used: u64,
}

impl Cache {
    /// An object's content, if it is there and of this kind.
    pub(crate) fn get(&mut self, owner: &Owner, id: ObjectId, kind: Kind) -> Option<Arc<[u8]>> {
        let key = (Arc::clone(owner), id);
        let entry = self.objects.get_mut(&key).filter(|entry| entry.kind == kind)?;
        self.tick = self.tick.saturating_add(1);
        self.order.remove(&entry.used);
        entry.used = self.tick;
        self.order.insert(self.tick, key);
        Some(Arc::clone(&entry.content))
    }

    /// Keeps objects.
    pub(crate) fn put(&mut self, owner: &Owner, objects: impl IntoIterator<Item = Object>) {
        for Object { id, kind, content } in objects {
            if kind == Kind::Blob && content.len() > BLOB_BYTES_MAX || kind == Kind::Tag {
                continue;
            }
            let key = (Arc::clone(owner), id);
            if self.objects.contains_key(&key) {
                continue;
            }
            self.tick = self.tick.saturating_add(1);
            self.bytes = self.bytes.saturating_add(weight(&content));
            self.order.insert(self.tick, key.clone());
            self.objects.insert(key, Entry { kind, content, used: self.tick });
        }
        while self.bytes > BYTES_MAX
            && let Some((_, key)) = self.order.pop_first()
        {
            if let Some(gone) = self.objects.remove(&key) {
                self.bytes = self.bytes.saturating_sub(weight(&gone.content));
            }
        }
    }
}

fn weight(content: &[u8]) -> usize {
    content.len().saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(filling: u8, length: usize) -> Object {
        let content = vec![filling; length];
        let id = ObjectId::of(Kind::Tree, &content).unwrap();
        Object { id, kind: Kind::Tree, content: content.into() }
    }

    #[test]
    fn what_was_not_needed_for_the_longest_time_goes_first() {
        let (mut cache, owner) = (Cache::default(), Owner::from("a"));
        let objects: Vec<Object> = (0..4).map(|n| object(n, BYTES_MAX / 4)).collect();
        for one in &objects[..3] {
            cache.put(&owner, [one.clone()]);
        }
        assert!(cache.get(&owner, objects[0].id, Kind::Tree).is_some());
        cache.put(&owner, [objects[3].clone()]);
        let left: Vec<bool> =
            objects.iter().map(|one| cache.get(&owner, one.id, Kind::Tree).is_some()).collect();
        assert_eq!(left, [true, false, true, true]);
        assert!(cache.bytes <= BYTES_MAX);
        assert_eq!(cache.order.len(), cache.objects.len());
        assert!(cache.get(&Owner::from("b"), objects[0].id, Kind::Tree).is_none());
    }
}
