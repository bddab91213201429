//! The configuration of an environment in one place.

use deployd_core::access::Action;
use deployd_core::environment_report::EnvironmentReport;

use super::environments::Place;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;
use crate::target::Target;

const REPORT: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/report",
    Needs(Action::Read, Target::Environment),
    "getEnvironmentReport",
    "What an environment is for, whose it is, what can be had in it, and by which rules things happen there",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(REPORT, report)
}

async fn report(api: Api, asked: Asked<Place>) -> Result<Found<EnvironmentReport>, Box<Problem>> {
    Ok(Found(api.engine().environment_report(&asked.path.into()).await?))
}
