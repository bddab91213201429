//! Environments: what runs where, and what is there.

use deployd_core::access::Action;
use deployd_core::deployment::Teardown;
use deployd_core::views::{EnvironmentView, ResourceFilter, ResourceView, TeardownRequest};
use deployd_core::{EnvironmentId, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use super::deployments::{DryRun, PlannedOrAccepted, accepted};
use crate::access::Access::Needs;
use crate::answer::{Either, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::MaybeJson;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/environments",
    Needs(Action::Read, Target::Listed),
    "listEnvironments",
    "All environments, and what runs in them",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}",
    Needs(Action::Read, Target::Environment),
    "getEnvironment",
    "An environment, and what runs in it",
);

const RESOURCES: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/resources",
    Needs(Action::Read, Target::Environment),
    "listResources",
    "Resources that are there",
);

const ALL_RESOURCES: Operation = Operation::new(
    Get,
    "/v1/resources",
    Needs(Action::Read, Target::Listed),
    "listAllResources",
    "Resources that are there, of all environments",
);

const DELETE: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/delete",
    Needs(Action::TearDown, Target::Environment),
    "deleteEnvironment",
    "Takes an environment away with all it has; or, with `dry_run`, says what that would do",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(LIST, list)
        .add(GET, get)
        .add(RESOURCES, resources)
        .add(ALL_RESOURCES, all_resources)
        .add(DELETE, delete)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Place {
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

async fn list(api: Api, asked: Asked) -> Result<Found<Vec<EnvironmentView>>, Box<Problem>> {
    let (asker, mut all) = (asked.asker()?, api.engine().environments().await?);
    all.retain(|view| asker.sees(&view.id));
    Ok(Found(all))
}

async fn get(api: Api, asked: Asked<Place>) -> Result<Found<EnvironmentView>, Box<Problem>> {
    Ok(Found(api.engine().environment(&asked.path.into()).await?))
}

async fn all_resources(
    api: Api,
    asked: Asked<Nothing, ResourceFilter>,
) -> Result<Found<Vec<ResourceView>>, Box<Problem>> {
    let (asker, mut all) = (asked.asker()?, api.engine().all_resources(&asked.query).await?);
    all.retain(|view| asker.sees(&view.environment));
    Ok(Found(all))
}

async fn delete(
    api: Api,
    asked: Asked<Place, DryRun, MaybeJson<TeardownRequest>>,
) -> Result<PlannedOrAccepted, Box<Problem>> {
    let id = asked.path.into();
    let MaybeJson(request) = asked.body;
    if asked.query.dry_run {
        let teardown = Teardown { keep: request.keep };
        return Ok(Either::First(Found(api.engine().plan_teardown(&id, &teardown).await?)));
    }
    let record = api.engine().teardown(&asked.caller, &id, request).await?;
    Ok(Either::Second(accepted(record)))
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
