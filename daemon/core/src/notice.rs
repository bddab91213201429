//! What others are told: events of the journal as notifiers get them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Timestamp;
use crate::deployment::{DeploymentRecord, Event, Outcome};
use crate::journal::{StreamId, Version};
use crate::seeded::{Bug, seeded};

/// Types of notices, for documentation and for checking subscriptions.
pub const TYPES: [&str; 16] = [
    "deployment.queued",
    "deployment.started",
    "deployment.planned",
    "deployment.succeeded",
    "deployment.failed",
    "deployment.rolled-back",
    "deployment.cancelled",
    "deployment.superseded",
    "deployment.needs-operator",
    "teardown.queued",
    "teardown.started",
    "teardown.planned",
    "teardown.succeeded",
    "teardown.failed",
    "teardown.cancelled",
    "teardown.needs-operator",
];

/// What a notifier gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The event's stream and version: the same whoever is told.
    pub id: String,
    /// One of [`TYPES`].
    #[serde(rename = "type")]
    pub notice_type: String,
    /// When it happened.
    pub time: Timestamp,
    /// The application.
    pub application: String,
    /// The environment.
    pub environment: String,
    /// What is known of the deployment. No secrets: records have none.
    pub data: Value,
}

/// The notice of an event, if others are told of such events.
pub fn notice(
    stream: &StreamId,
    version: Version,
    at: Timestamp,
    event: &Event,
    record: &DeploymentRecord,
) -> Option<Notice> {
    let what = match event {
        Event::DeploymentQueued { .. } => "queued",
        Event::DeploymentStarted { .. } => "started",
        Event::DeploymentPlanned { .. } => "planned",
        Event::DeploymentSuperseded { .. } => "superseded",
        Event::DeploymentEnded { outcome: Outcome::RolledBack, .. }
            if seeded(Bug::NoticeForgotten) =>
        {
            return None;
        }
        Event::DeploymentEnded { outcome, .. } => outcome.as_str(),
        _ => return None,
    };
    // Whoever waits for a deployment must not take the end of an environment
    // for one.
    let kind = if record.request.teardown.is_some() { "teardown" } else { "deployment" };
    Some(Notice {
        id: format!("{stream}/{}", version.0),
        notice_type: format!("{kind}.{what}"),
        time: at,
        application: record.environment.application.to_string(),
        environment: record.environment.environment.to_string(),
        data: json!({
            "deployment": record.id,
            "number": record.number,
            "actor": record.actor,
            "origin": record.request.origin,
            "comment": record.request.comment,
            "set": record.request.set,
            "plan": record.work.as_ref().and_then(|work| work.plan),
            "outcome": record.outcome,
            "fault": record.fault,
        }),
    })
}
