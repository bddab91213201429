//! Power is lost, again and again; what was acknowledged is there (I1).

use std::io::ErrorKind;

use deployd_core::ports::Store;
use deployd_store::{MemoryStore, RedbStore, StoreOptions};

use crate::disk::{Disk, Failing, Random};
use crate::operations::{Answer, Maker, Operation, STREAMS, everything_seen, is_stopped};
use crate::samples::*;

/// Each has several crashes. `STORE_CRASH_SEEDS=from..to` runs others.
const SEEDS: std::ops::Range<u64> = 0..60;
const CRASHES: u64 = 4;

fn seeds() -> std::ops::Range<u64> {
    crate::seeds("STORE_CRASH_SEEDS", SEEDS)
}

/// A log that is full again and again.
fn options() -> StoreOptions {
    StoreOptions { log_bytes: 32 << 10, ..StoreOptions::default() }
}

/// One store of eight has no log, as those had that were made before there were logs.
fn options_of(seed: u64) -> StoreOptions {
    match seed % 8 {
        7 => StoreOptions { log_bytes: 0, ..StoreOptions::default() },
        _ => options(),
    }
}

/// What is known to be stored, in its order, and what may be.
#[derive(Default)]
struct Told {
    acknowledged: Vec<Operation>,
    unknown: Option<Operation>,
}

impl Told {
    async fn model(&self, with_unknown: bool) -> MemoryStore {
        let model = MemoryStore::new();
        let unknown = self.unknown.as_ref().filter(|_| with_unknown);
        for operation in self.acknowledged.iter().chain(unknown) {
            // Those that were refused are refused again: that is the model.
            let _ = operation.run(&model).await;
        }
        model
    }

    /// Finds what the store has after a crash: all that was acknowledged, and
    /// all or nothing of what was not.
    async fn compare(&mut self, store: &RedbStore, what: &str) -> Result<(), String> {
        let seen = all_there_is(store).await;
        if seen == all_there_is(&self.model(false).await).await {
            self.unknown = None;
        } else {
            let with = all_there_is(&self.model(true).await).await;
            if let Some((seen, with)) = seen.iter().zip(&with).find(|(seen, with)| seen != with) {
                let unknown = &self.unknown;
                return Err(format!("{what}: {seen:?} where {with:?} should be; {unknown:?}"));
            }
            self.acknowledged.extend(self.unknown.take());
        }
        self.acknowledged.extend(probes());
        Ok(())
    }
}

/// All that can be seen, then what can only be told from the answers to
/// changes: leases and claims. These changes leave the same state behind,
/// whatever there was.
async fn all_there_is(store: &dyn Store) -> Vec<Answer> {
    let mut seen = everything_seen(store).await;
    for probe in probes() {
        seen.push(probe.run(store).await);
    }
    seen
}

fn probes() -> Vec<Operation> {
    let mut probes = vec![Operation::Take(at(u64::MAX), at(7), usize::MAX)];
    for name in STREAMS {
        probes.push(Operation::Claim(name.to_owned(), "probe", at(u64::MAX), 0));
    }
    probes
}

/// Crashes one store several times; returns how many of its operations were
/// acknowledged, or what is wrong.
async fn crash(seed: u64, disk: Disk) -> Result<usize, String> {
    let options = options_of(seed);
    let mut random = Random(seed);
    let mut maker = Maker::new(seed);
    let mut told = Told::default();
    let mut disk = disk;
    RedbStore::open_on("crashes", disk.clone(), &options).unwrap().close().await;
    for crash in 0..CRASHES {
        let what = format!("STORE_CRASH_SEEDS={seed}..{}, crash {crash}", seed + 1);
        // Sometimes so soon that it happens in the recovery.
        let calls = if random.chance(20) { random.below(40) } else { random.below(400) };
        disk.fail_at(1 + calls, Failing::Ever, ErrorKind::Other);
        if let Ok(store) = RedbStore::open_on("crashes", disk.clone(), &options) {
            run_until_it_stops(&store, &mut maker, &mut told, &disk).await;
            store.close().await;
        }
        disk = disk.after_power_loss(&mut random);
        // And again while it recovers, up to three times in a row.
        for _ in 0..random.below(4) {
            disk.fail_at(1 + random.below(30), Failing::Ever, ErrorKind::Other);
            if let Ok(store) = RedbStore::open_on("crashes", disk.clone(), &options) {
                store.close().await;
            }
            disk = disk.after_power_loss(&mut random);
        }

        let store = RedbStore::open_on("crashes", disk.clone(), &options);
        let store = store.map_err(|error| format!("{what}: {error}"))?;
        told.compare(&store, &what).await?;
        let report = store.verify().await.map_err(|error| format!("{what}: {error}"))?;
        if !report.is_sound() {
            return Err(format!("{what}: {report:?}"));
        }
        store.close().await;
    }
    Ok(told.acknowledged.len())
}

#[tokio::test]
async fn i1_what_was_acknowledged_survives_power_loss() {
    let mut acknowledged = 0;
    for seed in seeds() {
        acknowledged += crash(seed, Disk::default()).await.unwrap();
    }
    let crashes = (seeds().end - seeds().start) * CRASHES;
    println!("{acknowledged} acknowledged operations, {crashes} crashes");
    assert!(acknowledged as u64 > 5 * crashes, "nothing was tested");
}

/// The test above has teeth.
#[tokio::test]
async fn a_disk_that_does_not_sync_is_found_out() {
    let mut found_out = 0;
    for seed in 0..10 {
        found_out += u64::from(crash(seed, Disk::lying()).await.is_err());
    }
    assert!(found_out > 5, "only {found_out} of 10");
}

async fn run_until_it_stops(store: &RedbStore, maker: &mut Maker, told: &mut Told, disk: &Disk) {
    let model = told.model(false).await;
    while !disk.has_failed() {
        let operation = maker.write(&model).await;
        let answer = operation.run(store).await;
        if is_stopped(&answer) {
            told.unknown = Some(operation);
            break;
        }
        assert_eq!(answer, operation.run(&model).await, "{operation:?}");
        told.acknowledged.push(operation);
    }
}

/// A process that is killed leaves all that it has written to the kernel: what is in
/// the log from before the last checkpoint, too.
#[tokio::test]
async fn i1_a_store_that_was_killed_again_and_again_has_what_it_had() {
    let mut checkpoints = 0;
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut maker = Maker::new(seed);
        let mut told = Told::default();
        let mut disk = Disk::default();
        for kill in 0..CRASHES {
            let what = format!("seed {seed}, kill {kill}");
            let store = RedbStore::open_on("kills", disk.clone(), &options()).unwrap();
            told.compare(&store, &what).await.unwrap();
            let model = told.model(false).await;
            for _ in 0..1 + random.below(60) {
                let operation = maker.write(&model).await;
                let answer = operation.run(&store).await;
                assert_eq!(answer, operation.run(&model).await, "{what}: {operation:?}");
                told.acknowledged.push(operation);
            }
            let killed = Disk::with(disk.seen());
            checkpoints += store.stats().checkpoints;
            store.close().await;
            disk = killed;
        }
    }
    assert!(checkpoints > 20, "only {checkpoints} checkpoints");
}

/// A short life of a store: a few writes, each of another kind.
fn short_life() -> Vec<Operation> {
    vec![
        Operation::Append(everything(1)),
        Operation::Accept(key("k0"), digest(0), b"answer".to_vec(), at(1), events("a", 0, 2)),
        Operation::Take(at(5), at(9), 3),
        Operation::Settle(message(1, 0).redelivered(at(7))),
        Operation::Append(objects(vec![object(&b"large ".repeat(50_000))])),
        Operation::Claim("a".to_owned(), "one", at(1), 5),
        Operation::Append(events("a", 2, 30)),
    ]
}

/// Fails the n-th call of a short life, for every n until none fails.
async fn fail_every_call(failing: Failing, kind: ErrorKind) {
    let made = Disk::default();
    RedbStore::open_on("calls", made.clone(), &options()).unwrap().close().await;
    let made = made.seen();
    let mut random = Random(1);
    for n in 1.. {
        let what = format!("call {n} fails {failing:?}");
        let disk = Disk::with(made.clone());
        disk.fail_at(n, failing, kind);
        let mut told = Told::default();
        if let Ok(store) = RedbStore::open_on("calls", disk.clone(), &options()) {
            let mut stopped = false;
            for operation in short_life() {
                let answer = operation.run(&store).await;
                if is_stopped(&answer) {
                    if !stopped {
                        told.unknown = Some(operation);
                    }
                    stopped = true;
                } else {
                    // After a failure nothing is acknowledged any more.
                    assert!(!stopped, "{what}: {operation:?} was answered {answer:?}");
                    assert!(answer.is_ok(), "{what}: {operation:?} was answered {answer:?}");
                    told.acknowledged.push(operation);
                }
            }
            if stopped {
                assert!(!store.stopped().await.is_empty());
            }
            store.close().await;
        }
        // After a kill, and after power was lost.
        for left in [Disk::with(disk.seen()), disk.after_power_loss(&mut random)] {
            let mut told =
                Told { acknowledged: told.acknowledged.clone(), unknown: told.unknown.clone() };
            let again = RedbStore::open_on("calls", left, &options());
            let again = again.unwrap_or_else(|error| panic!("{what}: {error}"));
            told.compare(&again, &what).await.unwrap();
            let report = again.verify().await.unwrap();
            assert!(report.is_sound(), "{what}: {report:?}");
            again.close().await;
        }
        if !disk.has_failed() {
            assert!(n > 50, "only {n} calls");
            return;
        }
    }
}

#[tokio::test]
async fn i1_a_call_that_fails_once_ends_all_acknowledgements() {
    fail_every_call(Failing::Once, ErrorKind::Other).await;
}

#[tokio::test]
async fn i1_a_disk_that_is_full_in_a_commit_ends_all_acknowledgements() {
    fail_every_call(Failing::Once, ErrorKind::StorageFull).await;
}

#[tokio::test]
async fn i1_a_write_that_ends_in_its_middle_ends_all_acknowledgements() {
    fail_every_call(Failing::Short, ErrorKind::StorageFull).await;
}

#[tokio::test]
async fn i1_a_disk_that_is_gone_ends_all_acknowledgements() {
    fail_every_call(Failing::Ever, ErrorKind::Other).await;
}

/// Requests at once, so that groups are lost whole or in no part, and so that
/// each of them is there whole or not at all.
#[tokio::test]
async fn i1_groups_survive_power_loss() {
    let options = options();
    let mut groups = 0;
    for seed in 0..30 {
        let mut random = Random(seed);
        let mut disk = Disk::default();
        RedbStore::open_on("groups", disk.clone(), &options).unwrap().close().await;
        let mut acknowledged = Vec::new();
        let mut next = 0;
        for _ in 0..CRASHES {
            disk.fail_at(1 + random.below(500), Failing::Ever, ErrorKind::Other);
            if let Ok(store) = RedbStore::open_on("groups", disk.clone(), &options) {
                while !disk.has_failed() {
                    let asked = (next..next + 8).map(|n| {
                        let batch = everything(n);
                        store.accept(key(&format!("k{n}")), digest(n), Vec::new(), at(1), batch)
                    });
                    let answers = futures::future::join_all(asked).await;
                    acknowledged.extend(
                        (next..).zip(answers).filter_map(|(n, answer)| answer.is_ok().then_some(n)),
                    );
                    next += 8;
                }
                groups += store.stats().commits;
                store.close().await;
            }
            disk = disk.after_power_loss(&mut random);
            let store = RedbStore::open_on("groups", disk.clone(), &options).unwrap();
            for n in 0..next {
                let known = store.accepted(key(&format!("k{n}")), digest(n)).await.unwrap();
                let whole = known.is_some();
                assert!(whole || !acknowledged.contains(&n), "seed {seed}: {n} is lost");
                let head = store.head(&stream(&format!("everything/{n}"))).await.unwrap();
                assert_eq!(head.version.0, if whole { 2 } else { 0 });
                let place = store.get(PLACES, &n.to_be_bytes()).await.unwrap();
                assert_eq!(place.is_some(), whole);
                let message = store.outbox_get(&message_id(n)).await.unwrap();
                assert_eq!(message.is_some(), whole);
            }
            let report = store.verify().await.unwrap();
            assert!(report.is_sound(), "seed {seed}: {report:?}");
            store.close().await;
        }
        assert!(acknowledged.len() > 8, "seed {seed}: nothing was tested");
    }
    println!("{groups} groups");
}
