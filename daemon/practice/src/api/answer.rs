//! HTTP answers.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;

use crate::status::ApiError;

/// Why a body broke off on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection was dropped on purpose")]
pub(crate) struct Dropped;

/// A body, whole or streamed.
pub(crate) type Body = UnsyncBoxBody<Bytes, Dropped>;

/// A whole body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|error: Infallible| match error {}).boxed_unsync()
}

/// A JSON answer.
pub(crate) fn json(code: u16, value: &impl Serialize) -> Response<Body> {
    // Nothing that is answered has keys that are no text, or can fail otherwise.
    typed(code, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// A plain text answer.
pub(crate) fn text(code: u16, text: impl Into<Bytes>) -> Response<Body> {
    typed(code, "text/plain; charset=utf-8", text)
}

/// An answer of some type.
pub(crate) fn typed(code: u16, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// The answer of an error.
pub(crate) fn error(error: &ApiError) -> Response<Body> {
    if *error == ApiError::no_such_path() {
        return text(404, "404 page not found\n");
    }
    let mut response = json(error.code, &error.to_json());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds the warnings that a write gave.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
