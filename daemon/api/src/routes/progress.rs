//! Live progress of a deployment, as server-sent events.
//!
//! An event's id is the last line of the log that was sent, so that who comes
//! back with `Last-Event-ID` gets no line twice. With the last event the id
//! says that all is over: a browser, which comes back by itself, is then told
//! not to (204).

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use deployd_core::access::Action;
use deployd_core::views::WatchUpdate;
use deployd_engine::EngineError;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::json;

use super::deployments::Id;
use crate::access::Access::Needs;
use crate::answer::{Answer, Documented};
use crate::api::Api;
use crate::asked::Asked;
use crate::limits::{KEEP_ALIVE, RETRY_AFTER_SECONDS};
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::{Code, Problem};
use crate::target::Target;

const EVENTS: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/events",
    Needs(Action::Read, Target::Deployment),
    "watchDeployment",
    "A deployment as it goes on: server-sent events `update`, each a WatchUpdate; ends after the outcome",
);

/// Has what a client saw last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Ends the id of a last event.
const OVER: &str = ".end";

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(EVENTS, events).schema_of::<WatchUpdate>()
}

/// A stream of events, or nothing for who has seen all of it.
enum Events {
    Stream(Response),
    Over,
}

impl Answer for Events {
    fn answer(self) -> Response {
        match self {
            Self::Stream(response) => response,
            Self::Over => StatusCode::NO_CONTENT.into_response(),
        }
    }

    fn document(_: &mut schemars::SchemaGenerator) -> Vec<Documented> {
        let stream = json!({
            "type": "string",
            "description": "Events `update`, whose data is a WatchUpdate (#/components/schemas/WatchUpdate), and `problem`, whose data is a Problem",
        });
        vec![
            Documented {
                status: 200,
                description: "Events until the deployment has ended",
                content: vec![("text/event-stream", stream)],
            },
            Documented {
                status: 204,
                description: "`Last-Event-ID` is that of the last event: there will be no more",
                content: Vec::new(),
            },
        ]
    }
}

async fn events(api: Api, asked: Asked<Id>) -> Result<Events, Box<Problem>> {
    let last = asked.headers.last_event_id();
    if last.is_some_and(|last| last.ends_with(OVER)) {
        return Ok(Events::Over);
    }
    let seen: u64 = last.and_then(|last| last.parse().ok()).unwrap_or(0);
    // As a problem with its status, while there is one to give.
    api.engine().deployment(&asked.path.id).await?;
    let permit = api.shared().streams.clone().try_acquire_owned().map_err(|_| {
        let detail =
            "Too many streams are open; come back later, or ask for the deployment itself.";
        Problem::new(Code::Busy, detail).retry_after(RETRY_AFTER_SECONDS)
    })?;
    let updates = api.engine().watch(&asked.path.id);
    let events =
        as_events(updates, seen).take_until(api.shared().closing.begun()).map(move |event| {
            // Held as long as the stream is.
            let _held = &permit;
            Ok::<_, Infallible>(event)
        });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Events::Stream(Sse::new(events).keep_alive(keep_alive).into_response()))
}

trait LastEventId {
    fn last_event_id(&self) -> Option<&str>;
}

impl LastEventId for HeaderMap {
    fn last_event_id(&self) -> Option<&str> {
        self.get(LAST_EVENT_ID)?.to_str().ok()
    }
}

/// Updates as events, without lines that were seen before.
fn as_events(
    updates: impl Stream<Item = Result<WatchUpdate, EngineError>> + Send,
    seen: u64,
) -> impl Stream<Item = Event> + Send {
    let mut position = Position { seen, over: false };
    updates.flat_map(move |update| stream::iter(position.event(update)))
}

/// What a client has seen.
struct Position {
    seen: u64,
    over: bool,
}

impl Position {
    fn event(&mut self, update: Result<WatchUpdate, EngineError>) -> Option<Event> {
        // Both kinds are JSON in other answers too: there is nothing that can't be.
        let mut update = match update {
            Ok(update) => update,
            Err(error) => {
                let data = serde_json::to_string(&Box::<Problem>::from(error)).ok()?;
                return Some(Event::default().event("problem").data(data));
            }
        };
        update.logs.retain(|line| line.sequence > self.seen);
        if let Some(last) = update.logs.last() {
            self.seen = last.sequence;
        }
        self.over |= update.record.as_ref().is_some_and(|record| record.outcome.is_some());
        if update.record.is_none() && update.rollout.is_none() && update.logs.is_empty() {
            return None;
        }
        let id = format!("{}{}", self.seen, if self.over { OVER } else { "" });
        let data = serde_json::to_string(&update).ok()?;
        Some(Event::default().event("update").id(id).data(data))
    }
}
