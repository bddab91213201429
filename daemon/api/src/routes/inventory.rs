//! The inventory: which image is or was where.

use deployd_core::access::Action;
use deployd_core::image::ImageQuery;
use deployd_core::inventory::{
    EnvironmentThen, InventoryFilter, InventoryPage, Passage, When, Whereabouts,
};
use deployd_core::subject::Moment;
use deployd_core::{EnvironmentId, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use super::environments::Place;
use super::paging::PageSize;
use super::written::Written;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/inventory",
    Needs(Action::Read, Target::Listed),
    "getInventory",
    "Which image runs where, or ran there at a time, by environment",
);

const WHERE: Operation = Operation::new(
    Get,
    "/v1/inventory/where",
    Needs(Action::Read, Target::Installation),
    "findImage",
    "Where an image is or was, also in environments that are gone",
)
.looks_up();

const PATH: Operation = Operation::new(
    Get,
    "/v1/inventory/path",
    Needs(Action::Read, Target::WholeOf("before")),
    "getPassage",
    "Where an image was before it came to an environment, and how it was checked there",
)
.looks_up();

const THEN: Operation = Operation::new(
    Get,
    "/v1/environments/{application}/{environment}/then",
    Needs(Action::Read, Target::Environment),
    "getEnvironmentThen",
    "What ran in an environment at a time, also in one that is gone",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(WHERE, whereabouts).add(PATH, path).add(THEN, then)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InventoryQuery {
    /// Only of this application.
    application: Option<Name>,
    /// Only environments of this type.
    #[serde(rename = "type")]
    environment_type: Option<Name>,
    /// What ran then; what runs, when not given.
    at: Option<Written<Moment>>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Environments on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn list(
    api: Api,
    asked: Asked<Nothing, InventoryQuery>,
) -> Result<Found<InventoryPage>, Box<Problem>> {
    let asker = asked.asker()?;
    let InventoryQuery { application, environment_type, at, cursor, limit } = asked.query;
    let at = Written::optional(at.as_ref(), "at")?.map(|at| at.0);
    let filter = InventoryFilter { application, environment_type, at };
    let mut page = api.engine().inventory(&filter, cursor.as_deref(), limit.0).await?;
    page.locations.retain(|location| asker.sees(&location.environment));
    Ok(Found(page))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhereQuery {
    /// Which images.
    image: Written<ImageQuery>,
    /// `ever` or `now`.
    #[serde(default)]
    when: When,
    /// Only where it was then.
    at: Option<Written<Moment>>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Stays on the page; of a whole repository now or then: environments.
    #[serde(default)]
    limit: PageSize,
}

async fn whereabouts(
    api: Api,
    asked: Asked<Nothing, WhereQuery>,
) -> Result<Found<Whereabouts>, Box<Problem>> {
    let WhereQuery { image, when, at, cursor, limit } = asked.query;
    let at = Written::optional(at.as_ref(), "at")?.map(|at| at.0);
    let (image, cursor) = (image.read("image")?, cursor.as_deref());
    Ok(Found(api.engine().whereabouts(&image, when, at, cursor, limit.0).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PathQuery {
    /// Which image: by its digest or its tag.
    image: Written<ImageQuery>,
    /// The environment that it came to.
    before: EnvironmentId,
}

async fn path(api: Api, asked: Asked<Nothing, PathQuery>) -> Result<Found<Passage>, Box<Problem>> {
    let PathQuery { image, before } = asked.query;
    Ok(Found(api.engine().passage(&image.read("image")?, &before, true).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ThenQuery {
    /// When.
    at: Written<Moment>,
}

async fn then(
    api: Api,
    asked: Asked<Place, ThenQuery>,
) -> Result<Found<EnvironmentThen>, Box<Problem>> {
    let at = asked.query.at.read("at")?.0;
    Ok(Found(api.engine().environment_then(&asked.path.into(), at).await?))
}
