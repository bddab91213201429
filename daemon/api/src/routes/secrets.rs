//! Secrets that an operator sets. Values go in and never come out.

use deployd_core::Name;
use deployd_core::secret::SecretValue;
use deployd_core::views::TokenScope;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::{Done, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Raw;
use crate::limits::SECRET_BYTES_MAX;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Put};
use crate::problem::{Code, Problem};

const LIST: Operation = Operation::new(
    Get,
    "/v1/secrets",
    Needs(TokenScope::Admin),
    "listSecrets",
    "Names of the secrets that are set",
);

const SET: Operation = Operation::new(
    Put,
    "/v1/secrets/{name}",
    Needs(TokenScope::Admin),
    "setSecret",
    "Sets a secret to the bytes of the body",
)
.body_max(SECRET_BYTES_MAX)
.takes_secret();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(SET, set)
}

async fn list(api: Api, _: Asked) -> Result<Found<Vec<String>>, Box<Problem>> {
    Ok(Found(api.engine().secrets().await?))
}

#[derive(Deserialize, JsonSchema)]
struct SecretName {
    /// The secret.
    name: Name,
}

async fn set(api: Api, asked: Asked<SecretName, Nothing, Raw>) -> Result<Done, Box<Problem>> {
    let Raw(body) = asked.body;
    if body.is_empty() {
        let detail = "The body is empty; its bytes are the secret's value.";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let value = SecretValue::new(body.to_vec());
    api.engine().set_secret(&asked.caller, &asked.path.name, value).await?;
    Ok(Done)
}
