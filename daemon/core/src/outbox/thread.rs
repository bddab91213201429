//! Threads: the messages about one deployment, in the order of their events. They
//! are found by the deployment, and in it by the subscription.

use super::{Message, MessageId};
use crate::Name;
use crate::ports::{Index, KeyRange, Put};

/// Deployment, subscription and version of the event -> the [`MessageId`].
pub const THREADS: Index = Index("threads");

/// What is kept of a message that is about a deployment.
pub fn thread_put(message: &Message) -> Option<Put> {
    let value = Some(message.id.0.as_bytes().to_vec());
    Some(Put { index: THREADS, key: key(message)?, value })
}

/// The keys of all messages about a deployment, the first one of each
/// subscription first.
pub fn thread_of(deployment: &str) -> KeyRange {
    KeyRange::prefix(&prefix(deployment, None))
}

/// The keys of the messages of its thread before a message; none when it has no
/// thread.
pub fn thread_before(message: &Message) -> Option<KeyRange> {
    let start = prefix(message.deployment()?, Some(&message.subscription));
    Some(KeyRange { start, end: Some(key(message)?) })
}

/// The keys of the messages of its thread after a message; none when it has no
/// thread.
pub fn thread_after(message: &Message) -> Option<KeyRange> {
    let all = KeyRange::prefix(&prefix(message.deployment()?, Some(&message.subscription)));
    // The next key that there can be: keys of one length have none between them.
    let mut start = key(message)?;
    start.push(0);
    Some(KeyRange { start, end: all.end })
}

/// The message that a value names.
pub fn thread_message(value: &[u8]) -> Option<MessageId> {
    Some(MessageId(std::str::from_utf8(value).ok()?.to_owned()))
}

fn key(message: &Message) -> Option<Vec<u8>> {
    let mut key = prefix(message.deployment()?, Some(&message.subscription));
    key.extend_from_slice(&message.version()?.to_be_bytes());
    Some(key)
}

fn prefix(deployment: &str, subscription: Option<&Name>) -> Vec<u8> {
    let mut key = deployment.as_bytes().to_vec();
    key.push(0);
    if let Some(subscription) = subscription {
        key.extend_from_slice(subscription.as_str().as_bytes());
        key.push(0);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::journal::{StreamId, Version};
    use serde_json::json;

    fn message(deployment: &str, subscription: &str, version: u64) -> Message {
        let stream = StreamId("environment/shop/staging".into());
        let subscription: Name = subscription.parse().unwrap();
        let event =
            json!({"id": format!("{stream}/{version}"), "data": {"deployment": deployment}});
        let id = MessageId::of(&stream, Version(version), &subscription);
        Message::new(id, subscription, event, Timestamp(0))
    }

    fn has(range: &KeyRange, message: &Message) -> bool {
        let key = thread_put(message).unwrap().key;
        range.start <= key && range.end.as_ref().is_none_or(|end| key < *end)
    }

    #[test]
    fn a_thread_is_of_one_deployment_and_one_subscription_in_the_order_of_events() {
        // 256 is before 9 where numbers are compared as text or byte by byte from behind.
        let [nine, here, later] = [9, 256, 257].map(|version| message("dep-1", "ci", version));
        let others =
            [message("dep-1", "c", 1), message("dep-1", "ci2", 1), message("dep-2", "ci", 1)];
        let (before, after) = (thread_before(&here).unwrap(), thread_after(&here).unwrap());
        assert!(has(&before, &nine) && !has(&before, &here) && !has(&before, &later));
        assert!(has(&after, &later) && !has(&after, &here) && !has(&after, &nine));
        for other in &others {
            assert!(!has(&before, other) && !has(&after, other), "{other:?}");
        }
        assert!(has(&thread_of("dep-1"), &others[1]) && !has(&thread_of("dep-1"), &others[2]));
    }

    #[test]
    fn what_is_about_no_deployment_has_no_thread() {
        let mut message = message("dep-1", "ci", 1);
        message.event = json!({"id": "environment/a/b/1", "data": {}});
        assert!(thread_put(&message).is_none() && thread_before(&message).is_none());
    }
}
