//! Notifications: what subscribers were told, or could not be told.

use deployd_core::DeploymentId;
use deployd_core::access::Action;
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_engine::EngineError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::paging::PageSize;
use crate::access::Access::Needs;
use crate::answer::{Accepted, Found, Listed};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::{Code, Problem};
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/notifications",
    Needs(Action::Read, Target::DeploymentInQuery("deployment")),
    "listNotifications",
    "Messages to subscribers, oldest first",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/notifications/{id}",
    Needs(Action::Read, Target::Installation),
    "getNotification",
    "A message and the last attempts to deliver it",
);

const REDELIVER: Operation = Operation::new(
    Post,
    "/v1/notifications/{id}/redeliver",
    Needs(Action::Redeliver, Target::Installation),
    "redeliverNotification",
    "Delivers a message again",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(GET, get).add(REDELIVER, redeliver)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only messages that stand there.
    status: Option<MessageStatus>,
    /// Only messages about this deployment, those to one subscription together.
    deployment: Option<DeploymentId>,
    /// Only messages after this one.
    after: Option<MessageId>,
    /// Messages on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn list(
    api: Api,
    asked: Asked<Nothing, Filter>,
) -> Result<Listed<Vec<Message>>, Box<Problem>> {
    let Filter { status, deployment, after, limit } = asked.query;
    if let Some(deployment) = deployment {
        if after.is_some() {
            let detail = "after: found together with deployment, expected one of both: \
                          the messages about a deployment are one page";
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        let page = api.engine().messages_about(&deployment, status, limit.0).await;
        let page = page.map_err(|error| unknown("deployment", &deployment.0, error))?;
        return Ok(Listed { page, next: None });
    }
    if let Some(after) = &after {
        let message = api.engine().message(after).await;
        message.map_err(|error| unknown("after", &after.0, error))?;
    }
    let page = api.engine().messages(status, after, limit.0).await?;
    let status = status.map(|status| match status {
        MessageStatus::Pending => "status=pending&",
        MessageStatus::Delivered => "status=delivered&",
        MessageStatus::Dead => "status=dead&",
    });
    let path = format!("/v1/notifications?{}after=", status.unwrap_or_default());
    let next = limit.next(&page, &path, |message| message.id.to_string());
    Ok(Listed { page, next })
}

/// What is asked for names something that is not there.
fn unknown(parameter: &str, name: &str, error: EngineError) -> Box<Problem> {
    match error {
        EngineError::NotFound { .. } => {
            let what = if parameter == "after" { "message" } else { parameter };
            let detail = format!("{parameter}: there is no {what} {name:?}.");
            Problem::new(Code::InvalidRequest, detail)
        }
        error => error.into(),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The message.
    id: MessageId,
}

async fn get(api: Api, asked: Asked<Id>) -> Result<Found<Message>, Box<Problem>> {
    Ok(Found(api.engine().message(&asked.path.id).await?))
}

async fn redeliver(api: Api, asked: Asked<Id>) -> Result<Accepted<Message>, Box<Problem>> {
    let message = api.engine().redeliver(&asked.caller, &asked.path.id).await?;
    let location = format!("/v1/notifications/{}", message.id);
    Ok(Accepted { value: message, location })
}
