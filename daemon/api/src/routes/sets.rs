//! Deployment sets: looked at, listed, and made of one another.

use deployd_core::access::Action;
use deployd_core::set::{DeploymentSet, KnownSet, MergeRequest, MergedSet, PatchRequest, SetsPage};
use deployd_core::{Digest, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use super::paging::PageSize;
use crate::access::Access::Needs;
use crate::answer::{Created, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const GET: Operation = Operation::new(
    Get,
    "/v1/sets/{digest}",
    Needs(Action::Read, Target::Set),
    "getSet",
    "A deployment set",
);

const LIST: Operation = Operation::new(
    Get,
    "/v1/sets",
    Needs(Action::Read, Target::CommonInQuery("application")),
    "listSets",
    "Deployment sets of an application, newest first, and where each runs",
);

const PATCH: Operation = Operation::new(
    Post,
    "/v1/sets",
    Needs(Action::Deploy, Target::SubjectsInBody(&["/from"])),
    "patchSet",
    "Makes a set of another one by a delta, and keeps it",
);

const MERGE: Operation = Operation::new(
    Post,
    "/v1/sets/merge",
    Needs(Action::Deploy, Target::SubjectsInBody(&["/base", "/theirs", "/onto"])),
    "mergeSets",
    "Applies what changed between two sets to a third one, and keeps what comes of it",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(GET, get).add(LIST, list).add(PATCH, patch).add(MERGE, merge)
}

#[derive(Deserialize, JsonSchema)]
struct Content {
    /// Of the set.
    digest: Digest,
}

async fn get(api: Api, asked: Asked<Content>) -> Result<Found<DeploymentSet>, Box<Problem>> {
    Ok(Found(api.engine().set(asked.path.digest).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Of this application.
    application: Name,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Sets on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn list(api: Api, asked: Asked<Nothing, ListQuery>) -> Result<Found<SetsPage>, Box<Problem>> {
    let ListQuery { application, cursor, limit } = asked.query;
    Ok(Found(api.engine().sets(&application, cursor.as_deref(), limit.0).await?))
}

async fn patch(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<PatchRequest>>,
) -> Result<Created<KnownSet>, Box<Problem>> {
    let Json(request) = asked.body;
    let value = api.engine().patch_set(&asked.caller, &request).await?;
    let location = Some(format!("/v1/sets/{}", value.digest));
    Ok(Created { value, location })
}

async fn merge(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<MergeRequest>>,
) -> Result<Created<MergedSet>, Box<Problem>> {
    let Json(request) = asked.body;
    let value = api.engine().merge_sets(&asked.caller, &request).await?;
    let location = Some(format!("/v1/sets/{}", value.set.digest));
    Ok(Created { value, location })
}
