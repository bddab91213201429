//! Tokens, and who one is.

use deployd_core::Name;
use deployd_core::views::{NewToken, TokenScope, TokenView};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::{Created, Done, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Delete, Verb::Get, Verb::Post};
use crate::problem::Problem;

const LIST: Operation = Operation::new(
    Get,
    "/v1/tokens",
    Needs(TokenScope::Admin),
    "listTokens",
    "Tokens, without what they are recognised by",
);

const CREATE: Operation = Operation::new(
    Post,
    "/v1/tokens",
    Needs(TokenScope::Admin),
    "createToken",
    "Makes a token; its text is in this answer and in that to a repeat with the same key, and nowhere else",
);

const REVOKE: Operation = Operation::new(
    Delete,
    "/v1/tokens/{name}",
    Needs(TokenScope::Admin),
    "revokeToken",
    "Ends a token",
);

const WHOAMI: Operation = Operation::new(
    Get,
    "/v1/whoami",
    Needs(TokenScope::Read),
    "whoAmI",
    "The token that this is asked with",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(CREATE, create).add(REVOKE, revoke).add(WHOAMI, whoami)
}

async fn list(api: Api, _: Asked) -> Result<Found<Vec<TokenView>>, Box<Problem>> {
    Ok(Found(api.engine().tokens().await?))
}

/// A token to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateToken {
    /// Its name: the actor of what is done with it.
    name: Name,
    /// What it may do.
    scope: TokenScope,
}

async fn create(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<CreateToken>>,
) -> Result<Created<NewToken>, Box<Problem>> {
    let Json(CreateToken { name, scope }) = asked.body;
    let value = api.engine().create_token(&asked.caller, &name, scope).await?;
    Ok(Created { value, location: None })
}

#[derive(Deserialize, JsonSchema)]
struct TokenName {
    /// The token.
    name: Name,
}

async fn revoke(api: Api, asked: Asked<TokenName>) -> Result<Done, Box<Problem>> {
    api.engine().revoke_token(&asked.caller, &asked.path.name).await?;
    Ok(Done)
}

async fn whoami(_: Api, asked: Asked) -> Result<Found<TokenView>, Box<Problem>> {
    // It needs a scope, so that there is a token.
    asked.token.map(Found).ok_or_else(Problem::internal)
}
