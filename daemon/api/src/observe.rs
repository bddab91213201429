//! What every request and answer has: a name, a span, metrics, headers.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tracing::Instrument as _;

use crate::admission::Gate;
use crate::operation::Verb;
use crate::problem::name_instance;
use crate::request_id::{REQUEST_ID, request_id};
use crate::request_metrics::Labels;
use crate::source::RequestId;

/// The label of requests to paths that are not declared.
const NO_ROUTE: &str = "none";

/// The label of methods that no operation has.
const OTHER_METHOD: &str = "other";

/// Routes that are asked by machines, to know that they are answered.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The outermost layer.
pub(crate) async fn observe(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let matched = request.extensions().get::<MatchedPath>();
    // The declaration's own text, which lives as long as the process.
    let known = matched.and_then(|path| gate.declared.get_key_value(path.as_str()));
    let labels = Labels {
        route: known.map_or(NO_ROUTE, |(path, _)| *path),
        method: Verb::of(request.method()).map_or(OTHER_METHOD, Verb::as_str),
    };
    // Neither the path nor the query as sent: either may hold what somebody
    // pasted in by mistake.
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = labels.method,
        route = labels.route,
        actor = tracing::field::Empty,
    );
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = name_instance(response, &id);
    let status = response.status().as_u16();
    let took = began.elapsed();
    gate.api.shared().requests.answered(labels, status, took);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        // Probes come every few seconds and say the same each time.
        if PROBES.contains(&labels.route) && response.status().is_success() {
            tracing::debug!(status, took_ms, "answered");
        } else {
            tracing::info!(status, took_ms, "answered");
        }
    });
    harden(response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// What the page may do: run its own script, use its own style, ask its own
/// server. Answers that are no page may do nothing at all.
const POLICY_PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const POLICY_DATA: &str = "default-src 'none'; frame-ancestors 'none'";

fn harden(headers: &mut HeaderMap) {
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { POLICY_PAGE } else { POLICY_DATA };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Answers depend on the token, and some hold what is shown only once.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
