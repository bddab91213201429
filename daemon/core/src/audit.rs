//! The audit: who did what, when and from where, and what was refused.
//!
//! Entries are events of the journal, so that each can be proven by its stream,
//! version and hash. What is kept beside them are marks, by which those events
//! are found that somebody has caused: the work that deployd does by itself is
//! many times more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::{EventRecord, NewEvent, Source, StreamId, Version};
use crate::ports::{Index, KeyRange, Put};
use crate::{Actor, Digest, EnvironmentId, Name, Timestamp};

/// Time, stream and version -> [`Mark`].
pub const MARKS: Index = Index("audit");

/// What deployd does by itself and is asked about all the same: that a plugin
/// has read the value of a secret.
const REVEALED: &str = "secret-revealed";

/// The event of a request that was refused.
pub const REFUSED: &str = "request-refused";

/// What is known of an event without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Who.
    pub actor: Actor,
    /// The event's type.
    pub kind: String,
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
}

/// What an event is about, as far as it is about one application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The environment's name in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

impl About {
    /// What an event of a stream is about.
    fn of(stream: &StreamId, body: &Value) -> Self {
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        let mut parts = stream.0.split('/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("environment"), application, environment) => {
                Self { application: own(application), environment: own(environment) }
            }
            (Some("drafts"), application, None) => {
                let place = text(body, "/draft/environment").or(text(body, "/environment"));
                let environment = place.and_then(|place| place.split_once('/')).map(|it| it.1);
                Self { application: own(application), environment: own(environment) }
            }
            (Some("slots"), application, None) => {
                let place = text(body, "/slot/environment").and_then(|place| place.split_once('/'));
                Self { application: own(application), environment: own(place.map(|it| it.1)) }
            }
            (Some("artifacts" | "sets"), application, None) => {
                Self { application: own(application), environment: None }
            }
            _ => {
                let (kind, name) = (text(body, "/key/kind"), text(body, "/key/name"));
                let of = |wanted| name.filter(|_| kind == Some(wanted));
                Self {
                    application: own(text(body, "/key/application").or(of("Application"))),
                    environment: own(of("Environment")),
                }
            }
        }
    }
}

/// Which entries are wanted: those for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<Actor>,
    /// About this application: its documents, images, sets, drafts, environments.
    pub application: Option<Name>,
    /// About this environment: its documents, drafts, deployments.
    pub environment: Option<EnvironmentId>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Of this type: `deployment-queued`.
    pub kind: Option<String>,
    /// Only what was refused.
    pub refused: bool,
}

impl AuditFilter {
    /// Whether an event with this mark is wanted, of the streams and times that are.
    pub fn lets_through(&self, mark: &Mark) -> bool {
        self.actor.as_ref().is_none_or(|wanted| *wanted == mark.actor)
            && self.kind.as_ref().is_none_or(|wanted| *wanted == mark.kind)
            && (!self.refused || mark.kind == REFUSED)
            && self.application.as_ref().is_none_or(|wanted| is(&mark.about.application, wanted))
            && self.environment.as_ref().is_none_or(|wanted| {
                is(&mark.about.application, &wanted.application)
                    && is(&mark.about.environment, &wanted.environment)
            })
    }
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// From where, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What: the event's type.
    pub kind: String,
    /// What, in a line for people.
    pub what: String,
    /// Whether it was refused.
    pub refused: bool,
    /// The event's stream in the journal.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Its hash there, over all of it and all before it: what `journal verify`
    /// proves, also of an export.
    pub hash: Digest,
    /// The event itself.
    pub body: Value,
}

/// A page of the audit, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditPage {
    /// Entries.
    pub entries: Vec<AuditEntry>,
    /// To be given as the cursor to go on; there may be nothing more. None where
    /// there is nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl From<EventRecord> for AuditEntry {
    fn from(record: EventRecord) -> Self {
        let EventRecord { stream, version, event, hash, .. } = record;
        let NewEvent { at, actor, kind, body, source } = event;
        let what = told(&stream, &kind, &body);
        let refused = kind == REFUSED;
        Self { at, actor, source, kind, what, refused, stream, version, hash, body }
    }
}

/// The mark of an event; none for what deployd does by itself.
pub fn mark(stream: &StreamId, event: &NewEvent) -> Option<Mark> {
    if event.actor == Actor::deployd() && event.kind != REVEALED {
        return None;
    }
    let about = About::of(stream, &event.body);
    Some(Mark { actor: event.actor.clone(), kind: event.kind.clone(), about })
}

/// What is written beside events that follow upon a version of a stream.
///
/// Fails only where a mark can't be JSON, which no mark of ours is.
pub fn marks(
    stream: &StreamId,
    after: Version,
    events: &[NewEvent],
) -> Result<Vec<Put>, serde_json::Error> {
    let mut version = after;
    let mut puts = Vec::new();
    for event in events {
        version = version.next();
        if let Some(mark) = mark(stream, event) {
            let key = mark_key(event.at, stream, version);
            puts.push(Put { index: MARKS, key, value: Some(serde_json::to_vec(&mark)?) });
        }
    }
    Ok(puts)
}

/// The key of a mark.
pub fn mark_key(at: Timestamp, stream: &StreamId, version: Version) -> Vec<u8> {
    let mut key = at.0.to_be_bytes().to_vec();
    key.extend_from_slice(stream.0.as_bytes());
    key.push(0);
    key.extend_from_slice(&version.0.to_be_bytes());
    key
}

/// The stream and version in the key of a mark.
pub fn mark_place(key: &[u8]) -> Option<(StreamId, Version)> {
    let (_, rest) = key.split_first_chunk::<8>()?;
    let (stream, version) = rest.split_last_chunk::<8>()?;
    let stream = std::str::from_utf8(stream.strip_suffix(&[0])?).ok()?;
    Some((StreamId(stream.to_owned()), Version(u64::from_be_bytes(*version))))
}

/// The keys of marks of a span of time.
pub fn marks_between(since: Option<Timestamp>, until: Option<Timestamp>) -> KeyRange {
    KeyRange {
        start: since.map(|since| since.0.to_be_bytes().to_vec()).unwrap_or_default(),
        end: until.map(|until| until.0.to_be_bytes().to_vec()),
    }
}

fn is(found: &Option<String>, wanted: &Name) -> bool {
    found.as_deref() == Some(wanted.as_str())
}

fn text<'b>(body: &'b Value, pointer: &str) -> Option<&'b str> {
    body.pointer(pointer)?.as_str()
}

/// An event in a line.
fn told(stream: &StreamId, kind: &str, body: &Value) -> String {
    let of = |pointer| text(body, pointer).unwrap_or_default();
    let place = stream.0.strip_prefix("environment/").unwrap_or_default();
    match kind {
        REFUSED => of("/what").to_owned(),
        "deployment-queued" => {
            let what = match body.pointer("/request/teardown") {
                Some(_) => "asked to take it away",
                None => "asked for a deployment",
            };
            let comment = text(body, "/request/comment").map(|text| format!(": {text}"));
            format!("{place}: {what}{}", comment.unwrap_or_default())
        }
        "cancel-requested" => {
            let reason = text(body, "/reason").map(|text| format!(": {text}"));
            format!("{place}: cancelled a deployment{}", reason.unwrap_or_default())
        }
        "document-applied" | "document-removed" => {
            let done = if kind == "document-applied" { "applied" } else { "removed" };
            let application = text(body, "/key/application").map(|name| format!("{name}/"));
            let application = application.unwrap_or_default();
            format!("{done} {} {application}{}", of("/key/kind"), of("/key/name"))
        }
        "artifacts-announced" => {
            let artifacts = body.pointer("/artifacts").and_then(Value::as_array);
            let names: Vec<&str> = artifacts
                .into_iter()
                .flatten()
                .filter_map(|artifact| text(artifact, "/repository"))
                .take(3)
                .collect();
            format!("announced {}", names.join(", "))
        }
        "draft-created" | "draft-edited" | "draft-dropped" | "draft-deployed" => {
            let id = text(body, "/draft/id").unwrap_or_else(|| of("/id"));
            let place = text(body, "/draft/environment").unwrap_or_else(|| of("/environment"));
            format!("{place}: {} {id}", kind.replace('-', " "))
        }
        "slot-requested" | "slot-granted" | "slot-refused" | "slot-withdrawn" => {
            let because = text(body, "/slot/answer/reason").unwrap_or_else(|| of("/slot/reason"));
            let (place, kind) = (of("/slot/environment"), kind.replace('-', " "));
            format!("{place}: {kind} {}: {because}", of("/slot/id"))
        }
        "sbom-attached" => format!("attached a bill of materials to {}", of("/image")),
        "token-created" => format!("created the token {} ({})", of("/name"), of("/scope")),
        "token-revoked" => format!("revoked the token {}", of("/name")),
        REVEALED => format!("{} has read the secret {}", of("/plugin/name"), of("/name")),
        _ => match (place, text(body, "/name")) {
            ("", Some(name)) => format!("{}: {name}", kind.replace('-', " ")),
            ("", None) => kind.replace('-', " "),
            (place, _) => format!("{place}: {}", kind.replace('-', " ")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(actor: &str, kind: &str, body: Value) -> NewEvent {
        NewEvent {
            at: Timestamp(7),
            actor: Actor(actor.into()),
            kind: kind.into(),
            body,
            source: None,
        }
    }

    #[test]
    fn what_somebody_causes_is_marked_and_what_deployd_does_is_not() {
        let environment = StreamId("environment/shop/production".into());
        let configuration = StreamId::configuration();
        let of = |stream: &StreamId, actor: &str, kind: &str, body| {
            mark(stream, &event(actor, kind, body))
                .map(|mark| (mark.about.application, mark.about.environment))
        };
        let about = |environment: Option<&str>| {
            Some((Some("shop".to_owned()), environment.map(ToOwned::to_owned)))
        };
        let (shop, production) = (about(None), about(Some("production")));
        assert_eq!(of(&environment, "ada", "deployment-queued", json!({})), production);
        assert_eq!(of(&environment, "deployd", "step-started", json!({})), None);
        let body =
            json!({"key": {"kind": "Environment", "application": "shop", "name": "production"}});
        assert_eq!(of(&configuration, "ada", "document-applied", body), production);
        let body = json!({"key": {"kind": "Application", "name": "shop"}});
        assert_eq!(of(&configuration, "ada", "document-removed", body), shop);
        let body = json!({"key": {"kind": "Plugin", "name": "shop"}});
        assert_eq!(of(&configuration, "ada", "document-applied", body), Some((None, None)));
        let artifacts = StreamId("artifacts/shop".into());
        assert_eq!(of(&artifacts, "ada", "artifacts-announced", json!({})), shop);
        let drafts = StreamId("drafts/shop".into());
        let body = json!({"draft": {"id": "d1", "environment": "shop/production"}});
        assert_eq!(of(&drafts, "ada", "draft-edited", body), production);
        let body = json!({"id": "d1", "environment": "shop/production"});
        assert_eq!(of(&drafts, "ada", "draft-dropped", body.clone()), production);
        assert_eq!(told(&drafts, "draft-dropped", &body), "shop/production: draft dropped d1");
        assert_eq!(of(&StreamId::access(), "deployd", REVEALED, json!({})), Some((None, None)));
        assert_eq!(of(&StreamId::access(), "unknown", REFUSED, json!({})), Some((None, None)));
    }

    #[test]
    fn marks_lead_to_their_events_in_the_order_of_time() {
        let stream = StreamId("environment/shop/production".into());
        let events = [
            event("ada", "a", json!({})),
            event("deployd", "b", json!({})),
            event("ada", "c", json!({})),
        ];
        let puts = marks(&stream, Version(4), &events).unwrap();
        let places: Vec<_> = puts.iter().map(|put| mark_place(&put.key).unwrap().1.0).collect();
        assert_eq!(places, [5, 7]);
        let range = marks_between(Some(Timestamp(7)), Some(Timestamp(8)));
        assert!(
            puts.iter().all(|put| put.key >= range.start && Some(&put.key) < range.end.as_ref())
        );
        assert!(mark_place(b"short").is_none());
    }

    #[test]
    fn filters_hold_all_together() {
        let mark = Mark {
            actor: Actor("ada".into()),
            kind: "deployment-queued".into(),
            about: About {
                application: Some("shop".into()),
                environment: Some("production".into()),
            },
        };
        let all = AuditFilter::default();
        assert!(all.lets_through(&mark));
        let ada = AuditFilter { actor: Some(Actor("ada".into())), ..all };
        assert!(ada.lets_through(&mark));
        assert!(!AuditFilter { refused: true, ..ada.clone() }.lets_through(&mark));
        let other = AuditFilter { application: Some("other".parse().unwrap()), ..ada.clone() };
        assert!(!other.lets_through(&mark));
        let of =
            |place: &str| AuditFilter { environment: Some(place.parse().unwrap()), ..ada.clone() };
        assert!(of("shop/production").lets_through(&mark));
        assert!(!of("shop/staging").lets_through(&mark));
        assert!(!of("other/production").lets_through(&mark));
    }
}
