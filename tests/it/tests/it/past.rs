//! The history that `cargo xtask bench history` makes is what a daemon writes.

use std::time::Duration;

use bench::daemon::Daemon;
use bench::documents::{self, MANY};
use bench::history::past::{Circumstances, Past};
use bench::history::template::Templates;
use deployd_practice::{Practice, PracticeOptions};
use deployd_store::{Entries, RedbStore, StoreOptions, indexes_of};
use serde_json::Value;

use crate::compiled;
use crate::program::Build;

/// What a daemon keeps of a deployment for a time, and the history has not: logs, and
/// how pods were.
const FOR_A_TIME: &[&str] = &["details", "details-by-type"];

/// When a set became known is read from the clock once more, a moment before its
/// event: that time is left out.
fn without_moments(entries: Entries) -> Entries {
    let mut left = Entries::new();
    for ((index, mut key), mut value) in entries {
        if index == "sets-by-application" {
            let start = key.iter().position(|byte| *byte == 0).unwrap() + 1;
            key.drain(start..start + 8);
        }
        if index == "sets" {
            let mut origin: Value = serde_json::from_slice(&value).unwrap();
            origin.as_object_mut().unwrap().remove("at");
            value = origin.to_string().into_bytes();
        }
        left.insert((index, key), value);
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_history_is_what_a_daemon_writes() {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = data.join("deployd.redb");
    let practice = Practice::start(PracticeOptions::new().pace(Duration::ZERO)).await.unwrap();
    let environment = documents::environments(MANY, 1).unwrap().remove(0);

    compiled::give(&data);
    let daemon = Daemon::start(&Build::Plain.path(), &data).await.unwrap();
    documents::apply(&daemon.client, &practice.kubeconfig(), MANY, 1).await.unwrap();
    daemon.stop().await.unwrap();
    let before: Entries = indexes_of(&file).unwrap();

    let daemon = Daemon::start(&Build::Plain.path(), &data).await.unwrap();
    for version in 0..2 {
        let set = documents::set(MANY, version).unwrap();
        documents::deploy(&daemon.client, &environment, &set).await.unwrap();
    }
    daemon.stop().await.unwrap();
    let mut written: Entries = indexes_of(&file).unwrap();
    written.retain(|(index, key), value| {
        !FOR_A_TIME.contains(&index.as_str())
            && before.get(&(index.clone(), key.clone())) != Some(value)
    });

    // The same deployments, under the names that they have.
    let store = RedbStore::open(&file, &StoreOptions::default()).unwrap();
    let templates = Templates::read(&store, &environment).await.unwrap();
    let mut past = Past::new(environment, "bench".parse().unwrap());
    let mut made = Entries::new();
    let mut named = None;
    for template in [&templates.first, &templates.further] {
        let renamed = templates.renamed(template.named.clone(), named.as_ref()).unwrap();
        let of = Circumstances { set: &renamed.set, announced: None, is_new: true };
        for happened in renamed.events {
            past.push(happened, &of).unwrap();
        }
        for put in past.batch().unwrap().puts {
            let key = (put.index.0.to_owned(), put.key);
            match put.value {
                Some(value) => drop(made.insert(key, value)),
                None => drop(made.remove(&key)),
            }
        }
        named = Some(renamed.named);
    }
    store.close().await;

    let (written, made) = (without_moments(written), without_moments(made));
    let text = |entries: &Entries| -> Vec<(String, String, String)> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        entries
            .iter()
            .map(|((index, key), value)| (index.clone(), lossy(key), lossy(value)))
            .collect()
    };
    let (written, made) = (text(&written), text(&made));
    for entry in &written {
        assert!(made.contains(entry), "the daemon has written {entry:?}");
    }
    for entry in &made {
        assert!(written.contains(entry), "only the generator has written {entry:?}");
    }
}
