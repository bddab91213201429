//! Sessions: begun with a token of an issuer, ended; and how people log in.

use deployd_core::views::{ExchangeRequest, LoginView, NewSession};
use deployd_engine::EngineError;

use crate::access::Access::{Known, Open};
use crate::access::journal_refusal;
use crate::answer::{Created, Done, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::{Code, Problem};

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

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LOGINS, logins).add(EXCHANGE, exchange).add(LOGOUT, logout)
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
