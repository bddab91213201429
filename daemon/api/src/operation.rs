//! Declares operations: route, scope, limits and documentation in one place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use http::Method;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::access::Access;
use crate::answer::Answer;
use crate::api::Api;
use crate::asked::Asked;
use crate::body::ReadBody;
use crate::limits::{BODY_BYTES_MAX, LONG_REQUEST_TIMEOUT, REQUEST_TIMEOUT};
use crate::openapi::Description;
use crate::problem::Problem;

/// What an operation is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// As HTTP has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// The verb of a request's method. What GET answers, HEAD does without its body.
    pub(crate) fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            Method::PUT => Some(Self::Put),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    /// Whether it changes anything: then it runs to its end, even when the
    /// client has gone.
    pub(crate) fn writes(self) -> bool {
        self != Self::Get
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// What tells a repeat of a request from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// The `Idempotency-Key`.
    Key,
    /// The id of a Standard Webhook.
    Webhook,
    /// The body of a delivery, which is all that is signed of it.
    Delivery,
}

/// Whose request it is, for how often one may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Of whoever asks, or of their address where nobody knows them.
    Asker,
    /// Of the address that a delivery comes from, apart from what people ask there.
    Sender,
    /// Nobody's: a daemon that is asked too much is no daemon that does not work.
    Nobody,
}

/// An operation, as it is declared. There is no way to declare one without
/// saying what it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// Names it in the OpenAPI document.
    pub(crate) id: &'static str,
    /// A line for a person.
    pub(crate) summary: &'static str,
    /// Bytes of its body.
    pub(crate) body_max: usize,
    /// Until its answer's head.
    pub(crate) timeout: Duration,
    /// Whether its query names things, of which there may be none.
    pub(crate) looks_up: bool,
    /// Whether its body is a secret, of which not even a digest is kept.
    pub(crate) secret: bool,
    /// Whether what it reads is there only in some states of what it is about.
    pub(crate) depends: bool,
    /// What tells a repeat of it from another request, if it writes.
    pub(crate) repeats: Repeats,
    /// Whose request it is.
    pub(crate) counted: Counted,
}

impl Operation {
    /// An operation.
    pub(crate) const fn new(
        verb: Verb,
        path: &'static str,
        access: Access,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let (body_max, timeout) = (BODY_BYTES_MAX, REQUEST_TIMEOUT);
        let (looks_up, secret, depends, repeats) = (false, false, false, Repeats::Key);
        let counted = Counted::Asker;
        Self {
            verb,
            path,
            access,
            id,
            summary,
            body_max,
            timeout,
            looks_up,
            secret,
            depends,
            repeats,
            counted,
        }
    }

    /// The same with another limit for its body.
    pub(crate) const fn body_max(mut self, bytes: usize) -> Self {
        self.body_max = bytes;
        self
    }

    /// The same with names in its query, of things of which there may be none.
    pub(crate) const fn looks_up(mut self) -> Self {
        self.looks_up = true;
        self
    }

    /// The same of what is not there in every state of what it is about.
    pub(crate) const fn depends(mut self) -> Self {
        self.depends = true;
        self
    }

    /// The same with a secret for its body.
    pub(crate) const fn takes_secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same, asked by a Standard Webhook.
    pub(crate) const fn by_webhook(mut self) -> Self {
        self.repeats = Repeats::Webhook;
        self.counted = Counted::Sender;
        self
    }

    /// The same, asked by a forge or a registry in its own words.
    pub(crate) const fn by_delivery(mut self) -> Self {
        self.repeats = Repeats::Delivery;
        self.counted = Counted::Sender;
        self
    }

    /// The same, asked as often as anybody likes.
    pub(crate) const fn uncounted(mut self) -> Self {
        self.counted = Counted::Nobody;
        self
    }

    /// The same with more time.
    pub(crate) const fn takes_long(mut self) -> Self {
        self.timeout = LONG_REQUEST_TIMEOUT;
        self
    }
}

/// All operations of a path: a handful, so that looking through them is quick.
pub(crate) type Declared = BTreeMap<&'static str, Vec<Operation>>;

/// Operations, their routes, and their documentation.
pub(crate) struct Operations {
    router: Router<Api>,
    declared: Declared,
    description: Description,
}

impl Operations {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            declared: Declared::new(),
            description: Description::default(),
        }
    }

    /// Adds an operation. What it is asked with and answers is documented from
    /// the handler's types.
    pub(crate) fn add<P, Q, B, A, H, F>(mut self, operation: Operation, handler: H) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        B: ReadBody + 'static,
        A: Answer + 'static,
        H: Fn(Api, Asked<P, Q, B>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<A, Box<Problem>>> + Send + 'static,
    {
        self.description.operation::<P, Q, B, A>(&operation);
        self.declared.entry(operation.path).or_default().push(operation);
        let run = move |State(api): State<Api>, request: Request| async move {
            run::<P, Q, B, A, H, F>(api, request, handler).await
        };
        self.router = self.router.route(operation.path, on(operation.verb.filter(), run));
        self
    }

    /// Operations of a part of the interface.
    pub(crate) fn with(self, part: fn(Self) -> Self) -> Self {
        part(self)
    }

    /// Takes it apart: routes, declarations, documentation.
    pub(crate) fn finish(self) -> (Router<Api>, Arc<Declared>, serde_json::Value) {
        (self.router, Arc::new(self.declared), self.description.finish())
    }

    /// Makes schemas of a type that no operation has in its signature.
    pub(crate) fn schema_of<T: JsonSchema>(mut self) -> Self {
        let generator: &mut SchemaGenerator = self.description.generator();
        generator.subschema_for::<T>();
        self
    }
}

async fn run<P, Q, B, A, H, F>(api: Api, request: Request, handler: H) -> Response
where
    P: DeserializeOwned,
    Q: DeserializeOwned,
    B: ReadBody,
    A: Answer,
    H: Fn(Api, Asked<P, Q, B>) -> F,
    F: Future<Output = Result<A, Box<Problem>>>,
{
    let (parts, _) = request.into_parts();
    let asked = match Asked::read(parts).await {
        Ok(asked) => asked,
        Err(problem) => return problem.into_response(),
    };
    match handler(api, asked).await {
        Ok(answer) => answer.answer(),
        Err(problem) => problem.into_response(),
    }
}
