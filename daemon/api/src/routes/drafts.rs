//! Drafts: deltas that are prepared, shared, and then deployed or dropped.

use deployd_core::Name;
use deployd_core::access::Action;
use deployd_core::draft::{Draft, DraftDeployment, DraftEdit, NewDraft};
use schemars::JsonSchema;
use serde::Deserialize;

use super::deployments::{DryRun, PlannedOrAccepted, accepted};
use crate::access::Access::Needs;
use crate::answer::{Created, Either, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::{Json, MaybeJson};
use crate::operation::{Operation, Operations, Verb::Delete, Verb::Get, Verb::Post, Verb::Put};
use crate::problem::Problem;
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/drafts",
    Needs(Action::Read, Target::CommonInQuery("application")),
    "listDrafts",
    "Drafts of an application: at most a hundred",
);

const CREATE: Operation = Operation::new(
    Post,
    "/v1/drafts",
    Needs(Action::Deploy, Target::InBody("/environment")),
    "createDraft",
    "Begins a draft",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/drafts/{id}",
    Needs(Action::Read, Target::Draft),
    "getDraft",
    "A draft",
);

const EDIT: Operation = Operation::new(
    Put,
    "/v1/drafts/{id}",
    Needs(Action::Deploy, Target::Draft),
    "editDraft",
    "Gives a draft another delta, if nobody else has done so since it was read",
);

const DROP: Operation = Operation::new(
    Delete,
    "/v1/drafts/{id}",
    Needs(Action::Deploy, Target::Draft),
    "dropDraft",
    "Drops a draft; the journal keeps what it was",
);

const DEPLOY: Operation = Operation::new(
    Post,
    "/v1/drafts/{id}/deploy",
    Needs(Action::Deploy, Target::Draft),
    "deployDraft",
    "Deploys a draft, as a delta to what runs, and it is gone with that; or, with `dry_run`, says what that would do",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(LIST, list)
        .add(CREATE, create)
        .add(GET, get)
        .add(EDIT, edit)
        .add(DROP, drop)
        .add(DEPLOY, deploy)
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The draft.
    id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Of this application.
    application: Name,
}

async fn list(
    api: Api,
    asked: Asked<Nothing, ListQuery>,
) -> Result<Found<Vec<Draft>>, Box<Problem>> {
    let (asker, mut all) = (asked.asker()?, api.engine().drafts(&asked.query.application).await?);
    all.retain(|draft| asker.sees(&draft.environment));
    Ok(Found(all))
}

async fn create(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<NewDraft>>,
) -> Result<Created<Draft>, Box<Problem>> {
    let Json(request) = asked.body;
    let value = api.engine().create_draft(&asked.caller, &request).await?;
    let location = Some(format!("/v1/drafts/{}", value.id));
    Ok(Created { value, location })
}

async fn get(api: Api, asked: Asked<Id>) -> Result<Found<Draft>, Box<Problem>> {
    Ok(Found(api.engine().draft(&asked.path.id).await?))
}

async fn edit(
    api: Api,
    asked: Asked<Id, Nothing, Json<DraftEdit>>,
) -> Result<Found<Draft>, Box<Problem>> {
    let Json(request) = asked.body;
    Ok(Found(api.engine().edit_draft(&asked.caller, &asked.path.id, &request).await?))
}

async fn drop(api: Api, asked: Asked<Id>) -> Result<Found<Draft>, Box<Problem>> {
    Ok(Found(api.engine().drop_draft(&asked.caller, &asked.path.id).await?))
}

async fn deploy(
    api: Api,
    asked: Asked<Id, DryRun, MaybeJson<DraftDeployment>>,
) -> Result<PlannedOrAccepted, Box<Problem>> {
    let MaybeJson(how) = asked.body;
    if asked.query.dry_run {
        return Ok(Either::First(Found(api.engine().plan_draft(&asked.path.id, &how).await?)));
    }
    let record = api.engine().deploy_draft(&asked.caller, &asked.path.id, &how).await?;
    Ok(Either::Second(accepted(record)))
}
