//! Links: kept like values, and never more than links.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{
    KeyRange, Order, SecretSource, Store, Vault as _, VaultAdmin as _, VaultError,
};
use deployd_core::secret::{Link, LinkKind, SecretValue};
use deployd_store::MemoryStore;

use super::{Now, SystemRandom, Variables, environment, recipe, secret, settings, value};
use crate::vault::SECRETS;
use crate::{Sources, StoreVault};

/// A place whose value changes.
#[derive(Default)]
struct Place(Mutex<Option<String>>);

#[async_trait]
impl SecretSource for Place {
    fn allows(&self, link: &Link) -> Result<(), Fault> {
        match link.to_string().contains("DENIED") {
            true => Err(Fault::denied("secret-variable-denied", "not this one")),
            false => Ok(()),
        }
    }

    async fn read(&self, _: &Link) -> Result<SecretValue, Fault> {
        match &*self.0.lock().unwrap() {
            Some(text) => Ok(value(text)),
            None => Err(Fault::transient("vault-sealed", "sealed; unseal it")),
        }
    }
}

#[tokio::test]
async fn i16_a_link_is_looked_up_each_time_and_its_value_is_stored_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let place = Arc::new(Place::default());
    let sources = Sources::default().with(LinkKind::Env, place.clone());
    let environment = environment(&Variables::new());
    let settings = settings(folder.path());
    let (random, clock) = (Arc::new(SystemRandom), Arc::new(Now::default()));
    let vault = StoreVault::open(store.clone(), random, clock, settings, &environment, sources)
        .await
        .unwrap();
    let (name, link) = (secret("operator", "db"), "env:DB".parse::<Link>().unwrap());

    vault.put(&name, value("old")).await.unwrap();
    vault.link(&name, &link).await.unwrap();
    for text in ["canary-1", "canary-2"] {
        *place.0.lock().unwrap() = Some(text.to_owned());
        assert_eq!(vault.get(&name).await.unwrap(), value(text));
    }
    let all = KeyRange { start: Vec::new(), end: None };
    let stored = store.scan(SECRETS, all, Order::Ascending, 10).await.unwrap().entries;
    assert!(!stored.iter().any(|(_, record)| record.windows(6).any(|part| part == b"canary")));

    assert!(vault.contains(&name).await.unwrap());
    assert_eq!(vault.links("operator").await.unwrap(), [("db".to_owned(), Some(link.clone()))]);
    vault.generate(&name, &recipe(8)).await.unwrap();
    assert_eq!(vault.get(&name).await.unwrap(), value("canary-2"), "what is there stays");
    assert_eq!(vault.rotate_key().await.unwrap().unreadable, Vec::<String>::new());
    assert_eq!(vault.get(&name).await.unwrap(), value("canary-2"));

    // The fault says where, why and what to do.
    *place.0.lock().unwrap() = None;
    let error = vault.get(&name).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("operator/db") && said.contains("env:DB") && said.contains("unseal"));
    let VaultError::Unresolved { fault, .. } = error else { panic!("{said}") };
    assert!(fault.is_transient());

    *place.0.lock().unwrap() = Some(String::new());
    assert!(vault.get(&name).await.unwrap_err().to_string().contains("empty"));

    vault.put(&name, value("mine")).await.unwrap();
    assert_eq!(vault.get(&name).await.unwrap(), value("mine"));
    assert_eq!(vault.links("operator").await.unwrap(), [("db".to_owned(), None)]);
}

#[tokio::test]
async fn what_the_settings_do_not_allow_is_not_linked() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sources = Sources::default().with(LinkKind::Env, Arc::new(Place::default()));
    let environment = environment(&Variables::new());
    let settings = settings(folder.path());
    let (random, clock) = (Arc::new(SystemRandom), Arc::new(Now::default()));
    let vault =
        StoreVault::open(store, random, clock, settings, &environment, sources).await.unwrap();
    for (link, says) in [
        ("env:DENIED", "not this one"),
        ("file:/run/secrets/db", "secrets.files"),
        ("kubernetes:a/b#c", "secrets.kubernetes"),
        ("vault:kv/a#b", "secrets.vault"),
    ] {
        let refused = vault.link(&secret("operator", "db"), &link.parse().unwrap()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(says) && refused.contains(link), "{refused}");
    }
    assert!(!vault.contains(&secret("operator", "db")).await.unwrap());
}
