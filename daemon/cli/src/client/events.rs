//! The stream of a deployment's updates.

use std::time::Duration;

use deployd_core::DeploymentId;
use deployd_core::views::WatchUpdate;
use http::StatusCode;
use reqwest::Response;

use super::request::reason;
use super::sse::{Parser, RawEvent};
use super::{Client, Problem};
use crate::error::CliError;

/// What a stream has brought.
#[derive(Debug)]
pub enum ServerEvent {
    /// Something is new.
    Update(Box<WatchUpdate>),
    /// The daemon says what went wrong.
    Problem(Box<Problem>),
}

/// An open stream of a deployment's updates.
#[derive(Debug)]
pub struct Events {
    response: Response,
    parser: Parser,
    ready: std::collections::VecDeque<RawEvent>,
    last_id: Option<String>,
}

impl Client {
    /// Opens the stream of a deployment, after the event with this id. None
    /// when there is nothing after it. An error comes with the wait that the
    /// daemon asks for.
    pub async fn events(
        &self,
        id: &DeploymentId,
        after: Option<&str>,
    ) -> Result<Option<Events>, (CliError, Option<Duration>)> {
        let url =
            self.url(["v1", "deployments", &id.0, "events"]).map_err(|error| (error, None))?;
        let response = self.open(url, after).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let last_id = after.map(ToOwned::to_owned);
        Ok(Some(Events { response, parser: Parser::default(), ready: Default::default(), last_id }))
    }
}

impl Events {
    /// The id of the last event.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// What comes next; none when the stream ends. An error is a lost
    /// connection, or an event that can't be understood.
    pub async fn next(&mut self, client: &Client) -> Result<Option<ServerEvent>, CliError> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                if let Some(known) = known(&event).map_err(|error| client.answer_error(error))? {
                    // Only now: who is interrupted before gets it once more.
                    self.last_id = event.id;
                    return Ok(Some(known));
                }
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| client.unreachable(reason(&error)))? {
                Some(bytes) => self.ready.extend(self.parser.push(&bytes)?),
                None => return Ok(None),
            }
        }
    }
}

fn known(event: &RawEvent) -> Result<Option<ServerEvent>, serde_json::Error> {
    Ok(match event.name.as_str() {
        "update" => Some(ServerEvent::Update(serde_json::from_str(&event.data)?)),
        "problem" => Some(ServerEvent::Problem(serde_json::from_str(&event.data)?)),
        _ => None,
    })
}
