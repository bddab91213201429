//! Drift: how what is there differs from what was deployed.

use deployd_core::access::Action;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::drift::DriftReport;

use super::environments::Place;
use crate::access::Access::Needs;
use crate::answer::{Accepted, Found};
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const LAST: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/drift",
    Needs(Action::Read, Target::Environment),
    "getDrift",
    "What the last check for drift has found",
);

const CHECK: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/drift",
    Needs(Action::Deploy, Target::Environment),
    "checkDrift",
    "Compares what is there with what was deployed, and changes nothing",
)
.takes_long();

const HEAL: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/drift/heal",
    Needs(Action::Deploy, Target::Environment),
    "healDrift",
    "Deploys again what is deployed, taking over fields that others have changed",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LAST, last).add(CHECK, check).add(HEAL, heal)
}

async fn last(api: Api, asked: Asked<Place>) -> Result<Found<DriftReport>, Box<Problem>> {
    Ok(Found(api.engine().drift(&asked.path.into()).await?))
}

async fn check(api: Api, asked: Asked<Place>) -> Result<Found<DriftReport>, Box<Problem>> {
    Ok(Found(api.engine().check_drift(&asked.caller, &asked.path.into()).await?))
}

async fn heal(api: Api, asked: Asked<Place>) -> Result<Accepted<DeploymentRecord>, Box<Problem>> {
    let value = api.engine().heal_drift(&asked.caller, &asked.path.into()).await?;
    let location = format!("/v1/deployments/{}", value.id);
    Ok(Accepted { value, location })
}
