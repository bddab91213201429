//! Requests, from the connection to the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::answer::{self, Body, Dropped};
use super::listing::Pages;
use super::negotiation::{self, Form};
use super::path::{self, Path, Target};
use super::query::Query;
use super::{access, discovery, openapi, verbs};
use crate::auth::User;
use crate::cluster::Cluster;
use crate::faults::{self, Fault};
use crate::protobuf;
use crate::requests::SeenRequest;
use crate::status::{ApiError, ApiResult};

/// The largest body, as on a real server.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// What comes before a token in a path. `kubectl` sends no credentials over
/// plain HTTP, so the kubeconfig has the token in the server's path as well.
pub(crate) const PATH_TOKEN: &str = "/token/";

/// The state of the API.
#[derive(Debug)]
pub(crate) struct Api {
    /// The cluster behind it.
    pub(crate) cluster: Arc<Cluster>,
    /// Lists that are being read page by page.
    pub(crate) pages: Pages,
}

/// A request, read.
#[derive(Debug)]
pub(crate) struct Call {
    /// The method.
    pub(crate) method: http::Method,
    /// The path.
    pub(crate) path: String,
    /// The parameters.
    pub(crate) query: Query,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// The token that the path began with.
    pub(crate) path_token: Option<String>,
    /// Who asks.
    pub(crate) user: User,
}

/// The path without the prefix that holds a token, and the token.
fn without_token(path: &str) -> (String, Option<String>) {
    match path.strip_prefix(PATH_TOKEN) {
        Some(rest) => {
            let (token, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (rest.to_owned(), Some(token.to_owned()))
        }
        None => (path.to_owned(), None),
    }
}

impl Call {
    /// A header's text, empty when it is not there.
    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        text_of(&self.headers, name)
    }

    /// The type of the body without its parameters.
    pub(crate) fn content_type(&self) -> &str {
        let whole = self.header(header::CONTENT_TYPE);
        whole.split(';').next().unwrap_or_default().trim()
    }

    /// The form of the answer that the client wants.
    pub(crate) fn form(&self) -> ApiResult<Form> {
        negotiation::form(self.header(header::ACCEPT))
    }

    /// The body as an object.
    pub(crate) fn object(&self) -> ApiResult<serde_json::Value> {
        let is_protobuf = match self.content_type() {
            "" | "application/json" | "application/yaml" => false,
            protobuf::MEDIA_TYPE => true,
            _ => {
                let accepted = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];
                return Err(ApiError::unsupported_media(&accepted));
            }
        };
        if self.body.is_empty() {
            return Err(ApiError::bad_request("the request body is empty; an object is required"));
        }
        if is_protobuf {
            return protobuf::read(&self.body).map_err(ApiError::bad_request);
        }
        super::yaml::read(&self.body).map_err(|error| {
            ApiError::bad_request(format!(
                "the object provided is unrecognized (must be of type JSON or YAML): couldn't get version/kind; json parse error: {error}"
            ))
        })
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Answers a request; an error breaks the connection.
pub(crate) async fn serve(
    api: Arc<Api>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let (path, path_token) = without_token(parts.uri.path());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let mut seen = SeenRequest {
        at: Instant::now(),
        method: parts.method.to_string(),
        path: path.clone(),
        query: query.clone(),
        user_agent: text_of(&parts.headers, header::USER_AGENT).to_owned(),
        content_type: text_of(&parts.headers, header::CONTENT_TYPE).to_owned(),
        status: 0,
    };
    let whole = format!("{path}?{query}");
    let (delay, fault) = api.cluster.faults.strike(&seen.method, &whole);
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    if fault == Some(Fault::Disconnect) {
        api.cluster.requests.record(seen);
        return Err(Dropped);
    }
    let result = match fault.and_then(faults::answer) {
        Some(error) => Err(error),
        None => match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => {
                let call = Call {
                    method: parts.method,
                    path,
                    query: Query::parse(&query),
                    headers: parts.headers,
                    body: body.to_bytes(),
                    path_token,
                    user: User::default(),
                };
                dispatch(&api, call).await
            }
            Err(_) => Err(ApiError::new(
                413,
                "RequestEntityTooLarge",
                format!("Request entity too large: limit is {LARGEST_BODY}"),
            )),
        },
    };
    let mut response = result.unwrap_or_else(|error| answer::error(&error));
    if let Ok(id) = HeaderValue::from_str(&crate::random::uid()) {
        response.headers_mut().insert("audit-id", id);
    }
    seen.status = response.status().as_u16();
    api.cluster.requests.record(seen);
    Ok(response)
}

async fn dispatch(api: &Arc<Api>, mut call: Call) -> ApiResult<Response<Body>> {
    call.user = access::user(api, &call)?;
    let path = path::parse(&api.cluster, &call.path);
    if let Some(action) = access::action(&call, &path) {
        access::check(api, &call.user, &action)?;
    }
    match path {
        Path::Nowhere => Err(ApiError::no_such_path()),
        Path::Other(segments) => {
            let words: Vec<&str> = segments.iter().map(String::as_str).collect();
            if let ["openapi", rest @ ..] = words.as_slice() {
                return openapi::answer(&api.cluster, rest);
            }
            discovery::answer(&api.cluster, &call, &words)
        }
        Path::Resource(target) => resource(api, call, target).await,
    }
}

async fn resource(api: &Arc<Api>, call: Call, target: Target) -> ApiResult<Response<Body>> {
    match target.subresource.as_str() {
        "" | "status" | "finalize" => verbs::answer(api, &call, &target).await,
        "log" => super::log::answer(&api.cluster, &call, &target),
        _ => super::special::answer(&api.cluster, &call, &target),
    }
}
