//! Deployments: asked for, looked at, ended, repeated.

use deployd_config::to_yaml_documents;
use deployd_core::access::Action;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::plan::{Manifests, Plan};
use deployd_core::steering::{PromoteRequest, SteerRequest, Steering};
use deployd_core::views::{DeployRequest, HistoryPage, LogEntry, PlanView};
use deployd_core::{DeploymentId, EnvironmentId};
use deployd_engine::Caller;
use http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::Deserialize;

use super::paging::PageSize;
use crate::access::Access::Needs;
use crate::answer::{Accepted, Answer, Documented, Either, Found, Listed, Text, Yaml};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::{Json, MaybeJson};
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const DEPLOY: Operation = Operation::new(
    Post,
    "/v1/deployments",
    Needs(Action::Deploy, Target::ToDeploy),
    "deploy",
    "Deploys; or, with `dry_run`, says what that would do",
);

const LIST: Operation = Operation::new(
    Get,
    "/v1/deployments",
    Needs(Action::Read, Target::Listed),
    "listDeployments",
    "Deployments, newest first",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}",
    Needs(Action::Read, Target::Deployment),
    "getDeployment",
    "A deployment",
);

const LOGS: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/logs",
    Needs(Action::Read, Target::Deployment),
    "getLogs",
    "Lines of a deployment's log, oldest first",
);

const MANIFESTS: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/manifests",
    Needs(Action::Read, Target::Deployment),
    "getManifests",
    "What a deployment applies; YAML with `Accept: application/yaml`",
);

const PLAN: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/plan",
    Needs(Action::Read, Target::Deployment),
    "getPlan",
    "The plan that a deployment executes",
);

const CANCEL: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/cancel",
    Needs(Action::Steer, Target::Deployment),
    "cancelDeployment",
    "Ends a deployment, and brings back what ran before",
);

const RESUME: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/resume",
    Needs(Action::Steer, Target::Deployment),
    "resumeDeployment",
    "Has a rollout go on that was paused, by its strategy or by somebody",
);

const PAUSE: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/pause",
    Needs(Action::Steer, Target::Deployment),
    "pauseDeployment",
    "Has a rollout stop where it is, until it is resumed",
);

const PROMOTE: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/promote",
    Needs(Action::Steer, Target::Deployment),
    "promoteDeployment",
    "Has a rollout go on without waiting: over one step, or to its end",
);

const RETRY: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/retry",
    Needs(Action::Steer, Target::Deployment),
    "retryDeployment",
    "Has a rollout that has stopped upon a failure try that again",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(DEPLOY, deploy)
        .add(LIST, list)
        .add(GET, get)
        .add(LOGS, logs)
        .add(MANIFESTS, manifests)
        .add(PLAN, plan)
        .add(CANCEL, cancel)
        .add(RESUME, resume)
        .add(PAUSE, pause)
        .add(PROMOTE, promote)
        .add(RETRY, retry)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DryRun {
    /// Do nothing; answer with the plan.
    #[serde(default)]
    pub(super) dry_run: bool,
}

pub(super) type PlannedOrAccepted = Either<Found<PlanView>, Accepted<DeploymentRecord>>;

async fn deploy(
    api: Api,
    asked: Asked<Nothing, DryRun, Json<DeployRequest>>,
) -> Result<PlannedOrAccepted, Box<Problem>> {
    let Json(request) = asked.body;
    if asked.query.dry_run {
        return Ok(Either::First(Found(api.engine().plan(&request).await?)));
    }
    let record = api.engine().deploy(&asked.caller, request).await?;
    Ok(Either::Second(accepted(record)))
}

pub(super) fn accepted(record: DeploymentRecord) -> Accepted<DeploymentRecord> {
    let location = format!("/v1/deployments/{}", record.id);
    Accepted { value: record, location }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Only of this environment: `application/environment`.
    environment: Option<EnvironmentId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Deployments on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn list(
    api: Api,
    asked: Asked<Nothing, HistoryQuery>,
) -> Result<Found<HistoryPage>, Box<Problem>> {
    let asker = asked.asker()?;
    let HistoryQuery { environment, cursor, limit } = asked.query;
    let mut page = api.engine().history(environment.as_ref(), cursor.as_deref(), limit.0).await?;
    page.deployments.retain(|record| asker.sees(&record.environment));
    Ok(Found(page))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Id {
    /// The deployment.
    pub(super) id: DeploymentId,
}

async fn get(api: Api, asked: Asked<Id>) -> Result<Found<DeploymentRecord>, Box<Problem>> {
    Ok(Found(api.engine().deployment(&asked.path.id).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterLine {
    /// Only lines after the one with this sequence.
    #[serde(default)]
    #[schemars(extend("maximum" = u64::MAX))]
    after: u64,
    /// Lines on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn logs(
    api: Api,
    asked: Asked<Id, AfterLine>,
) -> Result<Listed<Vec<LogEntry>>, Box<Problem>> {
    let (id, AfterLine { after, limit }) = (asked.path.id, asked.query);
    // A deployment that has logged nothing is not the same as none.
    api.engine().deployment(&id).await?;
    let page = api.engine().logs(&id, after, limit.0).await?;
    let path = format!("/v1/deployments/{id}/logs?after=");
    let next = limit.next(&page, &path, |line| line.sequence.to_string());
    Ok(Listed { page, next })
}

/// Manifests, as they were asked for.
enum ManifestsAs {
    Json(Manifests),
    Yaml(String),
}

impl Answer for ManifestsAs {
    fn answer(self) -> axum::response::Response {
        let mut response = match self {
            Self::Json(manifests) => Found(manifests).answer(),
            Self::Yaml(text) => Text::<Yaml>::new(text).answer(),
        };
        response.headers_mut().insert(header::VARY, http::HeaderValue::from_static("accept"));
        response
    }

    fn document(generator: &mut schemars::SchemaGenerator) -> Vec<Documented> {
        let mut all = Found::<Manifests>::document(generator);
        let yaml = Text::<Yaml>::document(generator).into_iter().flat_map(|yaml| yaml.content);
        if let Some(first) = all.first_mut() {
            first.content.extend(yaml);
        }
        all
    }
}

async fn manifests(api: Api, asked: Asked<Id>) -> Result<ManifestsAs, Box<Problem>> {
    let manifests = api.engine().manifests(&asked.path.id).await?;
    if !wants_yaml(&asked.headers) {
        return Ok(ManifestsAs::Json(manifests));
    }
    let objects = manifests.of(|_| true);
    let text = to_yaml_documents(&objects).map_err(|error| {
        tracing::error!(%error, "manifests can't be written as YAML");
        Problem::internal()
    })?;
    Ok(ManifestsAs::Yaml(text))
}

/// Whether YAML is what a client names first. Whoever names neither gets JSON.
fn wants_yaml(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .find_map(|range| match range.as_str() {
            "application/yaml" | "application/x-yaml" | "text/yaml" => Some(true),
            "application/json" => Some(false),
            _ => None,
        })
        .unwrap_or(false)
}

async fn plan(api: Api, asked: Asked<Id>) -> Result<Found<Plan>, Box<Problem>> {
    Ok(Found(api.engine().plan_of(&asked.path.id).await?))
}

/// Why a deployment is to end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CancelRequest {
    /// For people.
    reason: Option<String>,
}

async fn cancel(
    api: Api,
    asked: Asked<Id, Nothing, MaybeJson<CancelRequest>>,
) -> Result<Accepted<DeploymentRecord>, Box<Problem>> {
    let MaybeJson(CancelRequest { reason }) = asked.body;
    Ok(accepted(api.engine().cancel(&asked.caller, &asked.path.id, reason).await?))
}

type Steered = Result<Accepted<DeploymentRecord>, Box<Problem>>;

async fn pause(api: Api, asked: Asked<Id, Nothing, MaybeJson<SteerRequest>>) -> Steered {
    let MaybeJson(SteerRequest { reason }) = asked.body;
    steer(&api, &asked.caller, &asked.path.id, Steering::Pause, reason).await
}

async fn resume(api: Api, asked: Asked<Id, Nothing, MaybeJson<SteerRequest>>) -> Steered {
    let MaybeJson(SteerRequest { reason }) = asked.body;
    steer(&api, &asked.caller, &asked.path.id, Steering::Resume, reason).await
}

async fn promote(api: Api, asked: Asked<Id, Nothing, MaybeJson<PromoteRequest>>) -> Steered {
    let MaybeJson(PromoteRequest { skip, reason }) = asked.body;
    steer(&api, &asked.caller, &asked.path.id, Steering::Promote(skip), reason).await
}

async fn retry(api: Api, asked: Asked<Id, Nothing, MaybeJson<SteerRequest>>) -> Steered {
    let MaybeJson(SteerRequest { reason }) = asked.body;
    steer(&api, &asked.caller, &asked.path.id, Steering::Retry, reason).await
}

async fn steer(
    api: &Api,
    caller: &Caller,
    id: &DeploymentId,
    how: Steering,
    reason: Option<String>,
) -> Steered {
    Ok(accepted(api.engine().steer(caller, id, how, reason).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_for_who_asks_for_it_first() {
        for (accept, expected) in [
            ("application/yaml", true),
            ("application/yaml;q=1, application/json", true),
            ("application/json, application/yaml", false),
            ("*/*", false),
            ("text/html, */*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_yaml(&headers), expected, "{accept}");
        }
        assert!(!wants_yaml(&HeaderMap::new()));
    }
}
