//! People who agree to plans, who go on without, and who look at that afterwards.

use deployd_core::access::Action;
use deployd_core::approval::{
    ApprovalRequest, ApprovalView, BreakGlassRequest, DelegateRequest, Delegation, LinkDecision,
    LinkLook, LinkView, Review, ReviewRequest, Waiting,
};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::{Actor, DeploymentId, EnvironmentId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::deployments::accepted;
use crate::access::Access::{Needs, Open};
use crate::answer::{Accepted, Done, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Delete, Verb::Get, Verb::Post, Verb::Put};
use crate::problem::Problem;
use crate::target::Target;

/// Bytes of what is sent with a link.
const LINK_BODY_BYTES_MAX: usize = 16 * 1024;

const LIST: Operation = Operation::new(
    Get,
    "/v1/approvals",
    Needs(Action::Read, Target::Listed),
    "listApprovals",
    "Deployments that wait for approvals, and whose",
);

const SHOW: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/approval",
    Needs(Action::Read, Target::Deployment),
    "getApproval",
    "What a deployment waits for, its plan, how that differs from the one that was asked for before, and whether whoever asks may approve it",
)
.depends();

const DECIDE: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/approval",
    Needs(Action::Approve, Target::Deployment),
    "decideApproval",
    "Approves a deployment's plan, refuses it, or takes an approval back",
);

const BREAK: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/break-glass",
    Needs(Action::BreakGlass, Target::Deployment),
    "breakGlass",
    "Goes on with a plan that not all have approved; stays open as a review",
);

const REVIEWS: Operation = Operation::new(
    Get,
    "/v1/reviews",
    Needs(Action::Read, Target::Listed),
    "listReviews",
    "Deployments that went on without approvals, and that nobody has looked at since; or all such",
);

const REVIEW: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/review",
    Needs(Action::Approve, Target::Deployment),
    "reviewDeployment",
    "Closes a review with what was found; not by who went on without approvals",
);

const DELEGATIONS: Operation = Operation::new(
    Get,
    "/v1/delegations",
    Needs(Action::Read, Target::Anywhere),
    "listDelegations",
    "Who may approve in whose place now",
);

const DELEGATE: Operation = Operation::new(
    Put,
    "/v1/delegations/{to}",
    Needs(Action::Approve, Target::Anywhere),
    "delegateApprovals",
    "Has somebody approve in the place of whoever asks, until a time",
);

const UNDELEGATE: Operation = Operation::new(
    Delete,
    "/v1/delegations/{to}",
    Needs(Action::Approve, Target::Anywhere),
    "undelegateApprovals",
    "Takes that back",
);

const LOOK: Operation = Operation::new(
    Post,
    "/v1/approval-links/look",
    Open,
    "lookAtApprovalLink",
    "What the link of a message would approve; nothing is approved by looking",
)
.body_max(LINK_BODY_BYTES_MAX);

const USE: Operation = Operation::new(
    Post,
    "/v1/approval-links/use",
    Open,
    "useApprovalLink",
    "Approves or refuses by the link of a message, once",
)
.body_max(LINK_BODY_BYTES_MAX);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(LIST, list)
        .add(SHOW, show)
        .add(DECIDE, decide)
        .add(BREAK, break_glass)
        .add(REVIEWS, reviews)
        .add(REVIEW, review)
        .add(DELEGATIONS, delegations)
        .add(DELEGATE, delegate)
        .add(UNDELEGATE, undelegate)
        .add(LOOK, look)
        .add(USE, by_link)
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The deployment.
    id: DeploymentId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only of this environment.
    environment: Option<EnvironmentId>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReviewsQuery {
    /// Also those that are closed.
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize, JsonSchema)]
struct To {
    /// Who.
    to: Actor,
}

async fn list(
    api: Api,
    asked: Asked<Nothing, ListQuery>,
) -> Result<Found<Vec<Waiting>>, Box<Problem>> {
    let asker = asked.asker()?;
    let mut all = api.engine().approvals(asked.query.environment.as_ref()).await?;
    all.retain(|waiting| asker.sees(&waiting.environment));
    Ok(Found(all))
}

async fn show(api: Api, asked: Asked<Id>) -> Result<Found<ApprovalView>, Box<Problem>> {
    Ok(Found(api.engine().approval(&asked.caller, &asked.path.id).await?))
}

type Decided = Result<Accepted<DeploymentRecord>, Box<Problem>>;

async fn decide(api: Api, asked: Asked<Id, Nothing, Json<ApprovalRequest>>) -> Decided {
    let Json(request) = asked.body;
    Ok(accepted(api.engine().decide(&asked.caller, &asked.path.id, request).await?))
}

async fn break_glass(api: Api, asked: Asked<Id, Nothing, Json<BreakGlassRequest>>) -> Decided {
    let Json(request) = asked.body;
    Ok(accepted(api.engine().break_glass(&asked.caller, &asked.path.id, request).await?))
}

async fn reviews(
    api: Api,
    asked: Asked<Nothing, ReviewsQuery>,
) -> Result<Found<Vec<Review>>, Box<Problem>> {
    let (asker, mut all) = (asked.asker()?, api.engine().reviews(asked.query.all).await?);
    all.retain(|review| asker.sees(&review.environment));
    Ok(Found(all))
}

async fn review(
    api: Api,
    asked: Asked<Id, Nothing, Json<ReviewRequest>>,
) -> Result<Found<Review>, Box<Problem>> {
    let Json(request) = asked.body;
    Ok(Found(api.engine().review(&asked.caller, &asked.path.id, request).await?))
}

async fn delegations(api: Api, _: Asked) -> Result<Found<Vec<Delegation>>, Box<Problem>> {
    Ok(Found(api.engine().delegations().await?))
}

async fn delegate(
    api: Api,
    asked: Asked<To, Nothing, Json<DelegateRequest>>,
) -> Result<Found<Delegation>, Box<Problem>> {
    let Json(request) = asked.body;
    Ok(Found(api.engine().delegate(&asked.caller, &asked.path.to, request).await?))
}

async fn undelegate(api: Api, asked: Asked<To>) -> Result<Done, Box<Problem>> {
    api.engine().undelegate(&asked.caller, &asked.path.to).await?;
    Ok(Done)
}

async fn look(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<LinkLook>>,
) -> Result<Found<LinkView>, Box<Problem>> {
    let Json(LinkLook { link }) = asked.body;
    Ok(Found(api.engine().approval_link(&asked.caller, &link).await?))
}

async fn by_link(api: Api, asked: Asked<Nothing, Nothing, Json<LinkDecision>>) -> Decided {
    let Json(request) = asked.body;
    Ok(accepted(api.engine().approve_by_link(&asked.caller, request).await?))
}
