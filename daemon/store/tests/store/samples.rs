//! Data to test with.

use deployd_core::journal::{NewEvent, StreamId, Version};
use deployd_core::outbox::{Message, MessageId};
use deployd_core::ports::{
    Append, Batch, Fence, IdempotencyKey, Index, KeyRange, Object, Put, WorkerId,
};
use deployd_core::{Actor, Digest, Name, Timestamp};
use serde_json::json;

pub(crate) const PLACES: Index = Index("places");
pub(crate) const TIMES: Index = Index("times");

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId(name.to_owned())
}

pub(crate) fn event(n: u64) -> NewEvent {
    NewEvent {
        at: Timestamp(1_000 + n),
        actor: Actor("tests".to_owned()),
        kind: "tick".to_owned(),
        body: json!({ "type": "tick", "n": n }),
        source: None,
    }
}

/// `count` events on a stream that has `expect`.
pub(crate) fn append(name: &str, expect: u64, count: u64) -> Append {
    Append {
        stream: stream(name),
        expect: Version(expect),
        fence: None,
        events: (1..=count).map(|n| event(expect.wrapping_add(n))).collect(),
    }
}

pub(crate) fn fenced(name: &str, expect: u64, fence: Fence) -> Append {
    Append { fence: Some(fence), ..append(name, expect, 1) }
}

pub(crate) fn events(name: &str, expect: u64, count: u64) -> Batch {
    Batch { appends: vec![append(name, expect, count)], ..Batch::default() }
}

pub(crate) fn put(index: Index, key: &[u8], value: &[u8]) -> Put {
    Put { index, key: key.to_vec(), value: Some(value.to_vec()) }
}

pub(crate) fn removal(index: Index, key: &[u8]) -> Put {
    Put { index, key: key.to_vec(), value: None }
}

pub(crate) fn puts(puts: Vec<Put>) -> Batch {
    Batch { puts, ..Batch::default() }
}

pub(crate) fn message_id(n: u64) -> MessageId {
    MessageId(format!("msg_{n}"))
}

/// A pending message that is due at this time.
pub(crate) fn message(n: u64, due: u64) -> Message {
    let name: Name = "ci".parse().unwrap();
    Message::new(message_id(n), name, json!({ "n": n }), Timestamp(due))
}

pub(crate) fn messages(messages: Vec<Message>) -> Batch {
    Batch { outbox: messages, ..Batch::default() }
}

pub(crate) fn object(bytes: &[u8]) -> Object {
    Object::new(bytes.to_vec())
}

pub(crate) fn objects(objects: Vec<Object>) -> Batch {
    Batch { objects, ..Batch::default() }
}

/// All that a batch can hold, each part told by `n`.
pub(crate) fn everything(n: u64) -> Batch {
    Batch {
        appends: vec![append(&format!("everything/{n}"), 0, 2)],
        puts: vec![put(PLACES, &n.to_be_bytes(), b"here")],
        outbox: vec![message(n, 0)],
        objects: vec![object(format!("content {n}").as_bytes())],
    }
}

pub(crate) fn key(name: &str) -> IdempotencyKey {
    IdempotencyKey(name.to_owned())
}

pub(crate) fn digest(n: u64) -> Digest {
    Digest::of(&n.to_be_bytes())
}

pub(crate) fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

pub(crate) fn at(time: u64) -> Timestamp {
    Timestamp(time)
}

pub(crate) fn all() -> KeyRange {
    KeyRange { start: Vec::new(), end: None }
}
