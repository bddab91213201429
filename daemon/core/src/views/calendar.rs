//! What is asked and answered about calendars.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::{Closure, Outlook, Slot, Span, Stop};
use crate::config::RollbackRule;
use crate::deployment::{Deferral, Outcome, Schedule};
use crate::{DeploymentId, EnvironmentId, Name, Timestamp};

/// That the line is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LineStopRequest")]
pub struct StopRequest {
    /// Why: everybody whose deployment waits reads it.
    #[schemars(length(min = 1, max = 300))]
    pub reason: String,
    /// Whether going back and healing drift are to wait as well.
    #[serde(default)]
    pub rollbacks: RollbackRule,
}

/// That the line is to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LineResumeRequest")]
pub struct ResumeRequest {
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What calendars say of an environment at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarCheck {
    /// The environment.
    pub environment: EnvironmentId,
    /// The time.
    pub at: Timestamp,
    /// The time zone of the first of the calendars; UTC where there are none.
    pub time_zone: String,
    /// Calendars that are for it.
    pub calendars: Vec<Name>,
    /// What they say.
    #[serde(flatten)]
    pub outlook: Outlook,
}

/// What is closed, planned and done within a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarView {
    /// The span.
    #[serde(flatten)]
    pub span: Span,
    /// The environment; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// The time zone of the first calendar; UTC where there are none.
    pub time_zone: String,
    /// Whether the line is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What closes: the environment, or for all, what each calendar says for those
    /// that it does not except.
    pub closures: Vec<Closure>,
    /// Slots that were asked for and not refused or withdrawn; for all environments, those
    /// of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
    /// Deployments that wait for a time.
    pub planned: Vec<PlannedDeployment>,
    /// Deployments that have ended.
    pub done: Vec<DoneDeployment>,
    /// Whether there was more than is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A deployment that waits for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedDeployment {
    /// Which.
    pub deployment: DeploymentId,
    /// Where.
    pub environment: EnvironmentId,
    /// 1 for the environment's first.
    pub number: u64,
    /// When it was to begin.
    #[serde(default, skip_serializing_if = "Schedule::is_any_time")]
    pub schedule: Schedule,
    /// Why it has not begun, and until when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<Deferral>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl PlannedDeployment {
    /// When it begins at the earliest, where that is known.
    pub fn begins(&self) -> Option<Timestamp> {
        let until = self.deferred.as_ref().and_then(|deferred| deferred.until);
        self.schedule.not_before.max(until)
    }
}

/// A deployment that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoneDeployment {
    /// Which.
    pub deployment: DeploymentId,
    /// Where.
    pub environment: EnvironmentId,
    /// 1 for the environment's first.
    pub number: u64,
    /// When it began; when it was asked for, if it never did.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// How.
    pub outcome: Outcome,
}

/// That somebody wants a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlotRequest {
    /// In this environment.
    pub environment: EnvironmentId,
    /// From when: in the future.
    pub from: Timestamp,
    /// Until when, 3 days later at most.
    pub to: Timestamp,
    /// What for: who grants it reads it, and everybody whose deployment waits meanwhile.
    #[schemars(length(min = 1, max = 300))]
    pub reason: String,
}

/// What somebody says to a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlotReply {
    /// Why, for people; who refuses has to say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub reason: Option<String>,
}
