//! Keyed hashes of values: whether two secrets have the same value, and when one
//! got another, can be told by them, and nothing else.
//!
//! The key is a secret like others, that nobody but this file reads: it is
//! encrypted with them, and wrapped anew with them when keys rotate.

use std::collections::BTreeMap;

use deployd_core::ports::{Batch, Index, KeyRange, Order, Put, VaultError};
use deployd_core::secret::SecretRef;
use deployd_core::{Digest, Timestamp};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::vault::StoreVault;

/// Owner, name, time -> the fingerprint of the value from then on; nothing where
/// the value is kept elsewhere from then on, and not known here.
const FINGERPRINTS: Index = Index("secret-fingerprints");

/// The most fingerprints of one secret, the newest: accesses that are renewed
/// each hour have some hundred in a week, and what is older than this is not told.
const KEPT_MAX: usize = 200;

/// The most of one owner that are read.
const READ_MAX: usize = 100_000;

/// Bytes of the key.
const KEY: usize = 32;

/// Where the key is. No resource is called that, and no operator's secret.
fn key_of_all() -> SecretRef {
    SecretRef { owner: "deployd".to_owned(), name: "fingerprints".to_owned() }
}

/// The key of what a secret had from a time on.
fn place(secret: &SecretRef, at: Timestamp) -> Vec<u8> {
    let mut key = prefix(secret);
    key.extend_from_slice(&at.0.to_be_bytes());
    key
}

fn prefix(secret: &SecretRef) -> Vec<u8> {
    format!("{}\0{}\0", secret.owner, secret.name).into_bytes()
}

impl StoreVault {
    /// What to write with a secret, so that it is known what value it has from
    /// now on. A value is none where it is kept elsewhere.
    ///
    /// Without them a secret is as good as with them: what fails here is logged,
    /// and keeps nobody from setting it.
    pub(crate) async fn fingerprint(&self, secret: &SecretRef, value: Option<&[u8]>) -> Vec<Put> {
        match self.remembered(secret, value).await {
            Ok(puts) => puts,
            Err(error) => {
                let (owner, name) = (&secret.owner, &secret.name);
                tracing::warn!(%error, owner, name, "whether a secret has changed will not be known");
                Vec::new()
            }
        }
    }

    async fn remembered(
        &self,
        secret: &SecretRef,
        value: Option<&[u8]>,
    ) -> Result<Vec<Put>, VaultError> {
        let value = match value {
            Some(value) => self.hashed(value).await?.as_bytes().to_vec(),
            None => Vec::new(),
        };
        let range = KeyRange::prefix(&prefix(secret));
        let newest = self.store.scan(FINGERPRINTS, range.clone(), Order::Descending, 1).await?;
        let newest = newest.entries.first().and_then(|(key, _)| read(&secret.owner, key));
        // After what was written before, also when a clock was set back: otherwise
        // the old value would come back once the clock has come so far again.
        let after = newest.map_or(Timestamp(0), |(_, newest)| newest.plus_ms(1));
        let key = place(secret, self.clock.now().max(after));
        let mut puts = vec![Put { index: FINGERPRINTS, key, value: Some(value) }];
        let known = self.store.scan(FINGERPRINTS, range, Order::Ascending, KEPT_MAX).await?;
        if known.entries.len() == KEPT_MAX
            && let Some((oldest, _)) = known.entries.into_iter().next()
        {
            puts.push(Put { index: FINGERPRINTS, key: oldest, value: None });
        }
        Ok(puts)
    }

    async fn hashed(&self, value: &[u8]) -> Result<Digest, VaultError> {
        let at = key_of_all();
        let key = match self.value(&at).await {
            Ok(Some(key)) => key,
            Ok(None) | Err(VaultError::NotFound(_)) => {
                let mut key = vec![0; KEY];
                self.random.fill(&mut key);
                let put = self.sealed(&at, &key)?;
                self.store.append(Batch { puts: vec![put], ..Batch::default() }).await?;
                key
            }
            Err(error) => return Err(error),
        };
        let unusable = |error: hmac::digest::InvalidLength| VaultError::Key(error.to_string());
        let mut mac = <Hmac<Sha256>>::new_from_slice(&key).map_err(unusable)?;
        mac.update(value);
        Ok(Digest::from_bytes(mac.finalize().into_bytes().into()))
    }

    /// Fingerprints of the values that an owner's secrets had at a time, by name,
    /// of those of which it is known.
    pub(crate) async fn known_at(
        &self,
        owner: &str,
        at: Timestamp,
    ) -> Result<BTreeMap<String, Digest>, VaultError> {
        let range = KeyRange::prefix(format!("{owner}\0").as_bytes());
        let page = self.store.scan(FINGERPRINTS, range, Order::Ascending, READ_MAX).await?;
        let mut known = BTreeMap::new();
        for (key, value) in &page.entries {
            let Some((name, since)) = read(owner, key) else { continue };
            if since > at {
                continue;
            }
            match <[u8; 32]>::try_from(value.as_slice()) {
                Ok(bytes) => known.insert(name, Digest::from_bytes(bytes)),
                Err(_) => known.remove(&name),
            };
        }
        Ok(known)
    }
}

/// The name and the time in a key of an owner.
fn read(owner: &str, key: &[u8]) -> Option<(String, Timestamp)> {
    let rest = key.strip_prefix(owner.as_bytes())?.strip_prefix(&[0])?;
    let (name, at) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
    Some((name.to_owned(), Timestamp(u64::from_be_bytes(at.try_into().ok()?))))
}
