//! Writes every event, message and projection of stores into a folder, a file each:
//! what the dictionary of `src/packed.rs` is made from (see
//! `src/dictionary/README.md`).
//!
//! `dictionary-samples FOLDER STORE...`; nobody may have the stores open.

use std::error::Error;
use std::path::{Path, PathBuf};

use deployd_core::digest::canonical_json;
use deployd_core::ports::{FeedPosition, Store};
use deployd_store::{RedbStore, StoreOptions, indexes_of};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("dictionary-samples FOLDER STORE...")?;
    std::fs::create_dir_all(&folder)?;
    let mut texts = Vec::new();
    for store in arguments {
        texts.extend(texts_of(&store)?);
    }
    for (n, text) in texts.iter().enumerate() {
        std::fs::write(folder.join(format!("{n:07}")), text)?;
    }
    Ok(())
}

fn texts_of(path: &Path) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    // What is compressed in another way says nothing.
    let mut texts: Vec<Vec<u8>> =
        indexes_of(path)?.into_values().filter(|value| value.first() != Some(&0x28)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = RedbStore::open(path, &StoreOptions::default())?;
        for item in store.feed(FeedPosition(0), usize::MAX).await? {
            texts.push(canonical_json(&item.record.event)?);
        }
        for message in store.outbox_list(None, None, usize::MAX).await? {
            texts.push(serde_json::to_vec(&message)?);
        }
        store.close().await;
        Ok(texts)
    })
}
