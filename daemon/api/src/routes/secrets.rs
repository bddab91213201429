//! Secrets that an operator sets or links, and their keys. Values go in and
//! never come out.

use deployd_core::Name;
use deployd_core::access::Action;
use deployd_core::secret::{KeyReport, Link, SecretValue};
use deployd_core::views::{LinkedSecret, SecretView};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::{Done, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::{Json, Raw};
use crate::limits::SECRET_BYTES_MAX;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post, Verb::Put};
use crate::problem::{Code, Problem};
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/secrets",
    Needs(Action::Secrets, Target::Installation),
    "listSecrets",
    "Secrets that are set or linked, without their values",
);

const SET: Operation = Operation::new(
    Put,
    "/v1/secrets/{name}",
    Needs(Action::Secrets, Target::Installation),
    "setSecret",
    "Sets a secret to the bytes of the body",
)
.body_max(SECRET_BYTES_MAX)
.takes_secret();

const LINK: Operation = Operation::new(
    Put,
    "/v1/secrets/{name}/link",
    Needs(Action::Secrets, Target::Installation),
    "linkSecret",
    "Has a secret stand for a value that is kept elsewhere, and is looked up when it is used",
);

const KEYS: Operation = Operation::new(
    Get,
    "/v1/secret-keys",
    Needs(Action::Secrets, Target::Installation),
    "listSecretKeys",
    "The keys that secrets are encrypted with, without the keys",
);

const ROTATE: Operation = Operation::new(
    Post,
    "/v1/secret-keys/rotate",
    Needs(Action::Secrets, Target::Installation),
    "rotateSecretKey",
    "Makes a new key and wraps every secret with it; finishes a rotation that was interrupted",
)
.takes_long();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(SET, set).add(LINK, link).add(KEYS, keys).add(ROTATE, rotate)
}

async fn list(api: Api, _: Asked) -> Result<Found<Vec<SecretView>>, Box<Problem>> {
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

/// Where a secret is kept.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinkSecret {
    /// The place.
    from: Link,
}

async fn link(
    api: Api,
    asked: Asked<SecretName, Nothing, Json<LinkSecret>>,
) -> Result<Found<LinkedSecret>, Box<Problem>> {
    let Json(LinkSecret { from }) = asked.body;
    Ok(Found(api.engine().link_secret(&asked.caller, &asked.path.name, &from).await?))
}

async fn keys(api: Api, _: Asked) -> Result<Found<KeyReport>, Box<Problem>> {
    Ok(Found(api.engine().secret_keys().await?))
}

async fn rotate(api: Api, asked: Asked) -> Result<Found<KeyReport>, Box<Problem>> {
    Ok(Found(api.engine().rotate_secret_key(&asked.caller).await?))
}
