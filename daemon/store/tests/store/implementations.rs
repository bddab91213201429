//! The implementations under test. A further one implements [`Implementation`]
//! and is named once in `conformance/mod.rs`.

use std::path::Path;

use async_trait::async_trait;
use deployd_core::ports::Store;
use deployd_store::{MemoryStore, RedbStore, StoreOptions, restore};
use tempfile::TempDir;

/// How to get at a store.
#[async_trait]
pub(crate) trait Implementation: Send + Sync + Sized {
    /// A new, empty store.
    async fn fresh() -> Self;

    /// The store.
    fn store(&self) -> &dyn Store;

    /// The same store after its process ended and came back.
    async fn restart(self) -> Self;

    /// A store from a backup.
    async fn restored(from: &Path) -> Self;
}

#[async_trait]
impl Implementation for MemoryStore {
    async fn fresh() -> Self {
        Self::new()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    async fn restart(self) -> Self {
        self
    }

    async fn restored(from: &Path) -> Self {
        Self::restore(from).unwrap()
    }
}

/// A store in a directory of its own.
pub(crate) struct OnDisk {
    pub(crate) directory: TempDir,
    pub(crate) store: RedbStore,
}

impl OnDisk {
    pub(crate) fn open(directory: TempDir, options: &StoreOptions) -> Self {
        let store = RedbStore::open(directory.path().join("store.redb"), options).unwrap();
        Self { directory, store }
    }
}

#[async_trait]
impl Implementation for OnDisk {
    async fn fresh() -> Self {
        Self::open(tempfile::tempdir().unwrap(), &StoreOptions::default())
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn restart(self) -> Self {
        self.store.close().await;
        Self::open(self.directory, &StoreOptions::default())
    }

    async fn restored(from: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let report = restore(from, &directory.path().join("store.redb")).unwrap();
        assert!(report.is_sound());
        Self::open(directory, &StoreOptions::default())
    }
}
