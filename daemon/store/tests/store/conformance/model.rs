//! Random operations: every answer of the store is the model's, step by step,
//! also after restarts and in a copy.

use deployd_core::ports::Store;
use deployd_store::MemoryStore;

use crate::implementations::Implementation;
use crate::operations::{Maker, everything_seen};

/// `STORE_MODEL_SEEDS=from..to` runs others.
const SEEDS: std::ops::Range<u64> = 0..12;
const OPERATIONS: u64 = 250;

pub(super) async fn every_answer_is_the_model_s_answer<I: Implementation>(it: I) {
    let mut it = Some(it);
    for seed in crate::seeds("STORE_MODEL_SEEDS", SEEDS) {
        let what = format!("STORE_MODEL_SEEDS={seed}..{}", seed + 1);
        let fresh = match it.take() {
            Some(it) => it,
            None => I::fresh().await,
        };
        agrees(fresh, seed, &what).await;
    }
}

async fn agrees<I: Implementation>(it: I, seed: u64, what: &str) {
    let mut maker = Maker::new(seed);
    let model = MemoryStore::new();
    let mut it = it;
    let mut successes = 0;
    for step in 0..OPERATIONS {
        let operation = maker.any(&model).await;
        let expected = operation.run(&model).await;
        let found = operation.run(it.store()).await;
        assert_eq!(found, expected, "{what}, step {step}: {operation:?}");
        successes += u64::from(found.is_ok());
        if maker.random.chance(1) {
            it = it.restart().await;
        }
    }
    assert!(successes > OPERATIONS / 2, "{what}: only {successes} were not refused");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup");
    it.store().backup(&path).await.unwrap();
    let copy = I::restored(&path).await;
    for store in [it.store(), copy.store()] {
        assert_eq!(everything_seen(store).await, everything_seen(&model).await, "{what}");
        let (report, expected) = (store.verify().await.unwrap(), model.verify().await.unwrap());
        assert!(report.is_sound(), "{what}: {report:?}");
        assert_eq!(report, expected, "{what}");
    }
}
