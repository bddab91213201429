//! What a handler gets: who asks, and the parameters and body in their types.

use std::collections::BTreeMap;

use axum::RequestPartsExt as _;
use axum::extract::{Query, RawPathParams};
use deployd_engine::Caller;
use http::HeaderMap;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, MapDeserializer};

use crate::access::Asker;
use crate::body::ReadBody;
use crate::problem::{Code, Problem, ProblemItem};

/// A request to an operation, read.
pub(crate) struct Asked<P = Nothing, Q = Nothing, B = Nothing> {
    /// Who asks, and the idempotency key.
    pub(crate) caller: Caller,
    /// What they may do; none where the operation is open.
    asker: Option<Asker>,
    /// Parameters of the path.
    pub(crate) path: P,
    /// Parameters of the query.
    pub(crate) query: Q,
    /// The body.
    pub(crate) body: B,
    /// All headers.
    pub(crate) headers: HeaderMap,
}

/// No parameters, no body.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What [`admission`](crate::admission) hands to the handler: without it, no
/// handler runs.
#[derive(Clone)]
pub(crate) struct Admitted {
    /// Who asks.
    pub(crate) caller: Caller,
    /// What they may do.
    pub(crate) asker: Option<Asker>,
    /// The body, within its limit.
    pub(crate) body: bytes::Bytes,
}

impl<P, Q, B> Asked<P, Q, B>
where
    P: DeserializeOwned,
    Q: DeserializeOwned,
    B: ReadBody,
{
    /// Reads what was admitted.
    pub(crate) async fn read(mut parts: Parts) -> Result<Self, Box<Problem>> {
        let Some(Admitted { caller, asker, body }) = parts.extensions.remove() else {
            tracing::error!("a request reached its handler without being admitted");
            return Err(Problem::internal());
        };
        let path = path(&mut parts).await?;
        let query = Query::<Q>::try_from_uri(&parts.uri).map_err(|rejection| {
            let text = rejection.body_text();
            let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            Problem::new(Code::InvalidParameter, format!("The query is not valid: {why}."))
        })?;
        let body = B::read(&parts.headers, body)?;
        Ok(Self { caller, asker, path, query: query.0, body, headers: parts.headers })
    }
}

impl<P, Q, B> Asked<P, Q, B> {
    /// Who asks, of an operation that needs somebody.
    pub(crate) fn asker(&self) -> Result<Asker, Box<Problem>> {
        self.asker.clone().ok_or_else(|| {
            tracing::error!("an operation that is open asks who it is asked by");
            Problem::internal()
        })
    }
}

async fn path<P: DeserializeOwned>(parts: &mut Parts) -> Result<P, Box<Problem>> {
    let params: BTreeMap<String, String> = match parts.extract::<RawPathParams>().await {
        Ok(params) => {
            params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
        Err(rejection) => {
            return Err(Problem::new(Code::InvalidParameter, rejection.body_text()));
        }
    };
    // All of them are texts; one at a time would tell which one is wrong.
    P::deserialize(MapDeserializer::<_, ValueError>::new(params.into_iter())).map_err(|error| {
        let message = error.to_string();
        let item = ProblemItem { message: message.clone(), ..ProblemItem::default() };
        Problem::new(Code::InvalidParameter, format!("The path is not valid: {message}."))
            .with_errors(vec![item])
    })
}
