//! The past, made once more; what ran, had again; and what comes, rehearsed.

use deployd_core::EnvironmentId;
use deployd_core::access::Action;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::replay::{PluginVersion, Replay};
use deployd_core::subject::Subject;
use deployd_core::views::{
    CloneRequest, RehearsalView, RehearseRequest, RollbackRequest, RollbackView,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::deployments::{DryRun, accepted};
use super::environments::Place;
use super::written::Written;
use crate::access::Access::Needs;
use crate::answer::{Accepted, Either, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::{Json, MaybeJson};
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const REPLAY: Operation = Operation::new(
    Get,
    "/v1/replay",
    Needs(Action::Read, Target::SubjectsInQuery(&["of"])),
    "replay",
    "Makes a past deployment once more from its records, and says how that differs; changes nothing",
)
.looks_up();

const ROLLBACK: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/rollback",
    Needs(Action::RollBack, Target::Environment),
    "rollback",
    "Has what ran before run again; or, with `dry_run`, says what that would do",
);

const CLONE: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/clone",
    Needs(Action::CreateEnvironment, Target::ToClone),
    "cloneEnvironment",
    "Makes an environment like this one, and deploys there what runs here",
);

const REHEARSE: Operation = Operation::new(
    Post,
    "/v1/environments/{application}/{environment}/rehearse",
    Needs(Action::Deploy, Target::Environment),
    "rehearse",
    "Has a strategy roll out a deployment in a simulated world; changes nothing",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(REPLAY, replay).add(ROLLBACK, rollback).add(CLONE, clone).add(REHEARSE, rehearse)
}

type Foreseen = Either<Found<RollbackView>, Accepted<DeploymentRecord>>;

async fn rollback(
    api: Api,
    asked: Asked<Place, DryRun, MaybeJson<RollbackRequest>>,
) -> Result<Foreseen, Box<Problem>> {
    let (id, MaybeJson(request)): (EnvironmentId, _) = (asked.path.into(), asked.body);
    if asked.query.dry_run {
        return Ok(Either::First(Found(api.engine().rollback_plan(&id, &request).await?)));
    }
    let record = api.engine().rollback(&asked.caller, &id, request).await?;
    Ok(Either::Second(accepted(record)))
}

async fn clone(
    api: Api,
    asked: Asked<Place, Nothing, Json<CloneRequest>>,
) -> Result<Accepted<DeploymentRecord>, Box<Problem>> {
    let (id, Json(request)): (EnvironmentId, _) = (asked.path.into(), asked.body);
    let cloned = api.engine().clone_environment(&asked.caller, &id, request);
    Ok(accepted(Box::pin(cloned).await?))
}

async fn rehearse(
    api: Api,
    asked: Asked<Place, Nothing, MaybeJson<RehearseRequest>>,
) -> Result<Found<RehearsalView>, Box<Problem>> {
    let (id, MaybeJson(request)): (EnvironmentId, _) = (asked.path.into(), asked.body);
    Ok(Found(api.engine().rehearse(&asked.caller, &id, request).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplayQuery {
    /// The deployment.
    of: Written<Subject>,
    /// A version of a plugin that takes the place of the recorded one:
    /// `NAME@DIGEST`, or the first digits of the digest.
    with: Option<PluginVersion>,
}

async fn replay(
    api: Api,
    asked: Asked<Nothing, ReplayQuery>,
) -> Result<Found<Replay>, Box<Problem>> {
    let ReplayQuery { of, with } = asked.query;
    let resolved = api.engine().resolve(&of.read("of")?).await?;
    let id = &resolved.deployment()?.id;
    Ok(Found(api.engine().replay(id, with.as_ref()).await?))
}
