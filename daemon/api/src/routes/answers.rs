//! Answers of others to checks that wait for them.

use deployd_core::ports::CheckAnswer;
use deployd_core::{DeploymentId, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Open;
use crate::answer::Done;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Raw;
use crate::operation::{Operation, Operations, Verb::Post};
use crate::problem::{Code, Problem};

/// Bytes of an answer. A verdict and its measurements take a few hundred; who has
/// more to tell gives a link.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

const ANSWER: Operation = Operation::new(
    Post,
    "/v1/deployments/{id}/checks/{check}/answers",
    Open,
    "answerCheck",
    "Answers a check that a rollout waits for: a Standard Webhook, which counts if it is signed with the check's own secret",
)
.body_max(ANSWER_BYTES_MAX)
.by_webhook();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(ANSWER, answer)
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// The deployment.
    id: DeploymentId,
    /// The check, by its name in the environment's type.
    check: Name,
}

async fn answer(api: Api, asked: Asked<Place, Nothing, Raw>) -> Result<Done, Box<Problem>> {
    let Place { id, check } = asked.path;
    let text = |name: &str| {
        let value = asked.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let body = String::from_utf8(asked.body.0.to_vec()).map_err(|_| {
        Problem::new(Code::InvalidRequest, "The body is not UTF-8; an answer is a JSON document.")
    })?;
    let answer = CheckAnswer {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
        body,
        received_ms: api.engine().now().0,
    };
    api.engine().answer_check(&id, &check, answer).await?;
    Ok(Done)
}
