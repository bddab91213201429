//! The vault over stores in memory.

mod crashing;
mod fingerprints;
mod keeping;
mod linking;
mod rotating;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deployd_core::Timestamp;
use deployd_core::ports::{Clock, Random, Recipe, Store};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_store::MemoryStore;

use crate::{Environment, KeyError, KeySettings, Sources, StoreVault};

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).unwrap();
    }
}

/// A clock that tests set, in milliseconds.
#[derive(Default)]
struct Now(AtomicU64);

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Variables that are set.
type Variables = BTreeMap<&'static str, String>;

fn environment(variables: &Variables) -> Environment {
    let variables = variables.clone();
    Arc::new(move |name| variables.get(name).cloned())
}

fn settings(folder: &Path) -> KeySettings {
    KeySettings { file: key_file(folder), variable: None, previous_variables: Vec::new() }
}

fn key_file(folder: &Path) -> PathBuf {
    folder.join("secrets.key")
}

async fn open(store: &Arc<dyn Store>, folder: &Path) -> Result<StoreVault, KeyError> {
    open_with(store, settings(folder), &Variables::new()).await
}

async fn open_with(
    store: &Arc<dyn Store>,
    settings: KeySettings,
    variables: &Variables,
) -> Result<StoreVault, KeyError> {
    let environment = environment(variables);
    let clock = Arc::new(Now::default());
    open_at(store, clock, settings, &environment).await
}

async fn open_at(
    store: &Arc<dyn Store>,
    clock: Arc<Now>,
    settings: KeySettings,
    environment: &Environment,
) -> Result<StoreVault, KeyError> {
    let random = Arc::new(SystemRandom);
    StoreVault::open(store.clone(), random, clock, settings, environment, Sources::default()).await
}

/// An open vault, and what it stands on.
struct Opened {
    store: Arc<dyn Store>,
    clock: Arc<Now>,
    vault: StoreVault,
    _folder: tempfile::TempDir,
}

async fn opened() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = Arc::new(Now::default());
    let environment = environment(&Variables::new());
    let vault =
        open_at(&store, clock.clone(), settings(folder.path()), &environment).await.unwrap();
    Opened { store, clock, vault, _folder: folder }
}

fn secret(owner: &str, name: &str) -> SecretRef {
    SecretRef { owner: owner.into(), name: name.into() }
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.as_bytes().to_vec())
}

fn recipe(length: usize) -> Recipe {
    Recipe { length, alphabet: "abc".into() }
}
