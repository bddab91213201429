//! Keys: new ones, older ones, and ends at every point in between.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::ports::{Batch, Put, Store, Vault as _, VaultAdmin as _};
use deployd_core::secret::{KeyReport, KeyUse};
use deployd_store::MemoryStore;

use super::crashing::Crashing;
use super::{Variables, key_file, open, open_with, secret, settings, value};
use crate::record::seal_direct;
use crate::vault::SECRETS;
use crate::{KeyError, KeySettings, StoreVault};

/// More than two batches.
const SECRETS_COUNT: usize = 130;

async fn fill(vault: &StoreVault) {
    for number in 0..SECRETS_COUNT {
        let name = secret("operator", &format!("s{number}"));
        vault.put(&name, value(&format!("canary-{number}"))).await.unwrap();
    }
}

async fn all_readable(vault: &StoreVault) {
    for number in 0..SECRETS_COUNT {
        let found = vault.get(&secret("operator", &format!("s{number}"))).await.unwrap();
        assert_eq!(found, value(&format!("canary-{number}")));
    }
}

fn uses(report: &KeyReport) -> Vec<KeyUse> {
    report.keys.iter().map(|key| key.used).collect()
}

/// The files of older keys.
fn older(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| *path != key_file(folder) && path.extension().is_some_and(|e| e == "key"))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_new_key_wraps_everything_and_the_old_one_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = open(&store, folder.path()).await.unwrap();
    fill(&vault).await;
    let first = std::fs::read(key_file(folder.path())).unwrap();
    let before = vault.keys().await.unwrap();
    assert!(before.settled);
    assert_eq!(uses(&before), [KeyUse::Newest]);

    let after = vault.rotate_key().await.unwrap();
    assert!(after.settled);
    assert_eq!(uses(&after), [KeyUse::Newest, KeyUse::Removable]);
    assert_eq!(after.keys[1].id, before.keys[0].id);
    assert_ne!(std::fs::read(key_file(folder.path())).unwrap(), first);
    let kept = older(folder.path());
    assert_eq!(std::fs::read(&kept[0]).unwrap(), first);
    assert!(after.keys[1].from.contains(&kept[0].display().to_string()), "{after:?}");
    all_readable(&vault).await;

    std::fs::remove_file(&kept[0]).unwrap();
    let vault = open(&store, folder.path()).await.unwrap();
    all_readable(&vault).await;
    assert_eq!(uses(&vault.keys().await.unwrap()), [KeyUse::Newest]);
}

#[tokio::test]
async fn a_rotation_may_end_at_any_write_and_every_secret_is_readable() {
    let writes = {
        let folder = tempfile::tempdir().unwrap();
        let crashing = Arc::new(Crashing::new(MemoryStore::new()));
        let vault = open(&(crashing.clone() as _), folder.path()).await.unwrap();
        fill(&vault).await;
        let before = crashing.writes();
        vault.rotate_key().await.unwrap();
        crashing.writes() - before
    };
    assert!(writes > 3, "{writes}");
    for end in 0..writes {
        for stored in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let crashing = Arc::new(Crashing::new(MemoryStore::new()));
            let store: Arc<dyn Store> = crashing.clone();
            let vault = open(&store, folder.path()).await.unwrap();
            fill(&vault).await;
            crashing.end_after(end, stored);
            vault.rotate_key().await.unwrap_err();
            // Also the process that goes on can read them.
            all_readable(&vault).await;
            drop(vault);

            crashing.live();
            let vault = open(&store, folder.path()).await.unwrap();
            all_readable(&vault).await;
            if end + 1 < writes || !stored {
                let report = vault.keys().await.unwrap();
                assert_eq!(uses(&report), [KeyUse::Newest, KeyUse::Needed], "{end} {stored}");
                // Who removes a key too early is told at the next start.
                let kept = older(folder.path()).remove(0);
                let aside = folder.path().join("aside");
                std::fs::rename(&kept, &aside).unwrap();
                let refused = open(&store, folder.path()).await.map(drop).unwrap_err();
                assert!(matches!(refused, KeyError::Unknown { .. }), "{refused}");
                std::fs::rename(&aside, &kept).unwrap();
                // Asked again, it finishes what was begun, and makes no third key.
                let report = vault.rotate_key().await.unwrap();
                assert_eq!(uses(&report), [KeyUse::Newest, KeyUse::Removable]);
            }
            vault.settle().await.unwrap();
            std::fs::remove_file(&older(folder.path())[0]).unwrap();
            all_readable(&open(&store, folder.path()).await.unwrap()).await;
        }
    }
}

#[tokio::test]
async fn a_rotation_may_end_between_any_two_files() {
    for end in 0..=4 {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let vault = open(&store, folder.path()).await.unwrap();
        fill(&vault).await;
        let ring = vault.ring();
        let before = (ring.newest().id, *ring.newest().bytes());
        let steps = settings(folder.path()).files().steps(Some(before), [9; 32]);
        assert_eq!(steps.len(), 4);
        for step in &steps[..end] {
            step().unwrap();
        }
        let vault = open(&store, folder.path()).await.unwrap();
        all_readable(&vault).await;
        vault.settle().await.unwrap();
        let report = vault.rotate_key().await.unwrap();
        assert!(report.settled);
        assert_eq!(report.keys[0].used, KeyUse::Newest);
        all_readable(&vault).await;
        for path in older(folder.path()) {
            std::fs::remove_file(path).unwrap();
        }
        all_readable(&open(&store, folder.path()).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_store_of_the_format_before_is_read_and_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    // As versions before wrote it: the key, and what it encrypts directly.
    let key: [u8; 32] = std::array::from_fn(|at| at as u8);
    std::fs::write(key_file(folder.path()), key).unwrap();
    let record = |name: &[u8], value: &[u8]| seal_direct(name, value, key, [3; 24]);
    // This one was made with libsodium, which shares no code with this.
    let kept = STANDARD
        .decode("AQMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAyuUECevrL9RnLoqiJsp/hSfnNjhDo+g1G4I4Q==")
        .unwrap();
    assert_eq!(kept, record(b"operator\0a", b"canary-7d1f"));
    let mut puts = vec![Put { index: SECRETS, key: b"operator\0a".to_vec(), value: Some(kept) }];
    for number in 0..SECRETS_COUNT {
        let name = format!("operator\0s{number}").into_bytes();
        let sealed = record(&name, format!("canary-{number}").as_bytes());
        puts.push(Put { index: SECRETS, key: name, value: Some(sealed) });
    }
    // One that was damaged keeps nobody else from being migrated.
    let mut damaged = record(b"operator\0z", b"lost");
    *damaged.last_mut().unwrap() ^= 1;
    puts.push(Put { index: SECRETS, key: b"operator\0z".to_vec(), value: Some(damaged) });
    store.append(Batch { puts, ..Batch::default() }).await.unwrap();

    let vault = open(&store, folder.path()).await.unwrap();
    all_readable(&vault).await;
    assert!(!vault.keys().await.unwrap().settled);
    vault.settle().await.unwrap();
    all_readable(&vault).await;
    assert_eq!(vault.get(&secret("operator", "a")).await.unwrap(), value("canary-7d1f"));
    let report = vault.keys().await.unwrap();
    assert!(report.settled);
    assert_eq!(report.unreadable, ["operator/z"]);
    let migrated = store.get(SECRETS, b"operator\0a").await.unwrap().unwrap();
    assert_eq!(migrated[0], 2);
    assert_eq!(std::fs::read(key_file(folder.path())).unwrap(), key);
}

#[tokio::test]
async fn a_key_comes_from_the_environment_and_is_rotated_there() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    // From a file to a variable.
    fill(&open(&store, folder.path()).await.unwrap()).await;
    let (one, two) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
    let named = KeySettings {
        variable: Some("KEY".to_owned()),
        previous_variables: vec!["OLD".to_owned()],
        ..settings(folder.path())
    };
    let mut set = Variables::from([("KEY", one.clone())]);
    let vault = open_with(&store, named.clone(), &set).await.unwrap();
    all_readable(&vault).await;
    assert_eq!(uses(&vault.keys().await.unwrap()), [KeyUse::Newest, KeyUse::Needed]);
    vault.settle().await.unwrap();
    assert_eq!(uses(&vault.keys().await.unwrap()), [KeyUse::Newest, KeyUse::Removable]);
    std::fs::remove_file(key_file(folder.path())).unwrap();

    // The daemon can't change its environment.
    let refused = vault.rotate_key().await.unwrap_err().to_string();
    assert!(refused.contains("KEY") && refused.contains("previous-key-envs"), "{refused}");

    // A new key alone is not enough.
    set.insert("KEY", two);
    let refused = open_with(&store, named.clone(), &set).await.map(drop).unwrap_err();
    assert!(matches!(refused, KeyError::Unknown { .. }), "{refused}");
    set.insert("OLD", one);
    let vault = open_with(&store, named.clone(), &set).await.unwrap();
    all_readable(&vault).await;
    vault.settle().await.unwrap();
    let report = vault.keys().await.unwrap();
    assert_eq!(uses(&report), [KeyUse::Newest, KeyUse::Removable]);
    assert!(report.keys[1].from.contains("OLD"), "{report:?}");
    set.remove("OLD");
    all_readable(&open_with(&store, named.clone(), &set).await.unwrap()).await;

    // And back to a file.
    let back = KeySettings {
        variable: None,
        previous_variables: vec!["KEY".to_owned()],
        ..settings(folder.path())
    };
    let vault = open_with(&store, back, &set).await.unwrap();
    vault.settle().await.unwrap();
    all_readable(&open(&store, folder.path()).await.unwrap()).await;

    for (text, says) in [("", "length"), ("short", "base 64"), ("c2hvcnQ=", "length")] {
        set.insert("KEY", text.to_owned());
        let refused = open_with(&store, named.clone(), &set).await.map(drop).unwrap_err();
        assert!(refused.to_string().contains(says), "{text}: {refused}");
    }
    set.remove("KEY");
    let refused = open_with(&store, named, &set).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("not set"), "{refused}");
}

#[tokio::test]
async fn secrets_are_set_while_others_are_wrapped_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = Arc::new(open(&store, folder.path()).await.unwrap());
    fill(&vault).await;
    let setting = {
        let vault = vault.clone();
        tokio::spawn(async move {
            for number in 0..SECRETS_COUNT {
                let name = secret("operator", &format!("s{number}"));
                vault.put(&name, value("between")).await.unwrap();
                vault.put(&name, value(&format!("canary-{number}"))).await.unwrap();
            }
        })
    };
    for _ in 0..3 {
        vault.rotate_key().await.unwrap();
    }
    setting.await.unwrap();
    all_readable(&vault).await;
    for path in older(folder.path()) {
        std::fs::remove_file(path).unwrap();
    }
    all_readable(&open(&store, folder.path()).await.unwrap()).await;
}

#[tokio::test]
async fn a_key_that_something_was_wrapped_with_is_needed_before_the_rotation_ends() {
    let folder = tempfile::tempdir().unwrap();
    let crashing = Arc::new(Crashing::new(MemoryStore::new()));
    let store: Arc<dyn Store> = crashing.clone();
    let vault = open(&store, folder.path()).await.unwrap();
    fill(&vault).await;
    // The key is noted, one batch is wrapped with it, and then it is over.
    crashing.end_after(2, false);
    vault.rotate_key().await.unwrap_err();
    let newest = vault.ring().newest().id.to_string();
    drop(vault);
    crashing.live();
    // Somebody puts the old key back in the place of the new one.
    let current = key_file(folder.path());
    let new = std::fs::read(&current).unwrap();
    std::fs::rename(older(folder.path()).remove(0), &current).unwrap();
    let refused = open(&store, folder.path()).await.map(drop).unwrap_err();
    let KeyError::Unknown { needed, .. } = refused else { panic!("{refused}") };
    assert_eq!(needed, newest, "what is wrapped with it would be lost");
    // With both of them it goes on, and nothing is said to be done that is not.
    std::fs::write(folder.path().join(format!("secrets-{newest}.key")), new).unwrap();
    let vault = open(&store, folder.path()).await.unwrap();
    all_readable(&vault).await;
    let report = vault.keys().await.unwrap();
    assert!(!report.settled, "{report:?}");
    assert_eq!(uses(&report), [KeyUse::Newest, KeyUse::Needed]);
    vault.settle().await.unwrap();
    assert_eq!(uses(&vault.keys().await.unwrap()), [KeyUse::Newest, KeyUse::Removable]);
    std::fs::remove_file(older(folder.path()).remove(0)).unwrap();
    all_readable(&open(&store, folder.path()).await.unwrap()).await;
}

#[tokio::test]
async fn what_is_written_before_anything_is_wrapped_anew_has_its_key_noted() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    fill(&open(&store, folder.path()).await.unwrap()).await;
    let named = KeySettings { variable: Some("KEY".to_owned()), ..settings(folder.path()) };
    let set = Variables::from([("KEY", STANDARD.encode([7; 32]))]);
    let vault = open_with(&store, named.clone(), &set).await.unwrap();
    vault.put(&secret("operator", "s0"), value("canary-0")).await.unwrap();
    drop(vault);
    // Back to the file alone: what was set since can't be read with it.
    let refused = open(&store, folder.path()).await.map(drop).unwrap_err();
    assert!(matches!(refused, KeyError::Unknown { .. }), "{refused}");
    all_readable(&open_with(&store, named, &set).await.unwrap()).await;
}

#[tokio::test]
async fn a_store_without_secrets_takes_any_key() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    drop(open(&store, folder.path()).await.unwrap());
    for key in [[7; 32], [8; 32]] {
        std::fs::write(key_file(folder.path()), key).unwrap();
        let (settings, environment) =
            (settings(folder.path()), super::environment(&Variables::new()));
        assert!(settings.report(&*store, &environment).await.unwrap().is_some());
        let vault = open(&store, folder.path()).await.unwrap();
        let report = vault.keys().await.unwrap();
        assert!(report.settled, "{report:?}");
    }
    fill(&open(&store, folder.path()).await.unwrap()).await;
    std::fs::write(key_file(folder.path()), [9; 32]).unwrap();
    assert!(open(&store, folder.path()).await.is_err(), "from now on it is another matter");
}

#[tokio::test]
async fn no_key_is_removable_while_something_can_t_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = open(&store, folder.path()).await.unwrap();
    fill(&vault).await;
    let (name, key) = (secret("operator", "s7"), b"operator\0s7".to_vec());
    let sound = store.get(SECRETS, &key).await.unwrap().unwrap();
    let put = async |value: Vec<u8>| {
        let put = Put { index: SECRETS, key: key.clone(), value: Some(value) };
        store.append(Batch { puts: vec![put], ..Batch::default() }).await.unwrap();
    };
    // Its key is said to be one that nobody has.
    let mut strange = sound.clone();
    strange[2] ^= 1;
    put(strange).await;
    let report = vault.rotate_key().await.unwrap();
    assert!(report.settled);
    assert_eq!(report.unreadable, ["operator/s7"]);
    assert_eq!(uses(&report), [KeyUse::Newest, KeyUse::Needed]);
    // The next process knows it as well, and looks again.
    let vault = open(&store, folder.path()).await.unwrap();
    assert_eq!(vault.keys().await.unwrap(), report);
    vault.settle().await.unwrap();
    assert_eq!(vault.keys().await.unwrap(), report);
    // What was restored is wrapped anew with the rest.
    put(sound).await;
    vault.settle().await.unwrap();
    let report = vault.keys().await.unwrap();
    assert!(report.unreadable.is_empty(), "{report:?}");
    assert_eq!(uses(&report), [KeyUse::Newest, KeyUse::Removable]);
    std::fs::remove_file(older(folder.path()).remove(0)).unwrap();
    let vault = open(&store, folder.path()).await.unwrap();
    assert_eq!(vault.get(&name).await.unwrap(), value("canary-7"));
}
