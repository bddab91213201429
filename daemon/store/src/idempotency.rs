//! Requests that came before, by their keys.

use deployd_core::Digest;
use deployd_core::Timestamp;
use deployd_core::ports::{IdempotencyKey, StoreError};
use deployd_core::seeded::{Bug, seeded};
use redb::ReadableTable;

use crate::encode::{self, KeyRecord};
use crate::error::Failure;
use crate::limits::{KEY_KEPT_MS, SWEEP_MAX};
use crate::tables::Tables;

/// The answer recorded for a key, if the digest is that of its request.
///
/// A key whose time has passed counts as long as it has not been swept: to
/// replay longer than promised harms nobody.
pub(crate) fn recorded(
    keys: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &IdempotencyKey,
    digest: Digest,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(bytes) = keys.get(key.0.as_str())? else { return Ok(None) };
    let record = encode::to_key(bytes.value())?;
    if record.digest == digest || seeded(Bug::DigestNotCompared) {
        Ok(Some(record.answer.to_vec()))
    } else {
        Err(StoreError::KeyReuse.into())
    }
}

/// Records the answer of a key, and forgets a few keys whose time has passed.
///
/// A clock that is far ahead for a moment costs few keys: only those that the
/// requests of this moment sweep.
pub(crate) fn record(
    tables: &mut Tables<'_>,
    key: &IdempotencyKey,
    digest: Digest,
    answer: &[u8],
    now: Timestamp,
) -> Result<(), Failure> {
    if seeded(Bug::StoredKeyForgotten) {
        return Ok(());
    }
    let expires = now.plus_ms(KEY_KEPT_MS).0;
    let record = encode::key(&KeyRecord { digest, expires, answer });
    tables.keys.insert(key.0.as_str(), record.as_slice())?;
    tables.key_expiry.insert((expires, key.0.as_str()), ())?;
    sweep(tables, now)
}

fn sweep(tables: &mut Tables<'_>, now: Timestamp) -> Result<(), Failure> {
    let mut expired = Vec::new();
    for entry in tables.key_expiry.range(..(now.0, ""))?.take(SWEEP_MAX) {
        let (entry, _) = entry?;
        let (expires, key) = entry.value();
        expired.push((expires, key.to_owned()));
    }
    for (expires, key) in expired {
        tables.key_expiry.remove((expires, key.as_str()))?;
        tables.keys.remove(key.as_str())?;
    }
    Ok(())
}
