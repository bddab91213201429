//! A disk that forgets: flipped bits and cut files, anywhere.
//!
//! Whatever is changed in the file, the store gives the right answer, or an
//! error that says what is damaged; never another answer. It says the same when
//! it is opened again.

use std::sync::atomic::{AtomicU64, Ordering};

use deployd_core::ports::{Store, StoreError};
use deployd_store::{MemoryStore, OpenError, RedbStore, StoreOptions};

use crate::disk::{Disk, Random};
use crate::operations::{Answer, Maker, Operation, STREAMS, everything_seen};
use crate::samples::*;

/// `STORE_ROT_SEEDS=from..to` runs others; each is one changed file.
const FLIPS: std::ops::Range<u64> = 0..1_000;
const CUTS: std::ops::Range<u64> = 0..200;

/// Panics of redb, which tells of some damage so; they end in errors like any.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn count_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or("", |place| place.file());
        if place.contains("redb") {
            PANICS.fetch_add(1, Ordering::Relaxed);
        } else {
            println!("{panic}");
        }
    }));
}

/// A short log, so that most of a file is not that.
fn options() -> StoreOptions {
    StoreOptions { log_bytes: 64 << 10, ..StoreOptions::default() }
}

/// A store's file, and what can be seen of it.
struct Image {
    bytes: Vec<u8>,
    expected: Vec<Answer>,
}

/// One that was closed, and one whose process was killed.
async fn images() -> [Image; 2] {
    let disk = Disk::default();
    let store = RedbStore::open_on("rot", disk.clone(), &options()).unwrap();
    let model = MemoryStore::new();
    let mut maker = Maker::new(1);
    for _ in 0..150 {
        let operation = maker.write(&model).await;
        let expected = operation.run(&model).await;
        assert_eq!(operation.run(&store).await, expected);
    }
    // Enough to make trees with branches.
    for n in 0..15 {
        let mut batch = events(&format!("environment/{n}"), 0, 8);
        let value = vec![n as u8; 300];
        batch.puts = (0..20u8).map(|k| put(PLACES, &[9, n as u8, k], &value)).collect();
        batch.objects = vec![object(format!("{n}").repeat(3_000).as_bytes())];
        store.append(batch.clone()).await.unwrap();
        model.append(batch).await.unwrap();
    }
    let expected = everything_seen(&model).await;
    assert_eq!(everything_seen(&store).await, expected);
    let killed = disk.seen();
    store.close().await;
    [Image { bytes: disk.seen(), expected: expected.clone() }, Image { bytes: killed, expected }]
}

#[derive(Debug, Default)]
struct Tally {
    /// Nothing was to be noticed.
    harmless: u64,
    /// The store was not opened.
    refused: u64,
    /// Some answers were errors.
    damaged: u64,
}

fn is_damage(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|error| error.contains("Damaged("))
}

/// What to do, and where it is.
fn names_the_damage(text: &str) -> Result<(), String> {
    let named = ["bytes at", "be read between", "cut", "copies of its header", "first bytes"];
    if named.iter().any(|word| text.contains(word)) && text.len() < 1_000 {
        Ok(())
    } else {
        Err(format!("an error that names nothing: {text}"))
    }
}

async fn look(image: &Image, bytes: Vec<u8>, tally: &mut Tally) -> Result<(), String> {
    let disk = Disk::with(bytes);
    let options = options();
    let store = match RedbStore::open_on("rot", disk.clone(), &options) {
        Ok(store) => store,
        Err(error) => {
            if !matches!(error, OpenError::Damaged { .. } | OpenError::NotAStore { .. }) {
                return Err(format!("{error:?}"));
            }
            names_the_damage(&error.to_string())?;
            let again = RedbStore::open_on("rot", disk, &options).map(|_| ());
            let again = again.err().map(|error| error.to_string());
            if again != Some(error.to_string()) {
                return Err(format!("first {error}, then {again:?}"));
            }
            tally.refused += 1;
            return Ok(());
        }
    };
    let seen = everything_seen(&store).await;
    let mut damaged = false;
    for (seen, expected) in seen.iter().zip(&image.expected) {
        if is_damage(seen) {
            names_the_damage(&format!("{seen:?}"))?;
            damaged = true;
        } else if seen != expected {
            return Err(format!("a wrong answer: {seen:.300?} where {expected:.300?} should be"));
        }
    }
    // What is damaged stops itself and nothing else.
    let mut changed = Vec::new();
    for n in 0..3 {
        changed.push(Operation::Append(everything(1_000 + n)).run(&store).await);
    }
    changed.push(Operation::Append(events("b", 10_000, 1)).run(&store).await);
    for name in STREAMS {
        changed.push(Operation::Claim(name.to_owned(), "w", at(u64::MAX), 0).run(&store).await);
    }
    changed.push(Operation::Take(at(u64::MAX), at(7), 5).run(&store).await);
    let accept = Operation::Accept(key("new"), digest(1), vec![1], at(1), everything(2_000));
    changed.push(accept.run(&store).await);
    for answer in &changed {
        match answer {
            Err(text) if text == "stopped" => return Err(store.stopped().await),
            Err(text) if text.starts_with("Conflict") => {}
            Err(text) => names_the_damage(text).map_err(|error| format!("{error}: {changed:?}"))?,
            Ok(_) => {}
        }
        damaged |= is_damage(answer);
    }
    match store.verify().await {
        Ok(report) if report.is_sound() == damaged && damaged => {
            return Err("damage was met that a verification did not find".to_owned());
        }
        Ok(report) => {
            damaged |= !report.is_sound();
            report.damaged.iter().try_for_each(|text| names_the_damage(text))?;
        }
        Err(StoreError::Damaged(text)) => names_the_damage(&text)?,
        Err(error) => return Err(format!("{error:?}")),
    }
    store.close().await;
    let again = RedbStore::open_on("rot", disk, &options).map_err(|error| error.to_string())?;
    for (n, answer) in (1_000..).zip(changed.iter().take(3)) {
        let there = again.head(&stream(&format!("everything/{n}"))).await;
        if answer.is_ok() && !there.as_ref().is_ok_and(|head| head.version.0 == 2) {
            return Err(format!("what was acknowledged is not there: {there:?}"));
        }
    }
    again.close().await;
    *(if damaged { &mut tally.damaged } else { &mut tally.harmless }) += 1;
    Ok(())
}

#[tokio::test]
async fn i14_a_flipped_bit_is_named_or_harmless() {
    count_panics();
    let images = images().await;
    let mut tally = Tally::default();
    for seed in crate::seeds("STORE_ROT_SEEDS", FLIPS) {
        let mut random = Random(seed);
        let image = random.pick(&images);
        let mut bytes = image.bytes.clone();
        // Anywhere, or where there is something.
        let mut at = random.below(bytes.len() as u64) as usize;
        if random.chance(75) {
            while matches!(bytes[at], 0 | 255) {
                at = random.below(bytes.len() as u64) as usize;
            }
        }
        bytes[at] ^= 1 << random.below(8);
        let looked = look(image, bytes, &mut tally).await;
        looked.unwrap_or_else(|error| panic!("STORE_ROT_SEEDS={seed}..{}: {error}", seed + 1));
    }
    println!("{tally:?}, {} panics within redb", PANICS.load(Ordering::Relaxed));
}

#[tokio::test]
async fn i14_a_cut_file_is_named_or_harmless() {
    count_panics();
    let images = images().await;
    let mut tally = Tally::default();
    for seed in crate::seeds("STORE_ROT_SEEDS", CUTS) {
        let mut random = Random(seed);
        let image = random.pick(&images);
        let mut length = 1 + random.below(image.bytes.len() as u64 - 1) as usize;
        if random.chance(50) {
            length = length.next_multiple_of(4_096).min(image.bytes.len() - 4_096);
        }
        let looked = look(image, image.bytes[..length].to_vec(), &mut tally).await;
        looked.unwrap_or_else(|error| panic!("STORE_ROT_SEEDS={seed}..{}: {error}", seed + 1));
    }
    println!("{tally:?}, {} panics within redb", PANICS.load(Ordering::Relaxed));
}
