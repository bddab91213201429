//! Values: kept, generated, bound to their names.

use std::sync::Arc;

use deployd_core::ports::{Batch, KeyRange, Order, Put, Store, Vault as _, VaultError};
use deployd_core::secret::SecretValue;
use deployd_store::MemoryStore;

use super::{key_file, open, recipe, secret, value};
use crate::KeyError;
use crate::vault::SECRETS;

#[tokio::test]
async fn i16_secrets_survive_a_restart_and_stand_nowhere_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = open(&store, folder.path()).await.unwrap();
    let canary = value("canary-7d1f");
    vault.put(&secret("operator", "a"), canary.clone()).await.unwrap();
    drop(vault);
    let vault = open(&store, folder.path()).await.unwrap();
    assert_eq!(vault.get(&secret("operator", "a")).await.unwrap(), canary);
    let all = KeyRange { start: Vec::new(), end: None };
    for (_, value) in store.scan(SECRETS, all, Order::Ascending, 10).await.unwrap().entries {
        assert!(!value.windows(6).any(|part| part == b"canary"));
    }
}

#[tokio::test]
async fn a_generated_secret_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = open(&store, folder.path()).await.unwrap();
    let name = secret("uid", "password");
    vault.generate(&name, &recipe(20)).await.unwrap();
    let first = vault.get(&name).await.unwrap();
    assert_eq!(first.expose().len(), 20);
    vault.generate(&name, &recipe(20)).await.unwrap();
    assert_eq!(vault.get(&name).await.unwrap(), first);
    assert!(vault.generate(&secret("uid", "b"), &recipe(3)).await.is_err());
    vault.remove_owner("uid").await.unwrap();
    assert!(vault.list("uid").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_can_not_be_moved_and_a_lost_key_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = open(&store, folder.path()).await.unwrap();
    vault.put(&secret("o", "a"), value("x")).await.unwrap();
    let moved = store.get(SECRETS, b"o\0a").await.unwrap();
    let put = Put { index: SECRETS, key: b"o\0b".to_vec(), value: moved };
    store.append(Batch { puts: vec![put], ..Batch::default() }).await.unwrap();
    let found = vault.get(&secret("o", "b")).await;
    assert!(matches!(found, Err(VaultError::Unreadable { .. })), "{found:?}");
    // Whoever sets it anew need not be able to read what was there.
    vault.put(&secret("o", "b"), value("y")).await.unwrap();
    assert_eq!(vault.get(&secret("o", "b")).await.unwrap(), value("y"));

    std::fs::remove_file(key_file(folder.path())).unwrap();
    let lost = open(&store, folder.path()).await.map(drop).unwrap_err();
    assert!(matches!(lost, KeyError::Unknown { .. }), "{lost}");
    assert!(!key_file(folder.path()).exists(), "a new key would hide that the old one is lost");
    std::fs::write(key_file(folder.path()), "short").unwrap();
    assert!(matches!(open(&store, folder.path()).await, Err(KeyError::Length { .. })));
    std::fs::write(key_file(folder.path()), [7; 32]).unwrap();
    let other = open(&store, folder.path()).await.map(drop).unwrap_err();
    assert!(matches!(other, KeyError::Unknown { .. }), "{other}");
}

#[tokio::test]
async fn what_is_too_large_for_the_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = open(&store, folder.path()).await.unwrap();
    let most = 1024 * 1024 - crate::record::OVERHEAD;
    for (bytes, fits) in [(most, true), (most + 1, false)] {
        let put = vault.put(&secret("o", "a"), SecretValue::new(vec![1; bytes])).await;
        assert_eq!(put.is_ok(), fits, "{put:?}");
    }
}
