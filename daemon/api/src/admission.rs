//! Admits requests to operations: the one layer that all of them pass.
//!
//! In this order: is the operation declared; who asks, not too often, and may they do
//! that at all;
//! does the body keep its limits; may they do it to what the request is about; then
//! the operation, within its time. What fails any
//! of it reaches no handler, and a handler runs only with what is handed over
//! here.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use deployd_core::Actor;
use deployd_engine::{Caller, Idempotency};
use futures::FutureExt as _;
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::access::{authenticate, authorize};
use crate::api::Api;
use crate::asked::Admitted;
use crate::idempotency::{IDEMPOTENCY_KEY, idempotency};
use crate::limits::{
    BODIES_UNIT, BODY_BYTES_MAX, BODY_TIMEOUT, LARGE_BODY_TIMEOUT, RETRY_AFTER_SECONDS,
    URI_BYTES_MAX,
};
use crate::operation::{Declared, Operation, Verb};
use crate::problem::{Code, Problem};
use crate::source::source;

/// What admission knows.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) api: Api,
    pub(crate) declared: Arc<Declared>,
}

/// The layer.
pub(crate) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.pass(request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

impl Gate {
    async fn pass(&self, request: Request, next: Next) -> Result<Response, Box<Problem>> {
        let operation = self.operation(&request)?;
        let (mut parts, body) = request.into_parts();
        let asker = authenticate(&self.api, &operation, &parts).await?;
        let (actor, groups) = match &asker {
            Some(asker) => (asker.bearer.actor.clone(), asker.bearer.claimed.clone()),
            None => (Actor("anonymous".to_owned()), BTreeSet::new()),
        };
        tracing::Span::current().record("actor", actor.0.as_str());
        // Held until the answer: the body is in memory that long.
        let (body, _permit) = self.body(&operation, body).await?;
        if let Some(asker) = &asker {
            authorize(&self.api, operation.access, asker, &mut parts, &body).await?;
        }
        let mut caller = Caller { groups, source: Some(source(&parts)), ..Caller::new(actor) };
        if operation.verb.writes() {
            caller.idempotency = self.idempotency(&operation, &parts, &caller.actor, &body).await?;
        }
        let turn = caller.idempotency.as_ref().map(|idempotency| idempotency.key.clone());
        parts.extensions.insert(Admitted { caller, asker, body });
        let request = Request::from_parts(parts, Body::empty());
        let turns = self.api.shared().turns.clone();
        let work = async move {
            let _turn = match turn {
                Some(key) => Some(turns.of(key).await),
                None => None,
            };
            next.run(request).await
        };
        run(operation, work).await
    }

    /// The idempotency key of a write, if it has one.
    async fn idempotency(
        &self,
        operation: &Operation,
        parts: &Parts,
        actor: &Actor,
        body: &[u8],
    ) -> Result<Option<Idempotency>, Box<Problem>> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let of =
            |content: &[u8]| idempotency(&parts.headers, actor, &parts.method, target, content);
        if operation.secret && parts.headers.contains_key(IDEMPOTENCY_KEY) {
            return of(self.api.engine().secret_digest(body).await?.as_bytes());
        }
        of(body)
    }

    /// The declaration of what is asked for.
    fn operation(&self, request: &Request) -> Result<Operation, Box<Problem>> {
        let uri = request.uri();
        let length = uri.path_and_query().map_or(0, |target| target.as_str().len());
        if length > URI_BYTES_MAX {
            let detail =
                format!("Path and query have {length} bytes; {URI_BYTES_MAX} are allowed.");
            return Err(Problem::new(Code::UriTooLong, detail));
        }
        let path = request.extensions().get::<MatchedPath>();
        let Some(operations) = path.and_then(|path| self.declared.get(path.as_str())) else {
            let detail = "There is no such path; /openapi.json has all there are.";
            return Err(Problem::new(Code::RouteNotFound, detail));
        };
        let verb = Verb::of(request.method());
        let found = operations.iter().find(|operation| Some(operation.verb) == verb);
        found.copied().ok_or_else(|| {
            let verbs: Vec<&str> = operations.iter().map(|known| known.verb.as_str()).collect();
            let allow = verbs.join(", ");
            let detail = format!("The path has {allow}.");
            let mut problem = Problem::new(Code::MethodNotAllowed, detail);
            problem.allow = Some(allow);
            problem
        })
    }

    /// The body of a request that may have one.
    async fn body(
        &self,
        operation: &Operation,
        body: Body,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Box<Problem>> {
        if !operation.verb.writes() {
            return Ok((Bytes::new(), None));
        }
        let max = operation.body_max;
        let too_large = || {
            let detail = format!("The body is larger than the {max} bytes that are allowed here.");
            Problem::new(Code::BodyTooLarge, detail)
        };
        // What says that it is too large need not be read to know.
        if body.size_hint().lower() > max as u64 {
            return Err(too_large());
        }
        let is_large = body.size_hint().upper().is_none_or(|upper| upper > BODY_BYTES_MAX as u64);
        let (permit, time) = if max > BODY_BYTES_MAX && is_large {
            let permit = self.api.shared().large_bodies.try_acquire().map_err(|_| {
                let detail = "Other large bodies are being read; come back later.";
                Problem::new(Code::Busy, detail).retry_after(RETRY_AFTER_SECONDS)
            })?;
            (permit, LARGE_BODY_TIMEOUT)
        } else {
            // As much as it says that it has, or else as much as it may have.
            let bytes = body.size_hint().upper().unwrap_or(u64::MAX).min(max as u64);
            let units = u32::try_from(bytes.div_ceil(BODIES_UNIT as u64)).unwrap_or(u32::MAX);
            let permit = self.api.shared().bodies.try_acquire_many(units).map_err(|_| {
                let detail = "Too many bodies are being read; come back later.";
                Problem::new(Code::Busy, detail).retry_after(RETRY_AFTER_SECONDS)
            })?;
            (permit, BODY_TIMEOUT)
        };
        match timeout(time, Limited::new(body, max).collect()).await {
            Ok(Ok(collected)) => Ok((collected.to_bytes(), Some(permit))),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => {
                Err(Problem::new(Code::IncompleteBody, "The body ended before it was complete."))
            }
            Err(_) => {
                let detail = format!("The body did not arrive within {} seconds.", time.as_secs());
                Err(Problem::new(Code::BodyTimeout, detail))
            }
        }
    }
}

/// Runs an operation within its time.
async fn run(
    operation: Operation,
    work: impl Future<Output = Response> + Send + 'static,
) -> Result<Response, Box<Problem>> {
    let work = AssertUnwindSafe(work).catch_unwind().in_current_span();
    // What writes is not left half-way because its client has gone or time is
    // up: it runs to its end, and a repeat with the same key has its answer.
    let ended = if operation.verb.writes() {
        let mut task = tokio::spawn(work);
        timeout(operation.timeout, &mut task).await.map(|joined| joined.map_err(|_| ()))
    } else {
        timeout(operation.timeout, work).await.map(Ok)
    };
    match ended {
        Ok(Ok(Ok(response))) => Ok(response),
        Ok(_) => {
            tracing::error!(operation = operation.id, "an operation panicked");
            Err(Problem::internal())
        }
        Err(_) => {
            let detail = if operation.verb.writes() {
                "It takes longer than expected, and may still happen; repeat it with the same Idempotency-Key."
            } else {
                "It takes longer than expected; come back later."
            };
            Err(Problem::new(Code::TimedOut, detail).retry_after(RETRY_AFTER_SECONDS))
        }
    }
}
