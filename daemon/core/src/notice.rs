//! What others are told: events of the journal as notifiers get them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Timestamp;
use crate::deployment::{DeploymentRecord, Event, Outcome};
use crate::journal::{StreamId, Version};
use crate::seeded::{Bug, seeded};

/// Types of notices, for documentation and for checking subscriptions.
pub const TYPES: [&str; 9] = [
    "deployment.queued",
    "deployment.started",
    "deployment.planned",
    "deployment.succeeded",
    "deployment.failed",
    "deployment.rolled-back",
    "deployment.cancelled",
    "deployment.superseded",
    "deployment.needs-operator",
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
    let notice_type = match event {
        Event::DeploymentQueued { .. } => "deployment.queued",
        Event::DeploymentStarted { .. } => "deployment.started",
        Event::DeploymentPlanned { .. } => "deployment.planned",
        Event::DeploymentSuperseded { .. } => "deployment.superseded",
        Event::DeploymentEnded { outcome, .. } => match outcome {
            Outcome::Succeeded => "deployment.succeeded",
            Outcome::RolledBack if seeded(Bug::NoticeForgotten) => return None,
            Outcome::Failed => "deployment.failed",
            Outcome::RolledBack => "deployment.rolled-back",
            Outcome::Cancelled => "deployment.cancelled",
            Outcome::Superseded => "deployment.superseded",
            Outcome::NeedsOperator => "deployment.needs-operator",
        },
        _ => return None,
    };
    Some(Notice {
        id: format!("{stream}/{}", version.0),
        notice_type: notice_type.to_owned(),
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
