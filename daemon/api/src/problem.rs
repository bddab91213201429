//! Problem details (RFC 9457): every answer that is no success.

mod code;
mod engine;

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use code::Code;

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request had no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Names the kind of problem: an identifier, not an address.
    #[serde(rename = "type")]
    pub problem_type: Cow<'static, str>,
    /// The kind of problem, for a person; the same each time.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time, for a person.
    pub detail: String,
    /// Names this occurrence: the request, as logs name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The kind of problem, for programs.
    pub code: Code,
    /// The code of the recorded fault, where there is one: `image-pull-failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All that is wrong with what was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemItem>,
    /// When to come back, in seconds.
    #[serde(skip)]
    pub(crate) retry_after: Option<u32>,
    /// What `WWW-Authenticate` says.
    #[serde(skip)]
    pub(crate) challenge: Option<&'static str>,
    /// What `Allow` says.
    #[serde(skip)]
    pub(crate) allow: Option<String>,
}

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemItem {
    /// The file, of those that were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1, in the file or else in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The document: `Environment shop/development`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The field, parameter or place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// All of it in a sentence.
    pub message: String,
    /// What to do about it, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a kind. In a box: it is large, and results should not be.
    pub fn new(code: Code, detail: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            problem_type: code.problem_type().into(),
            title: code.title().into(),
            status: code.status().as_u16(),
            detail: detail.into(),
            instance: None,
            code,
            reason: None,
            errors: Vec::new(),
            retry_after: None,
            challenge: None,
            allow: None,
        })
    }

    /// What must not be told to clients: it is in the log, under the request's id.
    pub(crate) fn internal() -> Box<Self> {
        let detail = "deployd failed at this request; its log has more, under the request's id.";
        Self::new(Code::Internal, detail)
    }

    /// With all that is wrong.
    #[must_use]
    pub(crate) fn with_errors(mut self: Box<Self>, errors: Vec<ProblemItem>) -> Box<Self> {
        self.errors = errors;
        self
    }

    /// With a wish when to come back.
    #[must_use]
    pub(crate) fn retry_after(mut self: Box<Self>, seconds: u32) -> Box<Self> {
        self.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for Box<Problem> {
    fn into_response(self) -> Response {
        // Texts and numbers: there is nothing in it that can't be JSON.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = HeaderValue::from_static(PROBLEM_JSON);
        let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|allow| allow.parse().ok()) {
            headers.insert(header::ALLOW, allow);
        }
        // Whoever knows the request's id fills it in.
        response.extensions_mut().insert(Told(self));
        response
    }
}

/// The problem that a response tells of, beside its bytes.
#[derive(Clone)]
pub(crate) struct Told(Box<Problem>);

/// Names the request in the problem that a response tells of, if it does.
pub(crate) fn name_instance(mut response: Response, request_id: &str) -> Response {
    let Some(Told(mut problem)) = response.extensions_mut().remove() else { return response };
    problem.instance = Some(format!("urn:deployd:request:{request_id}"));
    let headers = std::mem::take(response.headers_mut());
    let mut named = problem.into_response();
    named.extensions_mut().remove::<Told>();
    named.headers_mut().extend(headers.into_iter().filter_map(|(name, value)| {
        // The body has another length now.
        name.filter(|name| *name != header::CONTENT_LENGTH).map(|name| (name, value))
    }));
    named
}
