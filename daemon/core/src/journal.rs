//! The journal's records: streams of events, each event chained to the one
//! before it by hash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::canonical_json;
use crate::{Actor, Digest, Timestamp};

/// Bytes of a stream's name: two names of 63 characters and a prefix, and room.
const STREAM_BYTES_MAX: usize = 200;

/// Names a stream, as a path: `environment/shop/development`, `configuration`.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct StreamId(pub String);

impl StreamId {
    /// Whether this can name a stream: all names are of letters that need no mark in a
    /// path.
    pub fn is_possible(&self) -> bool {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
        !self.0.is_empty() && self.0.len() <= STREAM_BYTES_MAX && self.0.bytes().all(letter)
    }

    /// The stream of one environment.
    pub fn environment(id: &crate::EnvironmentId) -> Self {
        Self(format!("environment/{id}"))
    }

    /// The stream of configuration: documents applied and removed.
    pub fn configuration() -> Self {
        Self("configuration".to_owned())
    }

    /// The stream of artifacts announced for one application.
    pub fn artifacts(application: &crate::Name) -> Self {
        Self(format!("artifacts/{application}"))
    }

    /// The stream of drafts of one application.
    pub fn drafts(application: &crate::Name) -> Self {
        Self(format!("drafts/{application}"))
    }

    /// The stream of slots in environments of one application.
    pub fn slots(application: &crate::Name) -> Self {
        Self(format!("slots/{application}"))
    }

    /// The stream of sets that were made of others, of one application.
    pub fn sets(application: &crate::Name) -> Self {
        Self(format!("sets/{application}"))
    }

    /// The stream of bills of materials that were attached to images.
    pub fn sboms() -> Self {
        Self("sboms".to_owned())
    }

    /// The stream of attestations and results that were attached to images.
    pub fn attestations() -> Self {
        Self("attestations".to_owned())
    }

    /// The stream of deployments that were imported.
    pub fn imports() -> Self {
        Self("imports".to_owned())
    }

    /// The stream of tokens, secrets set and refusals.
    pub fn access() -> Self {
        Self("access".to_owned())
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many events a stream has: versions of events are 1, 2, 3 without a gap,
/// and 0 is a stream that has none.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a request came from: part of its events, and so of what their hashes
/// prove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The address at the other end of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// For whom that one says that it asks (`X-Forwarded-For`): true as far as the
    /// address is that of a proxy which can be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// The request's name, as in its answer and in the daemon's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The program, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// An event to append.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewEvent {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The event's type, kebab-case, as its body's tag says; kept beside the
    /// body so that readers can pass over what they don't know.
    pub kind: String,
    /// The event itself.
    pub body: serde_json::Value,
    /// Where it was asked from; none for what deployd does by itself, and of
    /// events that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventRecord {
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// What happened.
    #[serde(flatten)]
    pub event: NewEvent,
    /// The hash of the event before it; [`genesis`] for the first.
    pub previous: Digest,
    /// [`chain`] of all of the above.
    pub hash: Digest,
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the last event.
    pub version: Version,
    /// Its hash; [`genesis`] when there is none.
    pub hash: Digest,
}

/// A stream and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamHead {
    /// The stream.
    pub stream: StreamId,
    /// The version of its last event.
    pub version: Version,
    /// The hash of that.
    pub hash: Digest,
}

/// What the first event of a stream is chained to.
pub fn genesis(stream: &StreamId) -> Digest {
    Digest::of_parts(&[b"deployd journal v1", stream.0.as_bytes()])
}

/// The hash of an event: over its stream, version, predecessor's hash and
/// canonical JSON.
///
/// Fails only where an event can't be JSON, which no event of ours is.
pub fn chain(
    stream: &StreamId,
    version: Version,
    previous: Digest,
    event: &NewEvent,
) -> Result<Digest, serde_json::Error> {
    Ok(chain_canonical(stream, version, previous, &canonical_json(event)?))
}

/// The same for who has the event's canonical JSON already.
pub fn chain_canonical(
    stream: &StreamId,
    version: Version,
    previous: Digest,
    canonical: &[u8],
) -> Digest {
    Digest::of_parts(&[
        stream.0.as_bytes(),
        &version.0.to_be_bytes(),
        previous.as_bytes(),
        canonical,
    ])
}

/// What is wrong with a chain, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub enum ChainError {
    /// A version is missing, twice there, or out of order.
    #[error("stream {stream}: expected version {expected}, found {found}")]
    Gap {
        /// The stream.
        stream: StreamId,
        /// The version that should be there.
        expected: u64,
        /// The one that is.
        found: u64,
    },
    /// An event was changed, or what it is chained to was.
    #[error(
        "stream {stream}: event {version} does not match its hash: it, or one before it, was changed"
    )]
    Hash {
        /// The stream.
        stream: StreamId,
        /// The event.
        version: u64,
    },
    /// The stream ends before or after its recorded head.
    #[error("stream {stream}: the head says {head} events, the stream has {found}")]
    Head {
        /// The stream.
        stream: StreamId,
        /// Events that the head tells of.
        head: u64,
        /// Events that are there.
        found: u64,
    },
}

/// Verifies that records follow upon `head`, and returns the head after them.
/// An empty slice verifies and changes nothing.
pub fn verify_chain(
    stream: &StreamId,
    head: Head,
    records: &[EventRecord],
) -> Result<Head, ChainError> {
    let mut head = head;
    for record in records {
        let expected = head.version.next();
        if record.version != expected || record.stream != *stream {
            return Err(ChainError::Gap {
                stream: stream.clone(),
                expected: expected.0,
                found: record.version.0,
            });
        }
        let hash = chain(stream, record.version, head.hash, &record.event).ok();
        if record.previous != head.hash || hash != Some(record.hash) {
            return Err(ChainError::Hash { stream: stream.clone(), version: record.version.0 });
        }
        head = Head { version: record.version, hash: record.hash };
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stream_of(count: u64) -> (StreamId, Vec<EventRecord>) {
        let stream = StreamId("test".into());
        let mut previous = genesis(&stream);
        let records = (1..=count)
            .map(|version| {
                let event = NewEvent {
                    at: Timestamp(version),
                    actor: Actor::deployd(),
                    kind: "tick".into(),
                    body: json!({"n": version}),
                    source: None,
                };
                let hash = chain(&stream, Version(version), previous, &event).unwrap();
                let record = EventRecord {
                    stream: stream.clone(),
                    version: Version(version),
                    event,
                    previous,
                    hash,
                };
                previous = hash;
                record
            })
            .collect();
        (stream, records)
    }

    #[test]
    fn i9_any_change_of_a_chain_is_seen() {
        let (stream, records) = stream_of(4);
        let start = Head { version: Version(0), hash: genesis(&stream) };
        assert_eq!(verify_chain(&stream, start, &records).unwrap().version, Version(4));

        let mut changed = records.clone();
        changed[1].event.body = json!({"n": 7});
        assert!(matches!(
            verify_chain(&stream, start, &changed),
            Err(ChainError::Hash { version: 2, .. })
        ));

        let mut removed = records.clone();
        removed.remove(2);
        assert!(matches!(
            verify_chain(&stream, start, &removed),
            Err(ChainError::Gap { expected: 3, found: 4, .. })
        ));

        let mut swapped = records;
        swapped.swap(0, 1);
        assert!(verify_chain(&stream, start, &swapped).is_err());
    }
}
