//! CloudEvents over HTTP, 1.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_plugin_sdk::receiver::Delivery;
use deployd_plugin_sdk::{Fault, fit};
use serde::Deserialize;
use serde_json::Value;

/// An event, as far as it was looked at.
pub(crate) struct Event {
    /// The type.
    pub(crate) r#type: String,
    /// When it happened, and where that stands.
    pub(crate) time: Option<(String, String)>,
    subject: Option<(String, String)>,
    data: Data,
}

/// The data is read only of events that are of interest: others can have any.
enum Data {
    None,
    Json(String, Value),
    Base64(String, String),
    Body(Vec<u8>),
}

/// An event in the JSON format.
#[derive(Deserialize)]
struct Structured {
    specversion: String,
    r#type: String,
    subject: Option<String>,
    time: Option<String>,
    data: Option<Value>,
    data_base64: Option<String>,
}

#[derive(Deserialize)]
struct Bare {
    context: BareContext,
}

#[derive(Deserialize)]
struct BareContext {
    r#type: String,
}

const BATCH: &str = "application/cloudevents-batch";
const STRUCTURED: &str = "application/cloudevents";
/// The version of the specification that events are of.
const VERSION: &str = "1.0";

impl Event {
    /// What the event is about, as its own attributes say.
    pub(crate) fn subject(&self) -> Result<(String, String), Fault> {
        let missing =
            || Fault::invalid("/body", "is empty, expected a CDEvent, or an event with a subject");
        self.subject.clone().ok_or_else(missing)
    }

    /// The data and where it stands.
    pub(crate) fn data(&self) -> Result<Option<(String, Value)>, Fault> {
        match &self.data {
            Data::None => Ok(None),
            Data::Json(at, value) => Ok(Some((at.clone(), value.clone()))),
            Data::Base64(at, text) => {
                let bytes = STANDARD.decode(text).map_err(|error| {
                    Fault::invalid(at, format!("not base64 of a JSON document: {error}"))
                })?;
                json(at, &bytes).map(|value| Some((at.clone(), value)))
            }
            Data::Body(bytes) if bytes.is_empty() => Ok(None),
            Data::Body(bytes) => {
                json("/body", bytes).map(|value| Some(("/body".to_owned(), value)))
            }
        }
    }
}

/// The events of a delivery, in its form.
///
/// # Errors
/// A fault with the place of what does not fit.
pub(crate) fn events(delivery: &Delivery) -> Result<Vec<Event>, Fault> {
    let kind = delivery.header("content-type").unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with(BATCH) {
        return batch(delivery.json()?);
    }
    if kind.starts_with(STRUCTURED) {
        return structured("/body", delivery.json()?).map(|event| vec![event]);
    }
    if delivery.header("ce-type").is_some() {
        return binary(delivery).map(|event| vec![event]);
    }
    // Who posts with little effort sends the right body as just JSON.
    match image_events::body(delivery)? {
        Value::Array(events) => batch(events),
        body if body.get("specversion").is_some() => {
            structured("/body", body).map(|event| vec![event])
        }
        body => {
            let Bare { context } = fit("body", body.clone())?;
            let data = Data::Json("/body".to_owned(), body);
            Ok(vec![Event { r#type: context.r#type, time: None, subject: None, data }])
        }
    }
}

fn batch(events: Vec<Value>) -> Result<Vec<Event>, Fault> {
    let events = events.into_iter().enumerate();
    events.map(|(index, event)| structured(&format!("/body/{index}"), event)).collect()
}

fn structured(at: &str, event: Value) -> Result<Event, Fault> {
    let event: Structured = fit(at.trim_start_matches('/'), event)?;
    let place = |field: &str| format!("{at}/{field}");
    of_known_version(&place("specversion"), &event.specversion)?;
    let data = match (event.data, event.data_base64) {
        (Some(data), _) => Data::Json(place("data"), data),
        (None, Some(text)) => Data::Base64(place("data_base64"), text),
        (None, None) => Data::None,
    };
    Ok(Event {
        r#type: event.r#type,
        time: event.time.map(|time| (place("time"), time)),
        subject: event.subject.map(|subject| (place("subject"), subject)),
        data,
    })
}

fn binary(delivery: &Delivery) -> Result<Event, Fault> {
    let placed = |name: &str| -> Result<_, Fault> {
        Ok(attribute(delivery, name)?.map(|value| (format!("/headers/{name}"), value)))
    };
    if let Some((at, version)) = placed("ce-specversion")? {
        of_known_version(&at, &version)?;
    }
    Ok(Event {
        r#type: attribute(delivery, "ce-type")?.unwrap_or_default(),
        time: placed("ce-time")?,
        subject: placed("ce-subject")?,
        data: Data::Body(delivery.body.clone()),
    })
}

/// An attribute in a header. Its value can be a quoted string, and what is not plain
/// ASCII in it is percent-encoded.
fn attribute(delivery: &Delivery, name: &str) -> Result<Option<String>, Fault> {
    let Some(value) = delivery.header(name) else { return Ok(None) };
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let value = quoted.map_or_else(|| value.to_owned(), unescaped);
    let decoded = percent_encoding::percent_decode_str(&value).decode_utf8();
    let decoded = decoded.map_err(|_| {
        Fault::invalid(format!("/headers/{name}"), "not UTF-8 once its percent-encoding is undone")
    })?;
    Ok(Some(decoded.into_owned()))
}

/// A quoted string without its backslashes.
fn unescaped(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

fn of_known_version(at: &str, version: &str) -> Result<(), Fault> {
    if version == VERSION {
        return Ok(());
    }
    Err(Fault::invalid(
        at,
        format!("found {:?}, expected {VERSION}", deployd_plugin_sdk::shown(version)),
    ))
}

fn json(at: &str, bytes: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault::invalid(at, format!("not JSON: {error}")))
}
