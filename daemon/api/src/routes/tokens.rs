//! Tokens, and who one is.

use deployd_core::Name;
use deployd_core::access::Action;
use deployd_core::views::{NewToken, TokenScope, TokenView, WhoAmI};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::{Known, Needs};
use crate::answer::{Created, Done, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Delete, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/tokens",
    Needs(Action::Access, Target::Installation),
    "listTokens",
    "Tokens, without what they are recognised by",
);

const CREATE: Operation = Operation::new(
    Post,
    "/v1/tokens",
    Needs(Action::Access, Target::Installation),
    "createToken",
    "Makes a token; its text is in this answer and in that to a repeat with the same key, and nowhere else",
);

const REVOKE: Operation = Operation::new(
    Delete,
    "/v1/tokens/{name}",
    Needs(Action::Access, Target::Installation),
    "revokeToken",
    "Ends a token",
);

const WHOAMI: Operation =
    Operation::new(Get, "/v1/whoami", Known, "whoAmI", "Who this is asked by");

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

async fn whoami(api: Api, asked: Asked) -> Result<Found<WhoAmI>, Box<Problem>> {
    let bearer = asked.asker()?.bearer;
    let rights = api.engine().rights(&bearer).await?;
    Ok(Found(WhoAmI {
        groups: rights.groups().clone(),
        name: bearer.actor,
        scope: bearer.scope,
        issuer: bearer.issuer,
        narrowed: bearer.narrowed,
        created_by: bearer.created_by,
        created: bearer.created,
        expires: bearer.expires,
    }))
}
