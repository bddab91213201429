//! Environments: what runs where, and what is there.

use deployd_core::views::{EnvironmentView, ResourceView, TokenScope};
use deployd_core::{EnvironmentId, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;

const LIST: Operation = Operation::new(
    Get,
    "/v1/environments",
    Needs(TokenScope::Read),
    "listEnvironments",
    "All environments, and what runs in them",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}",
    Needs(TokenScope::Read),
    "getEnvironment",
    "An environment, and what runs in it",
);

const RESOURCES: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/resources",
    Needs(TokenScope::Read),
    "listResources",
    "Resources that are there",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(GET, get).add(RESOURCES, resources)
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// The application.
    application: Name,
    /// The environment.
    environment: Name,
}

impl From<Place> for EnvironmentId {
    fn from(Place { application, environment }: Place) -> Self {
        Self { application, environment }
    }
}

async fn list(api: Api, _: Asked) -> Result<Found<Vec<EnvironmentView>>, Box<Problem>> {
    Ok(Found(api.engine().environments().await?))
}

async fn get(api: Api, asked: Asked<Place>) -> Result<Found<EnvironmentView>, Box<Problem>> {
    Ok(Found(api.engine().environment(&asked.path.into()).await?))
}

async fn resources(
    api: Api,
    asked: Asked<Place>,
) -> Result<Found<Vec<ResourceView>>, Box<Problem>> {
    let id = asked.path.into();
    // An environment without resources is not the same as none.
    api.engine().environment(&id).await?;
    Ok(Found(api.engine().resources(&id).await?))
}
