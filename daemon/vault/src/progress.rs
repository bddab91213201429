//! How far it is with wrapping all secrets with the newest key, as the store
//! knows it: what a process that has ended leaves to the next.

use deployd_core::ports::{Batch, Index, Put, Store, StoreError};

use crate::keys::{Found, ID, KeyError, KeyId};

/// Facts about the keys.
const KEYS: Index = Index("secret-keys");

/// The id of the key that all secrets in the store were wrapped with last.
const SETTLED: &[u8] = b"settled";

/// Ids of keys that secrets have been wrapped with since, or may have been. It is
/// there before the first record is.
const ROTATING: &[u8] = b"rotating";

/// Names of the secrets that no key has opened when that was done last.
const UNREADABLE: &[u8] = b"unreadable";

/// The most names that are kept: one value of the store, with room to spare.
const UNREADABLE_MAX: usize = 1_000;

/// How far it is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    settled: Option<KeyId>,
    rotating: Vec<KeyId>,
    pub(crate) unreadable: Vec<String>,
}

impl Progress {
    pub(crate) async fn of(store: &dyn Store) -> Result<Self, StoreError> {
        let settled = store.get(KEYS, SETTLED).await?;
        let rotating = store.get(KEYS, ROTATING).await?.unwrap_or_default();
        let unreadable = store.get(KEYS, UNREADABLE).await?.unwrap_or_default();
        let (ids, _) = rotating.as_chunks::<ID>();
        Ok(Self {
            settled: settled.and_then(|id| id.try_into().ok()).map(KeyId),
            rotating: ids.iter().copied().map(KeyId).collect(),
            unreadable: serde_json::from_slice(&unreadable).unwrap_or_default(),
        })
    }

    /// Whether every secret that can be read is wrapped with this key.
    pub(crate) fn is_settled(&self, newest: KeyId) -> bool {
        self.settled == Some(newest) && self.rotating.is_empty()
    }

    /// Whether the store knows that secrets may be wrapped with this key.
    fn knows(&self, id: KeyId) -> bool {
        self.settled == Some(id) || self.rotating.contains(&id)
    }

    /// Refuses keys among which one is missing that secrets may be wrapped with.
    pub(crate) fn fits(&self, found: &Found) -> Result<(), KeyError> {
        let known = found.ids();
        let mut needed = self.settled.iter().chain(&self.rotating);
        match needed.find(|id| !known.contains(id)) {
            Some(missing) => Err(KeyError::Unknown {
                needed: missing.to_string(),
                known: known.iter().map(ToString::to_string).collect(),
            }),
            None => Ok(()),
        }
    }

    /// Has the store know that secrets will be wrapped with this key, before the
    /// first one is: whoever starts without it later is told.
    pub(crate) async fn intend(mut self, store: &dyn Store, id: KeyId) -> Result<(), StoreError> {
        if self.knows(id) {
            return Ok(());
        }
        self.rotating.push(id);
        let ids: Vec<u8> = self.rotating.iter().flat_map(|id| id.0).collect();
        let put = Put { index: KEYS, key: ROTATING.to_vec(), value: Some(ids) };
        store.append(Batch { puts: vec![put], ..Batch::default() }).await.map(drop)
    }
}

/// Has the store know that every secret is wrapped with this key, but those that
/// no key opens.
pub(crate) async fn settle(
    store: &dyn Store,
    id: KeyId,
    mut unreadable: Vec<String>,
) -> Result<(), StoreError> {
    unreadable.truncate(UNREADABLE_MAX);
    // A list of texts is always JSON.
    let names = serde_json::to_vec(&unreadable).ok().filter(|_| !unreadable.is_empty());
    let put = |key: &[u8], value| Put { index: KEYS, key: key.to_vec(), value };
    let puts = vec![put(SETTLED, Some(id.0.to_vec())), put(ROTATING, None), put(UNREADABLE, names)];
    store.append(Batch { puts, ..Batch::default() }).await.map(drop)
}
