//! Images that have failed in an environment, and that automation does not bring
//! back.

use deployd_core::access::Action;
use deployd_core::quarantine::{LiftRequest, Quarantined};

use super::environments::Place;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/quarantine",
    Needs(Action::Read, Target::Environment),
    "listQuarantine",
    "Images that have failed there, and that automation does not bring back",
);

const LIFT: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/quarantine/lift",
    Needs(Action::LiftQuarantine, Target::Environment),
    "liftQuarantine",
    "Has automation bring an image back where it has failed",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(LIFT, lift)
}

async fn list(api: Api, asked: Asked<Place>) -> Result<Found<Vec<Quarantined>>, Box<Problem>> {
    Ok(Found(api.engine().quarantine(&asked.path.into()).await?))
}

async fn lift(
    api: Api,
    asked: Asked<Place, Nothing, Json<LiftRequest>>,
) -> Result<Found<Quarantined>, Box<Problem>> {
    let Json(request) = asked.body;
    Ok(Found(api.engine().lift(&asked.caller, &asked.path.into(), request).await?))
}
