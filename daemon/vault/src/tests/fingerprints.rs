use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use deployd_core::Timestamp;
use deployd_core::ports::{Index, KeyRange, Order, Vault, VaultAdmin};

use super::{Opened, opened, secret, value};

#[tokio::test]
async fn equal_values_are_known_to_be_equal_at_any_time() {
    let Opened { vault, clock, .. } = &opened().await;
    let (a, b) = (secret("staging-db", "password"), secret("production-db", "password"));
    for (at, secret, text) in [
        (1_000, &a, "hunter2"),
        (2_000, &b, "correct horse"),
        (3_000, &a, "correct horse"),
        (4_000, &b, "correct horse"),
        (5_000, &b, "battery staple"),
    ] {
        clock.0.store(at, Ordering::Relaxed);
        vault.put(secret, value(text)).await.unwrap();
    }
    let at = async |owner: &str, at: u64| {
        vault.fingerprints(owner, Timestamp(at)).await.unwrap().get("password").copied()
    };
    assert_eq!(at("staging-db", 999).await, None, "nothing was there yet");
    assert!(at("staging-db", 1_000).await.is_some());
    assert_eq!(at("staging-db", 1_000).await, at("staging-db", 2_999).await);
    assert_ne!(at("staging-db", 2_500).await, at("production-db", 2_500).await);
    assert_eq!(at("staging-db", 4_500).await, at("production-db", 4_500).await);
    assert_ne!(at("staging-db", 5_000).await, at("production-db", 5_000).await);
    // Also with another key of secrets, and after the secrets are gone.
    let before = at("staging-db", 9_000).await;
    vault.rotate_key().await.unwrap();
    vault.remove_owner("staging-db").await.unwrap();
    assert_eq!(at("staging-db", 9_000).await, before);
    vault.put(&secret("third", "password"), value("correct horse")).await.unwrap();
    assert_eq!(at("third", 9_000).await, before);
}

#[tokio::test]
async fn i16_a_fingerprint_tells_nothing_without_the_key() {
    let (one, other) = (printed("hunter2").await, printed("hunter2").await);
    assert_ne!(one, other, "each daemon has a key of its own");
    assert_ne!(one, deployd_core::Digest::of(b"hunter2").as_bytes().to_vec());
}

/// What a store has of a secret's value beside the secret.
async fn printed(text: &str) -> Vec<u8> {
    let Opened { store, vault, .. } = &opened().await;
    vault.put(&secret("db", "password"), value(text)).await.unwrap();
    let all = KeyRange { start: Vec::new(), end: None };
    let index = Index("secret-fingerprints");
    let page = store.scan(index, all, Order::Ascending, 10).await.unwrap();
    let found: BTreeMap<Vec<u8>, Vec<u8>> = page.entries.into_iter().collect();
    assert_eq!(found.len(), 1);
    found.into_values().next().unwrap()
}

#[tokio::test]
async fn what_a_renewed_secret_leaves_is_bounded() {
    let Opened { vault, clock, .. } = &opened().await;
    let access = secret("cluster", "kubeconfig");
    for renewed in 0..250u64 {
        clock.0.store(renewed, Ordering::Relaxed);
        vault.put(&access, value(&renewed.to_string())).await.unwrap();
    }
    let known = async |at| vault.fingerprints("cluster", Timestamp(at)).await.unwrap().len();
    assert_eq!((known(0).await, known(49).await, known(50).await, known(249).await), (0, 0, 1, 1));
}

#[tokio::test]
async fn i15_an_old_value_does_not_come_back_after_a_clock_was_set_back() {
    let Opened { vault, clock, .. } = &opened().await;
    let (a, b) = (secret("staging-db", "password"), secret("production-db", "password"));
    for (at, secret, text) in
        [(1_000, &a, "first"), (5_000, &a, "second"), (2_000, &a, "third"), (2_000, &b, "third")]
    {
        clock.0.store(at, Ordering::Relaxed);
        vault.put(secret, value(text)).await.unwrap();
    }
    let at = async |owner: &str, time: u64| {
        vault.fingerprints(owner, Timestamp(time)).await.unwrap().get("password").copied()
    };
    assert!(at("staging-db", 9_000).await.is_some());
    assert_eq!(at("staging-db", 9_000).await, at("production-db", 9_000).await);
    assert_ne!(at("staging-db", 5_000).await, at("production-db", 5_000).await);
}
