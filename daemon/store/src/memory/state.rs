//! What the model knows: lists and maps, searched from end to end where that is
//! the plainest.

use std::collections::BTreeMap;

use deployd_core::journal::{EventRecord, Head, StreamId, Version, chain, genesis, verify_chain};
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{
    Append, Batch, Claim, FeedItem, FeedPosition, Fence, IdempotencyKey, Index, KeyRange, Order,
    Page, StoreError, VerifyReport, WorkerId,
};
use deployd_core::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encode::{StoredClaim, StoredMessage};
use crate::limits::{KEY_KEPT_MS, SWEEP_MAX};
use crate::outbox::same_telling;

/// Everything.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct State {
    pub(super) streams: BTreeMap<StreamId, Vec<EventRecord>>,
    /// The n-th is at position n + 1.
    pub(super) feed: Vec<(StreamId, Version)>,
    pub(super) indexes: BTreeMap<(String, Vec<u8>), Vec<u8>>,
    pub(super) objects: BTreeMap<Digest, Vec<u8>>,
    /// In the order in which they came.
    pub(super) outbox: Vec<StoredMessage>,
    pub(super) keys: BTreeMap<String, KnownKey>,
    pub(super) claims: BTreeMap<StreamId, StoredClaim>,
}

/// A request that came with an idempotency key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownKey {
    pub(super) digest: Digest,
    pub(super) expires: u64,
    pub(super) answer: Vec<u8>,
}

impl State {
    pub(super) fn recorded(
        &self,
        key: &IdempotencyKey,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match self.keys.get(&key.0) {
            None => Ok(None),
            Some(known) if known.digest == digest => Ok(Some(known.answer.clone())),
            Some(_) => Err(StoreError::KeyReuse),
        }
    }

    pub(super) fn record(
        &mut self,
        key: IdempotencyKey,
        digest: Digest,
        answer: Vec<u8>,
        now: Timestamp,
    ) {
        let expires = now.plus_ms(KEY_KEPT_MS).0;
        self.keys.insert(key.0, KnownKey { digest, expires, answer });
        let mut expired: Vec<(u64, String)> = self
            .keys
            .iter()
            .filter(|(_, known)| known.expires < now.0)
            .map(|(key, known)| (known.expires, key.clone()))
            .collect();
        expired.sort();
        for (_, key) in expired.iter().take(SWEEP_MAX) {
            self.keys.remove(key);
        }
    }

    /// Stores a checked batch, or refuses it and changes nothing.
    pub(super) fn apply(&mut self, batch: Batch) -> Result<Vec<Head>, StoreError> {
        let planned =
            batch.appends.iter().map(|append| self.plan(append)).collect::<Result<Vec<_>, _>>()?;
        let mut heads = Vec::new();
        for (stream, records, head) in planned {
            self.feed.extend(records.iter().map(|record| (stream.clone(), record.version)));
            self.streams.entry(stream).or_default().extend(records);
            heads.push(head);
        }
        for put in batch.puts {
            let key = (put.index.0.to_owned(), put.key);
            match put.value {
                Some(value) => self.indexes.insert(key, value),
                None => self.indexes.remove(&key),
            };
        }
        for message in batch.outbox {
            if self.outbox_get(&message.id).is_none() {
                self.outbox.push(StoredMessage { available: message.due.0, message });
            }
        }
        for object in batch.objects {
            self.objects.entry(object.digest).or_insert(object.bytes);
        }
        Ok(heads)
    }

    fn plan(&self, append: &Append) -> Result<(StreamId, Vec<EventRecord>, Head), StoreError> {
        let stream = &append.stream;
        let present = self.claims.get(stream).map(|claim| Fence(claim.fence));
        if append.fence.is_some() && append.fence != present {
            return Err(StoreError::Fenced { stream: stream.clone() });
        }
        let mut head = self.head(stream);
        if head.version != append.expect {
            return Err(StoreError::Conflict { stream: stream.clone(), head });
        }
        let mut records = Vec::new();
        for event in &append.events {
            let version = head.version.next();
            let hash = chain(stream, version, head.hash, event)
                .map_err(|error| StoreError::InvalidBatch(error.to_string()))?;
            records.push(EventRecord {
                stream: stream.clone(),
                version,
                event: event.clone(),
                previous: head.hash,
                hash,
            });
            head = Head { version, hash };
        }
        Ok((stream.clone(), records, head))
    }

    pub(super) fn head(&self, stream: &StreamId) -> Head {
        match self.streams.get(stream).and_then(|records| records.last()) {
            Some(record) => Head { version: record.version, hash: record.hash },
            None => Head { version: Version(0), hash: genesis(stream) },
        }
    }

    pub(super) fn read(&self, stream: &StreamId, from: Version, max: usize) -> Vec<EventRecord> {
        let records = self.streams.get(stream).into_iter().flatten();
        records.filter(|record| record.version >= from).take(max).cloned().collect()
    }

    pub(super) fn get(&self, index: Index, key: &[u8]) -> Option<Vec<u8>> {
        self.indexes.get(&(index.0.to_owned(), key.to_vec())).cloned()
    }

    pub(super) fn scan(&self, index: Index, range: &KeyRange, order: Order, max: usize) -> Page {
        let mut entries: Vec<_> = self
            .indexes
            .iter()
            .filter(|((name, key), _)| {
                name == index.0
                    && *key >= range.start
                    && range.end.as_ref().is_none_or(|end| key < end)
            })
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        if order == Order::Descending {
            entries.reverse();
        }
        let more = entries.len() > max;
        entries.truncate(max);
        Page { entries, more }
    }

    pub(super) fn object(&self, digest: Digest) -> Option<Vec<u8>> {
        self.objects.get(&digest).cloned()
    }

    pub(super) fn feed_end(&self) -> u64 {
        self.feed.len() as u64
    }

    pub(super) fn feed(&self, after: FeedPosition, max: usize) -> Vec<FeedItem> {
        let places = (1..).zip(&self.feed).filter(|(position, _)| *position > after.0);
        places
            .take(max)
            .filter_map(|(position, (stream, version))| {
                let record = self.read(stream, *version, 1).pop()?;
                Some(FeedItem { position: FeedPosition(position), record })
            })
            .collect()
    }

    pub(super) fn claim(
        &mut self,
        stream: &StreamId,
        worker: &WorkerId,
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Claim, StoreError> {
        let until = now.plus_ms(ttl_ms);
        let present = self.claims.entry(stream.clone()).or_insert(StoredClaim {
            fence: 0,
            worker: None,
            until: 0,
        });
        match &present.worker {
            Some(owner) if *owner == worker.0 => {}
            Some(owner) if present.until > now.0 => {
                return Err(StoreError::Claimed { stream: stream.clone(), owner: owner.clone() });
            }
            _ => present.fence += 1,
        }
        present.worker = Some(worker.0.clone());
        present.until = until.0;
        let fence = Fence(present.fence);
        Ok(Claim { stream: stream.clone(), worker: worker.clone(), fence, until })
    }

    pub(super) fn release(&mut self, claim: &Claim) {
        if let Some(present) = self.claims.get_mut(&claim.stream)
            && present.fence == claim.fence.0
            && present.worker.as_ref() == Some(&claim.worker.0)
        {
            present.worker = None;
        }
    }

    pub(super) fn outbox_take(
        &mut self,
        now: Timestamp,
        lease_until: Timestamp,
        max: usize,
    ) -> Vec<Message> {
        let mut due: Vec<&mut StoredMessage> = self
            .outbox
            .iter_mut()
            .filter(|stored| is_pending(stored) && stored.available <= now.0)
            .collect();
        // Stable: those due at the same time stay in the order they came.
        due.sort_by_key(|stored| stored.available);
        due.truncate(max);
        due.into_iter()
            .map(|stored| {
                stored.available = lease_until.0;
                stored.message.clone()
            })
            .collect()
    }

    pub(super) fn outbox_due(&self) -> Option<Timestamp> {
        let pending = self.outbox.iter().filter(|stored| is_pending(stored));
        pending.map(|stored| Timestamp(stored.available)).min()
    }

    pub(super) fn outbox_settle(&mut self, message: Message) -> Result<(), StoreError> {
        let present = self.outbox.iter_mut().find(|stored| stored.message.id == message.id);
        match present {
            Some(present) if same_telling(&present.message, &message) => {
                *present = StoredMessage { available: message.due.0, message };
                Ok(())
            }
            _ => Err(StoreError::InvalidBatch(format!("no such message as {}", message.id))),
        }
    }

    pub(super) fn outbox_get(&self, id: &MessageId) -> Option<Message> {
        let found = self.outbox.iter().find(|stored| stored.message.id == *id);
        found.map(|stored| stored.message.clone())
    }

    pub(super) fn outbox_list(
        &self,
        status: Option<MessageStatus>,
        after: Option<&MessageId>,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let mut messages = self.outbox.iter().map(|stored| &stored.message);
        if let Some(after) = after
            && !messages.any(|message| message.id == *after)
        {
            return Err(StoreError::InvalidBatch(format!("no message {after}")));
        }
        let listed = messages.filter(|message| status.is_none_or(|s| s == message.status));
        Ok(listed.take(max).cloned().collect())
    }

    pub(super) fn verify(&self) -> VerifyReport {
        let mut report = VerifyReport::default();
        for (stream, records) in &self.streams {
            report.streams += 1;
            report.events += records.len() as u64;
            let start = Head { version: Version(0), hash: genesis(stream) };
            if let Err(error) = verify_chain(stream, start, records) {
                report.broken.push(error);
            }
        }
        let events = report.events;
        if events != self.feed_end() {
            report.damaged.push(format!("the feed has {} of {events} events", self.feed_end()));
        }
        for (digest, bytes) in &self.objects {
            report.objects += 1;
            if Digest::of(bytes) != *digest {
                report.damaged.push(format!("object {digest} has other bytes"));
            }
        }
        report
    }
}

fn is_pending(stored: &StoredMessage) -> bool {
    stored.message.status == MessageStatus::Pending
}
