//! How the flow of an application stands.

use deployd_core::Name;
use deployd_core::access::Action;
use deployd_core::deployment::Hold;
use deployd_core::flow::{FlowView, ReleaseRequest, SUBJECT_CHARS_MAX, SUBJECT_CHARS_MIN, WhyView};
use schemars::JsonSchema;
use serde::Deserialize;

use super::environments::Place;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const FLOW: Operation = Operation::new(
    Get,
    "/v1/applications/{application}/flow",
    Needs(Action::Read, Target::Application),
    "getFlow",
    "The stages of an application: what runs in each, what is next for it, and what that waits for",
);

const WHY: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/why",
    Needs(Action::Read, Target::Environment),
    "getWhy",
    "Why an image or a set is not in an environment yet",
)
.looks_up();

const RELEASE: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/release",
    Needs(Action::Deploy, Target::Environment),
    "releaseEnvironment",
    "Has what comes by itself go on where somebody went back; gives what was held",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(FLOW, flow).add(WHY, why).add(RELEASE, release)
}

async fn release(
    api: Api,
    asked: Asked<Place, Nothing, Json<ReleaseRequest>>,
) -> Result<Found<Hold>, Box<Problem>> {
    let Json(request) = asked.body;
    Ok(Found(api.engine().release(&asked.caller, &asked.path.into(), request).await?))
}

#[derive(Deserialize, JsonSchema)]
struct Whose {
    /// The application.
    application: Name,
}

async fn flow(api: Api, asked: Asked<Whose>) -> Result<Found<FlowView>, Box<Problem>> {
    Ok(Found(api.engine().flow(&asked.path.application).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhyQuery {
    /// An image, a part of its name or digest, or a set: four characters at least.
    #[schemars(length(min = SUBJECT_CHARS_MIN, max = SUBJECT_CHARS_MAX))]
    subject: String,
}

async fn why(api: Api, asked: Asked<Place, WhyQuery>) -> Result<Found<WhyView>, Box<Problem>> {
    Ok(Found(api.engine().why(&asked.path.into(), &asked.query.subject).await?))
}
