//! Sessions: begun with a token of an issuer, ended; and how people log in.

use deployd_core::access::{Action, CanView, Resource, WhoCanView};
use deployd_core::views::{ExchangeRequest, LoginView, NewSession};
use deployd_core::{EnvironmentId, Name};
use deployd_engine::{EngineError, Rights};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::{Known, Needs, Open};
use crate::access::journal_refusal;
use crate::answer::{Created, Done, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::{Code, Problem};
use crate::target::Target;

/// Bytes of an exchange: a token of 16 KiB, and what is asked for with it.
const EXCHANGE_BYTES_MAX: usize = 64 * 1024;

const LOGINS: Operation =
    Operation::new(Get, "/v1/auth/logins", Open, "listLogins", "How people can log in");

const EXCHANGE: Operation = Operation::new(
    Post,
    "/v1/auth/exchange",
    Open,
    "exchangeToken",
    "Gives a session for a token of an issuer, which counts once; its text is in this answer and in that to a repeat with the same key, and nowhere else",
)
.body_max(EXCHANGE_BYTES_MAX)
.takes_secret();

const LOGOUT: Operation = Operation::new(
    Post,
    "/v1/auth/logout",
    Known,
    "endSession",
    "Ends the session that this is asked with; a token stays until it is revoked",
);

const CAN: Operation = Operation::new(
    Get,
    "/v1/auth/can-i",
    Known,
    "canI",
    "Whether whoever asks may do something: to an environment, to an application with all of its environments, or to the installation; and by which role, or by which they could",
)
.looks_up();

const WHO: Operation = Operation::new(
    Get,
    "/v1/auth/who-can",
    Needs(Action::Access, Target::Installation),
    "whoCan",
    "Tokens, and whom role bindings name, that may do something",
)
.looks_up();

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(LOGINS, logins)
        .add(EXCHANGE, exchange)
        .add(LOGOUT, logout)
        .add(CAN, can_i)
        .add(WHO, who_can)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CanQuery {
    /// What.
    action: Action,
    /// To this environment.
    environment: Option<EnvironmentId>,
    /// To this application, with all of its environments, where no environment is named.
    application: Option<Name>,
}

impl CanQuery {
    fn resource(self, rights: &Rights) -> Resource {
        match (self.environment, self.application) {
            (Some(id), _) => rights.environment(id),
            (None, Some(name)) => Resource::Application(name),
            (None, None) => Resource::Installation,
        }
    }
}

async fn can_i(api: Api, asked: Asked<Nothing, CanQuery>) -> Result<Found<CanView>, Box<Problem>> {
    let rights = api.engine().rights(&asked.asker()?.bearer).await?;
    let action = asked.query.action;
    let resource = asked.query.resource(&rights);
    let by = rights.decide(action, &resource);
    let roles = if by.is_some() { Vec::new() } else { rights.roles_with(action) };
    Ok(Found(CanView { action, to: resource.to_string(), by, roles }))
}

async fn who_can(
    api: Api,
    asked: Asked<Nothing, CanQuery>,
) -> Result<Found<WhoCanView>, Box<Problem>> {
    let rights = api.engine().rights(&asked.asker()?.bearer).await?;
    let action = asked.query.action;
    let resource = asked.query.resource(&rights);
    let tokens = api.engine().tokens().await?;
    let who = rights.who_can(action, &resource, &tokens);
    Ok(Found(WhoCanView { action, to: resource.to_string(), who }))
}

async fn logins(api: Api, _: Asked) -> Result<Found<Vec<LoginView>>, Box<Problem>> {
    Ok(Found(api.engine().logins().await?))
}

async fn exchange(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<ExchangeRequest>>,
) -> Result<Created<NewSession>, Box<Problem>> {
    let Json(request) = asked.body;
    match api.engine().exchange(&asked.caller, &request).await {
        Ok(value) => Ok(Created { value, location: None }),
        Err(EngineError::Fault(fault)) if fault.code == "token-refused" => {
            let what = format!("exchangeToken: {}", fault.message);
            journal_refusal(&api, None, asked.caller.source.clone(), &what).await;
            let detail = format!("The token is not believed: {}.", fault.message);
            let mut problem = Problem::new(Code::Unauthenticated, detail);
            problem.challenge = Some(r#"Bearer realm="deployd", error="invalid_token""#);
            Err(problem)
        }
        Err(error) => Err(error.into()),
    }
}

async fn logout(api: Api, asked: Asked) -> Result<Done, Box<Problem>> {
    let session = asked.asker()?.bearer.session;
    api.engine().end_session(&asked.caller, session.as_ref()).await?;
    Ok(Done)
}
