//! The embedded store does what the model does, whatever is asked of it.

use deployd_core::ports::Store;
use deployd_store::{MemoryStore, RedbStore, StoreOptions};

use crate::disk::Disk;
use crate::operations::{Maker, everything_seen};

const SEEDS: u64 = 12;
const OPERATIONS: u64 = 250;

fn open(disk: &Disk) -> RedbStore {
    RedbStore::open_on("model", disk.clone(), &StoreOptions::default()).unwrap()
}

#[tokio::test]
async fn every_answer_is_the_model_s_answer() {
    for seed in 0..SEEDS {
        let mut maker = Maker::new(seed);
        let model = MemoryStore::new();
        let disk = Disk::default();
        let mut store = open(&disk);
        let mut successes = 0;
        for step in 0..OPERATIONS {
            let operation = maker.any(&model).await;
            let expected = operation.run(&model).await;
            let found = operation.run(&store).await;
            assert_eq!(found, expected, "seed {seed}, step {step}: {operation:?}");
            successes += u64::from(found.is_ok());
            if maker.random.chance(1) {
                store.close().await;
                store = open(&disk);
            }
        }
        assert!(successes > OPERATIONS / 2, "seed {seed}: only {successes} were not refused");
        assert_eq!(everything_seen(&store).await, everything_seen(&model).await, "seed {seed}");
        let (report, expected) = (store.verify().await.unwrap(), model.verify().await.unwrap());
        assert!(report.is_sound(), "seed {seed}: {report:?}");
        assert_eq!(report, expected, "seed {seed}");
    }
}
