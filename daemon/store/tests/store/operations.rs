//! Random operations, and their answers in a form that can be compared.

use std::fmt::Debug;

use deployd_core::journal::Version;
use deployd_core::outbox::{Message, MessageStatus};
use deployd_core::ports::{
    Append, Batch, Claim, FeedPosition, Fence, IdempotencyKey, Index, KeyRange, Order, Store,
    StoreError,
};
use deployd_core::{Digest, Timestamp};
use deployd_store::{MemoryStore, limits};

use crate::disk::Random;
use crate::samples::*;

/// A call of the port.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Accept(IdempotencyKey, Digest, Vec<u8>, Timestamp, Batch),
    Append(Batch),
    Claim(String, &'static str, Timestamp, u64),
    Release(Claim),
    Take(Timestamp, Timestamp, usize),
    Settle(Message),
    Accepted(IdempotencyKey, Digest),
    Head(String),
    Read(String, Version, usize),
    Get(Index, Vec<u8>),
    Scan(Index, KeyRange, Order, usize),
    Object(Digest),
    Feed(FeedPosition, usize),
    Due,
    Message(u64),
    List(Option<MessageStatus>, Option<u64>, usize),
}

/// How an operation was answered: the same text for the same answer.
pub(crate) type Answer = Result<String, String>;

fn answer<T: Debug>(result: Result<T, StoreError>) -> Answer {
    match result {
        Ok(found) => Ok(format!("{found:?}")),
        // Its text is for people.
        Err(StoreError::InvalidBatch(_)) => Err("invalid".to_owned()),
        Err(StoreError::Stopped(_)) => Err("stopped".to_owned()),
        Err(error) => Err(format!("{error:?}")),
    }
}

pub(crate) fn is_stopped(answer: &Answer) -> bool {
    *answer == Err("stopped".to_owned())
}

impl Operation {
    pub(crate) async fn run(&self, store: &dyn Store) -> Answer {
        match self.clone() {
            Self::Accept(key, digest, bytes, now, batch) => {
                answer(store.accept(key, digest, bytes, now, batch).await)
            }
            Self::Append(batch) => answer(store.append(batch).await),
            Self::Claim(name, who, now, ttl) => {
                answer(store.claim(&stream(&name), &worker(who), now, ttl).await)
            }
            Self::Release(claim) => answer(store.release(claim).await),
            Self::Take(now, lease, max) => answer(store.outbox_take(now, lease, max).await),
            Self::Settle(message) => answer(store.outbox_settle(message).await),
            Self::Accepted(key, digest) => answer(store.accepted(key, digest).await),
            Self::Head(name) => answer(store.head(&stream(&name)).await),
            Self::Read(name, from, max) => answer(store.read(&stream(&name), from, max).await),
            Self::Get(index, key) => answer(store.get(index, &key).await),
            Self::Scan(index, range, order, max) => {
                answer(store.scan(index, range, order, max).await)
            }
            Self::Object(digest) => answer(store.object(digest).await),
            Self::Feed(after, max) => answer(store.feed(after, max).await),
            Self::Due => answer(store.outbox_due().await),
            Self::Message(n) => answer(store.outbox_get(&message_id(n)).await),
            Self::List(status, after, max) => {
                answer(store.outbox_list(status, after.map(message_id), max).await)
            }
        }
    }
}

pub(crate) const STREAMS: [&str; 5] = ["a", "a/b", "b", "b\u{0}", "environment/shop/development"];
const WORKERS: [&str; 3] = ["one", "two", "three"];
const INDEXES: [Index; 3] = [PLACES, TIMES, Index("places\u{0}")];
const MESSAGES: u64 = 40;
const KEYS: u64 = 30;
const CONTENTS: u64 = 12;
const DAY: u64 = 24 * 3_600_000;

/// Makes operations that often succeed and often just don't; `model` tells
/// where things stand.
pub(crate) struct Maker {
    pub(crate) random: Random,
    /// Goes on, and now and then jumps: for days, or back.
    clock: u64,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random(seed), clock: 30 * DAY }
    }

    fn now(&mut self) -> Timestamp {
        self.clock = match self.random.below(100) {
            0 => self.clock + self.random.below(3 * limits::KEY_KEPT_MS),
            1 => self.clock.saturating_sub(self.random.below(20 * DAY)),
            _ => self.clock + self.random.below(60),
        };
        Timestamp(self.clock)
    }

    /// Any operation.
    pub(crate) async fn any(&mut self, model: &MemoryStore) -> Operation {
        if self.random.chance(60) { self.write(model).await } else { self.read(model).await }
    }

    /// One that may change something.
    pub(crate) async fn write(&mut self, model: &MemoryStore) -> Operation {
        match self.random.below(20) {
            0..6 => {
                let n = self.random.below(KEYS);
                let request = if self.random.chance(90) { n } else { n + 1 };
                let batch = self.batch(model).await;
                let bytes = self.bytes();
                Operation::Accept(key(&format!("k{n}")), digest(request), bytes, self.now(), batch)
            }
            6..12 => Operation::Append(self.batch(model).await),
            12..14 => {
                let name = (*self.random.pick(&STREAMS)).to_owned();
                let who = *self.random.pick(&WORKERS);
                let ttl = self.random.below(300);
                Operation::Claim(name, who, self.now(), ttl)
            }
            14 => {
                let name = *self.random.pick(&STREAMS);
                let who = *self.random.pick(&WORKERS);
                let fence = Fence(self.random.below(6));
                let until = Timestamp(0);
                let (stream, worker) = (stream(name), worker(who));
                Operation::Release(Claim { stream, worker, fence, until })
            }
            15..18 => {
                let now = self.now();
                let lease = Timestamp(now.0.saturating_sub(5) + self.random.below(200));
                Operation::Take(now, lease, self.random.below(4) as usize)
            }
            _ => self.settle(model).await,
        }
    }

    async fn settle(&mut self, model: &MemoryStore) -> Operation {
        let n = self.random.below(MESSAGES);
        let known = model.outbox_get(&message_id(n)).await.unwrap();
        let mut message = known.unwrap_or_else(|| message(n, 0));
        let now = self.now();
        match self.random.below(8) {
            0..3 => message.status = MessageStatus::Delivered,
            3 => message.status = MessageStatus::Dead,
            4..6 => message.due = now.plus_ms(self.random.below(100)),
            6 => message = message.redelivered(now),
            _ => message.event = serde_json::json!("something else"),
        }
        Operation::Settle(message)
    }

    async fn read(&mut self, model: &MemoryStore) -> Operation {
        let name = (*self.random.pick(&STREAMS)).to_owned();
        let end = model.feed(FeedPosition(0), usize::MAX).await.unwrap().len() as u64;
        let max = self.random.below(6) as usize;
        let n = self.random.below(KEYS + 3);
        match self.random.below(10) {
            0 => Operation::Accepted(key(&format!("k{n}")), digest(n)),
            1 => Operation::Head(name),
            2 => Operation::Read(name, Version(self.random.below(20)), max),
            3 => Operation::Get(*self.random.pick(&INDEXES), self.key()),
            4 => {
                let end = self.random.chance(70).then(|| self.key());
                let range = KeyRange { start: self.key(), end };
                let order = *self.random.pick(&[Order::Ascending, Order::Descending]);
                Operation::Scan(*self.random.pick(&INDEXES), range, order, max)
            }
            5 => Operation::Object(self.content().digest),
            6 => Operation::Feed(FeedPosition(self.random.below(end + 2)), max),
            7 => Operation::Due,
            8 => Operation::Message(self.random.below(MESSAGES + 2)),
            _ => {
                use MessageStatus::{Dead, Delivered, Pending};
                let status = *self.random.pick(&[None, Some(Pending), Some(Delivered), Some(Dead)]);
                let after = self.random.chance(60).then(|| self.random.below(MESSAGES));
                Operation::List(status, after, max)
            }
        }
    }

    async fn batch(&mut self, model: &MemoryStore) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..self.random.below(3) {
            batch.appends.push(self.append(model).await);
        }
        for _ in 0..self.random.below(4) {
            let (index, key) = (*self.random.pick(&INDEXES), self.key());
            let value = self.random.chance(75).then(|| self.bytes());
            batch.puts.push(deployd_core::ports::Put { index, key, value });
        }
        for _ in 0..self.random.below(3) {
            let due = self.clock + self.random.below(100);
            batch.outbox.push(message(self.random.below(MESSAGES), due));
        }
        for _ in 0..self.random.below(2) {
            batch.objects.push(self.content());
        }
        if self.random.chance(2) {
            batch.objects.push(deployd_core::ports::Object { digest: digest(0), bytes: vec![1] });
        }
        batch
    }

    async fn append(&mut self, model: &MemoryStore) -> Append {
        let name = *self.random.pick(&STREAMS);
        let head = model.head(&stream(name)).await.unwrap().version.0;
        let expect = if self.random.chance(90) { head } else { self.random.below(head + 2) };
        let count = if self.random.chance(97) { 1 + self.random.below(3) } else { 0 };
        let mut append = append(name, expect, count);
        for event in &mut append.events {
            event.body = serde_json::json!({ "n": self.random.next(), "f": self.fraction() });
        }
        if self.random.chance(20) {
            append.fence = Some(Fence(self.random.below(5)));
        }
        append
    }

    fn fraction(&mut self) -> f64 {
        f64::from_bits(self.random.next() >> 2)
    }

    fn key(&mut self) -> Vec<u8> {
        let length = self.random.below(4);
        (0..length).map(|_| *self.random.pick(&[0, 1, 7, 255])).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.random.below(40);
        (0..length).map(|_| self.random.next() as u8).collect()
    }

    fn content(&mut self) -> deployd_core::ports::Object {
        let n = self.random.below(CONTENTS);
        object(format!("content {n} ").repeat(1 + 40 * n as usize).as_bytes())
    }
}

/// All that can be seen of a store.
pub(crate) async fn everything_seen(store: &dyn Store) -> Vec<Answer> {
    let mut asked = vec![
        Operation::Feed(FeedPosition(0), usize::MAX),
        Operation::Due,
        Operation::List(None, None, usize::MAX),
    ];
    for name in STREAMS {
        asked.push(Operation::Head(name.to_owned()));
        asked.push(Operation::Read(name.to_owned(), Version(0), usize::MAX));
    }
    for index in INDEXES {
        for order in [Order::Ascending, Order::Descending] {
            asked.push(Operation::Scan(index, all(), order, usize::MAX));
        }
    }
    for n in 0..KEYS {
        for request in [n, n + 1] {
            asked.push(Operation::Accepted(key(&format!("k{n}")), digest(request)));
        }
    }
    for status in [MessageStatus::Pending, MessageStatus::Delivered, MessageStatus::Dead] {
        asked.push(Operation::List(Some(status), None, usize::MAX));
    }
    let mut seen = Vec::new();
    for operation in asked {
        seen.push(operation.run(store).await);
    }
    seen
}
