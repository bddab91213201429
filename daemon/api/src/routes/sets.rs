//! Deployment sets, by their digest.

use deployd_core::Digest;
use deployd_core::set::DeploymentSet;
use deployd_core::views::TokenScope;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;

const GET: Operation =
    Operation::new(Get, "/v1/sets/{digest}", Needs(TokenScope::Read), "getSet", "A deployment set");

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(GET, get)
}

#[derive(Deserialize, JsonSchema)]
struct Content {
    /// Of the set.
    digest: Digest,
}

async fn get(api: Api, asked: Asked<Content>) -> Result<Found<DeploymentSet>, Box<Problem>> {
    Ok(Found(api.engine().set(asked.path.digest).await?))
}
