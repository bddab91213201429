//! What is kept of a deployment for ever.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::Request;
use super::state::{Deferral, Deployment, Outcome, Phase, Queued, Yielded};
use crate::archive::Provenance;
use crate::{Actor, DeploymentId, EnvironmentId, Fault, Timestamp};

/// All that is kept of a deployment for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentRecord {
    /// Its name.
    pub id: DeploymentId,
    /// Where.
    pub environment: EnvironmentId,
    /// 1 for the environment's first.
    pub number: u64,
    /// Who asked.
    pub actor: Actor,
    /// What for.
    pub request: Request,
    /// When it was asked for.
    pub queued: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Where it stands.
    pub phase: Phase,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why, unless it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Why it has not begun, when it is not its turn alone that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<Deferral>,
    /// That it had begun, has made way, and has not begun again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yielded: Option<Box<Yielded>>,
    /// Its work, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Deployment>,
    /// Where it came from, when it was deployed elsewhere and imported: its
    /// environment is one of there, whatever has that name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Provenance>,
}

impl DeploymentRecord {
    /// Why it does not begin, or go on at its gates; none when it does, or has ended.
    pub fn deferral(&self) -> Option<&Deferral> {
        let of_work = || self.work.as_ref().and_then(|work| work.deferred.as_ref());
        self.deferred.as_ref().or_else(of_work).filter(|_| self.ended.is_none())
    }
}

pub(super) fn record_queued(
    environment: &EnvironmentId,
    queued: Queued,
    ended: Option<(Timestamp, Outcome)>,
    fault: Option<Fault>,
) -> DeploymentRecord {
    DeploymentRecord {
        id: queued.id,
        environment: environment.clone(),
        number: queued.number,
        actor: queued.actor,
        request: queued.request,
        queued: queued.at,
        ended: ended.map(|(at, _)| at),
        phase: if ended.is_some() { Phase::Ended } else { Phase::Queued },
        outcome: ended.map(|(_, outcome)| outcome),
        fault,
        deferred: queued.deferred,
        yielded: queued.yielded,
        work: None,
        imported: None,
    }
}

pub(super) fn record_of(environment: &EnvironmentId, deployment: &Deployment) -> DeploymentRecord {
    DeploymentRecord {
        id: deployment.id.clone(),
        environment: environment.clone(),
        number: deployment.number,
        actor: deployment.actor.clone(),
        request: deployment.request.clone(),
        queued: deployment.queued,
        ended: None,
        phase: deployment.phase(),
        outcome: None,
        fault: deployment.failure.clone(),
        deferred: None,
        yielded: None,
        work: Some(deployment.clone()),
        imported: None,
    }
}
