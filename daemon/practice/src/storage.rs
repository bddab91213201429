//! The objects, their resource versions, and a bounded history of changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::json;

/// Changes kept for watches to start from, of each resource. Enough for a
/// watcher that was away for seconds; a real server keeps minutes.
pub(crate) const HISTORY: usize = 2048;

/// Objects the cluster holds at most; a real one ends at etcd's quota.
pub(crate) const MOST_OBJECTS: usize = 50_000;

/// Changes that wait for the controllers; past it they look at everything anew.
const MOST_PENDING: usize = 100_000;

/// Events of `kind: Event` kept at most; the oldest go first. A real server
/// drops them after an hour.
pub(crate) const MOST_EVENTS: usize = 5_000;

/// Where an object lives: resource (`deployments.apps`), namespace, name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Plural and group.
    pub(crate) resource: Arc<str>,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: String,
    /// The name.
    pub(crate) name: String,
}

impl Key {
    /// The key of an object.
    pub(crate) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.into(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It came to be.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// A change of an object.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The resource version it made.
    pub(crate) version: u64,
    /// What happened.
    pub(crate) kind: ChangeKind,
    /// To which object.
    pub(crate) key: Key,
    /// The object after it (for a deletion: its last state).
    pub(crate) object: Arc<Value>,
    /// The object before it.
    pub(crate) previous: Option<Arc<Value>>,
}

#[derive(Debug, Default)]
struct Table {
    objects: BTreeMap<(String, String), Arc<Value>>,
    history: VecDeque<Change>,
    /// The version of the newest change that the history no longer has.
    forgotten: u64,
}

/// Everything the cluster remembers.
#[derive(Debug, Default)]
pub(crate) struct Store {
    version: u64,
    count: usize,
    tables: HashMap<Arc<str>, Table>,
    owned: HashMap<String, BTreeSet<Key>>,
    pending: VecDeque<Change>,
    overflowed: bool,
}

/// The store is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Store {
    /// The newest resource version.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.tables.get(resource)?.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// The objects of a resource by namespace and name, of one namespace or all.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Value>> + 'a {
        let from = (namespace.to_owned(), String::new());
        self.tables
            .get(resource)
            .into_iter()
            .flat_map(move |table| table.objects.range(from.clone()..))
            .take_while(move |((ns, _), _)| namespace.is_empty() || ns == namespace)
            .map(|(_, object)| object)
    }

    /// The resources that have objects.
    pub(crate) fn resources(&self) -> Vec<Arc<str>> {
        self.tables
            .iter()
            .filter(|(_, table)| !table.objects.is_empty())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The objects that name this uid among their owners.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Key> {
        self.owned.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Stores an object under a new resource version.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Result<Arc<Value>, Full> {
        let previous = self.get(&key.resource, &key.namespace, &key.name);
        if previous.is_none() && self.count >= MOST_OBJECTS {
            return Err(Full);
        }
        self.version += 1;
        json::put(&mut object, &["metadata", "resourceVersion"], self.version.to_string());
        let object = Arc::new(object);
        if let Some(previous) = &previous {
            self.forget_owners(&key, previous);
        } else {
            self.count += 1;
        }
        for owner in json::items(&object, "/metadata/ownerReferences") {
            self.owned.entry(json::text(owner, "/uid").to_owned()).or_default().insert(key.clone());
        }
        let table = self.tables.entry(key.resource.clone()).or_default();
        table.objects.insert((key.namespace.clone(), key.name.clone()), object.clone());
        let kind = match previous {
            Some(_) => ChangeKind::Modified,
            None => ChangeKind::Added,
        };
        self.record(Change { version: self.version, kind, key, object: object.clone(), previous });
        Ok(object)
    }

    /// Removes an object; its last state gets the version of its removal.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let table = self.tables.get_mut(&key.resource)?;
        let previous = table.objects.remove(&(key.namespace.clone(), key.name.clone()))?;
        self.count -= 1;
        self.version += 1;
        self.forget_owners(key, &previous);
        let mut object = (*previous).clone();
        json::put(&mut object, &["metadata", "resourceVersion"], self.version.to_string());
        let object = Arc::new(object);
        self.record(Change {
            version: self.version,
            kind: ChangeKind::Deleted,
            key: key.clone(),
            object: object.clone(),
            previous: Some(previous),
        });
        Some(object)
    }

    /// The changes of a resource after a version, or the version that the
    /// history begins after, if that is later.
    pub(crate) fn changes_after(&self, resource: &str, version: u64) -> Result<Vec<Change>, u64> {
        let Some(table) = self.tables.get(resource) else {
            return Ok(Vec::new());
        };
        if version < table.forgotten {
            return Err(table.forgotten);
        }
        let from = table.history.partition_point(|c| c.version <= version);
        Ok(table.history.iter().skip(from).cloned().collect())
    }

    /// Forgets the history, as compaction does: watches from before now fail.
    pub(crate) fn compact(&mut self) {
        for table in self.tables.values_mut() {
            table.history.clear();
            table.forgotten = self.version;
        }
    }

    /// The changes the controllers have not seen; none if there were too many
    /// to keep, and everything has to be looked at anew.
    pub(crate) fn take_pending(&mut self) -> Option<VecDeque<Change>> {
        let pending = std::mem::take(&mut self.pending);
        let overflowed = std::mem::take(&mut self.overflowed);
        (!overflowed).then_some(pending)
    }

    /// How many objects a resource has.
    pub(crate) fn count(&self, resource: &str) -> usize {
        self.tables.get(resource).map_or(0, |t| t.objects.len())
    }

    fn forget_owners(&mut self, key: &Key, object: &Value) {
        for owner in json::items(object, "/metadata/ownerReferences") {
            let uid = json::text(owner, "/uid");
            if let Some(keys) = self.owned.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
    }

    fn record(&mut self, change: Change) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push_back(change.clone());
        } else {
            self.pending.clear();
            self.overflowed = true;
        }
        let table = self.tables.entry(change.key.resource.clone()).or_default();
        if table.history.len() >= HISTORY
            && let Some(oldest) = table.history.pop_front()
        {
            table.forgotten = oldest.version;
        }
        table.history.push_back(change);
    }
}
