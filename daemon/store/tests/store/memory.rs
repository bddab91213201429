//! What engine tests use of the model beyond the port.

use std::time::Duration;

use deployd_core::ports::{FeedPosition, Store, StoreError};
use deployd_store::MemoryStore;
use tokio::time::timeout;

use crate::samples::*;

#[tokio::test(start_paused = true)]
async fn it_waits_for_no_real_time() {
    let store = MemoryStore::new();
    let hours = Duration::from_secs(3 * 3_600);
    assert!(timeout(hours, store.feed_grown(FeedPosition(0))).await.is_err());
    let writer = store.clone();
    tokio::spawn(async move {
        tokio::time::sleep(hours).await;
        writer.append(events("s", 0, 1)).await.unwrap();
    });
    let grown = timeout(2 * hours, store.feed_grown(FeedPosition(0))).await;
    assert_eq!(grown.unwrap().unwrap(), FeedPosition(1));
}

#[tokio::test]
async fn its_clones_are_the_same_store() {
    let store = MemoryStore::new();
    store.clone().append(everything(1)).await.unwrap();
    assert_eq!(store.head(&stream("everything/1")).await.unwrap().version.0, 2);
}

#[tokio::test]
async fn it_can_refuse_for_a_while() {
    let store = MemoryStore::new();
    store.refuse_writes(Some(StoreError::Busy));
    let refused = store.append(everything(1)).await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    assert_eq!(store.feed(FeedPosition(0), 9).await.unwrap(), []);
    store.refuse_writes(None);
    store.append(everything(1)).await.unwrap();
}

#[tokio::test]
async fn it_can_stop() {
    let store = MemoryStore::new();
    let waiting = store.feed_grown(FeedPosition(0));
    store.stop("a test");
    assert!(matches!(waiting.await, Err(StoreError::Stopped(_))));
    assert!(matches!(store.append(everything(1)).await, Err(StoreError::Stopped(_))));
    assert_eq!(store.stopped().await, "a test");
}
