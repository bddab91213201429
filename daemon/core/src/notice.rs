//! What others are told: events of the journal as notifiers get them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::approval::rules;
use crate::config::ApprovalRule;
use crate::deployment::{Deployment, DeploymentRecord, Event, Outcome, StepId, StepKind};
use crate::journal::{StreamId, Version};
use crate::seeded::{Bug, seeded};
use crate::{EnvironmentId, Timestamp};

/// Types of notices, for documentation and for checking subscriptions.
pub const TYPES: [&str; 32] = [
    "deployment.queued",
    "deployment.deferred",
    "deployment.yielded",
    "deployment.started",
    "deployment.planned",
    "deployment.proposed",
    "deployment.paused",
    "deployment.succeeded",
    "deployment.failed",
    "deployment.rolled-back",
    "deployment.cancelled",
    "deployment.superseded",
    "deployment.needs-operator",
    "teardown.queued",
    "teardown.deferred",
    "teardown.yielded",
    "teardown.started",
    "teardown.planned",
    "teardown.proposed",
    "teardown.succeeded",
    "teardown.failed",
    "teardown.cancelled",
    "teardown.needs-operator",
    "approval.requested",
    "approval.given",
    "approval.withdrawn",
    "approval.refused",
    "approval.expired",
    "approval.bypassed",
    "drift.found",
    "drift.gone",
    "drift.healing-given-up",
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
    /// What is known of the deployment, or of drift. No secrets: records have none.
    pub data: Value,
}

/// The notice of an event, if others are told of such events. The record is that
/// of the deployment which the event has changed, if it has changed one.
pub fn notice(
    environment: &EnvironmentId,
    stream: &StreamId,
    version: Version,
    at: Timestamp,
    event: &Event,
    record: Option<&DeploymentRecord>,
) -> Option<Notice> {
    let (notice_type, data) = match record {
        Some(record) => of_deployment(event, record)?,
        None => of_drift(event)?,
    };
    Some(Notice {
        id: format!("{stream}/{}", version.0),
        notice_type,
        time: at,
        application: environment.application.to_string(),
        environment: environment.environment.to_string(),
        data,
    })
}

/// What is told of drift: numbers. Who wants to know more asks for the report.
fn of_drift(event: &Event) -> Option<(String, Value)> {
    match event {
        Event::DriftChanged { deployment, report, summary, new, gone } => {
            let notice_type = if summary.findings > 0 { "drift.found" } else { "drift.gone" };
            let data = json!({
                "deployment": deployment,
                "report": report,
                "summary": summary,
                "new": new,
                "gone": gone,
            });
            Some((notice_type.to_owned(), data))
        }
        Event::HealingGivenUp { deployment, heals } => {
            let data = json!({"deployment": deployment, "heals": heals});
            Some(("drift.healing-given-up".to_owned(), data))
        }
        _ => None,
    }
}

fn of_deployment(event: &Event, record: &DeploymentRecord) -> Option<(String, Value)> {
    if let Some(what) = of_approval(event) {
        let mut data = known(record);
        json_patch::merge(&mut data, &said(event, record));
        return Some((format!("approval.{what}"), data));
    }
    let what = match event {
        Event::DeploymentQueued { .. } => "queued",
        Event::DeploymentDeferred { .. } => "deferred",
        Event::DeploymentYielded { .. } => "yielded",
        Event::DeploymentStarted { .. } => "started",
        Event::DeploymentPlanned { .. } => "planned",
        // One that waits to be merged ends once that can't happen any more.
        Event::DeploymentSuperseded { .. } if record.ended.is_some() => "superseded",
        Event::PauseRequested { .. } => "paused",
        Event::StepPending { step, .. }
            if record.work.as_ref()?.paused().is_some_and(|paused| paused.id == *step) =>
        {
            "paused"
        }
        Event::StepPending { step, .. } if is_proposed(record.work.as_ref()?, step) => "proposed",
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
    let mut data = known(record);
    let more = match event {
        // Who is to say that it may begin learns it from this.
        Event::DeploymentPlanned { gates, .. } if !gates.is_empty() => json!({ "gates": gates }),
        Event::DeploymentDeferred { deferral, .. } => {
            json!({"until": deferral.until, "message": format!("waits {deferral}")})
        }
        Event::DeploymentYielded { to, .. } => json!({"to": to,
            "message": format!("waits until {to} has gone back, and is planned again then")}),
        // Who is to merge it finds the pull request in this.
        Event::StepPending { message, .. } if what == "proposed" => json!({ "message": message }),
        _ => json!({}),
    };
    json_patch::merge(&mut data, &more);
    if let Some(message) = record.work.as_ref().filter(|_| what == "paused").and_then(waited_for) {
        json_patch::merge(&mut data, &json!({ "message": message }));
    }
    Some((format!("{kind}.{what}"), data))
}

/// Whether a step that waits has opened a pull request: to roll out, to go back, or to
/// take away what is left. Such steps wait for nothing else.
fn is_proposed(work: &Deployment, id: &StepId) -> bool {
    work.step(id).is_some_and(|step| {
        matches!(step.kind, StepKind::Propose | StepKind::Restore | StepKind::Prune)
    })
}

/// What every notice of a deployment says of it.
fn known(record: &DeploymentRecord) -> Value {
    json!({
        "deployment": record.id,
        "number": record.number,
        "actor": record.actor,
        "origin": record.request.origin,
        "comment": record.request.comment,
        "set": record.request.set,
        "plan": record.work.as_ref().and_then(|work| work.plan),
        "outcome": record.outcome,
        "fault": record.fault,
    })
}

fn of_approval(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::ApprovalRequested { .. } => "requested",
        Event::ApprovalGiven { .. } => "given",
        Event::ApprovalWithdrawn { .. } => "withdrawn",
        Event::ApprovalRefused { .. } => "refused",
        Event::ApprovalExpired { .. } => "expired",
        Event::GlassBroken { .. } => "bypassed",
        _ => return None,
    })
}

/// What is told of an approval: what is asked for and how much of it is missing, and
/// what somebody has said.
fn said(event: &Event, record: &DeploymentRecord) -> Value {
    let Some(work) = &record.work else { return json!({}) };
    let Some(plan) = work.plan else { return json!({}) };
    let missing = |rule: &ApprovalRule| {
        json!({
            "rule": rule.name,
            "of": rule.groups.iter().chain(&rule.people).collect::<Vec<_>>(),
            "missing": work.approvals.missing(rule, plan),
            "until": work.approvals.expires(rule, plan),
        })
    };
    let asked: Vec<Value> = rules(&work.gates).map(missing).collect();
    let mut said = json!({ "approvals": asked });
    let more = match event {
        Event::ApprovalRequested { before: Some(before), .. } => {
            json!({"message": "the plan has changed", "before": before})
        }
        Event::ApprovalGiven { reason, .. } => {
            json!({"by": work.approvals.given.last().map(|given| &given.by), "message": reason})
        }
        Event::ApprovalWithdrawn { reason, .. } => json!({ "message": reason }),
        Event::ApprovalRefused { reason, .. } => {
            json!({"by": work.approvals.refused.as_ref().map(|no| &no.by), "message": reason})
        }
        Event::GlassBroken { reason, .. } => {
            let broken = work.approvals.broken_glass.as_ref();
            json!({"by": broken.map(|broken| &broken.by), "message": reason})
        }
        _ => json!({}),
    };
    json_patch::merge(&mut said, &more);
    said
}

/// What somebody is to look at while a rollout waits for them.
fn waited_for(work: &Deployment) -> Option<&str> {
    let paused = || work.paused().and_then(|step| step.message.as_deref());
    work.held.as_deref().filter(|reason| !reason.is_empty()).or_else(paused)
}
