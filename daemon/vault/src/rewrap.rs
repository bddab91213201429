//! From older keys and formats to the newest, in batches.

use deployd_core::ports::{Batch, KeyRange, Order, Put, VaultError};

use crate::keys::Keyring;
use crate::record;
use crate::vault::{RECORD_BYTES_MAX, SECRETS, StoreVault};

/// Records that are read and written at once. Most have some hundred bytes; of
/// the largest, a batch is what the store takes as one.
const BATCH: usize = 60;

/// What wrapping all secrets anew came to.
#[derive(Debug, Default)]
pub(crate) struct Rewrapped {
    /// Secrets that were not wrapped with the newest key, and are now.
    pub(crate) count: usize,
    /// Secrets that no key opens: they stay as they are.
    pub(crate) unreadable: Vec<String>,
}

impl StoreVault {
    /// Wraps every secret with the newest key of this ring. Each is readable at
    /// any time: a batch is one transaction, and all keys are known.
    pub(crate) async fn rewrap_all(&self, ring: &Keyring) -> Result<Rewrapped, VaultError> {
        let mut done = Rewrapped::default();
        let mut start = Vec::new();
        loop {
            // Others change secrets between batches, with the newest key.
            let _changing = self.changing.lock().await;
            let range = KeyRange { start: start.clone(), end: None };
            let page = self.store.scan(SECRETS, range, Order::Ascending, BATCH).await?;
            let mut puts = Vec::new();
            for (key, record) in &page.entries {
                match record::rewrap(key, record, ring, &*self.random) {
                    Ok(None) => {}
                    Ok(Some(anew)) if anew.len() <= RECORD_BYTES_MAX => {
                        puts.push(Put { index: SECRETS, key: key.clone(), value: Some(anew) });
                    }
                    // One that can't be wrapped anew keeps nobody else from it.
                    Ok(Some(_)) | Err(_) => done.unreadable.push(shown(key)),
                }
            }
            done.count += puts.len();
            if !puts.is_empty() {
                self.store.append(Batch { puts, ..Batch::default() }).await?;
            }
            match page.entries.last() {
                Some((last, _)) if page.more => start = [last.as_slice(), &[0]].concat(),
                _ => return Ok(done),
            }
        }
    }
}

/// `owner/name`.
fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).replacen('\0', "/", 1)
}
