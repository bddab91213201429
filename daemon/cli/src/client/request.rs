//! One request: sent, repeated where that may help, its answer read.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, Method, StatusCode};
use reqwest::{Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::retry::retry_after;
use super::transport::deepest;
use super::{Client, Problem};
use crate::error::CliError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// For what the daemon itself may take long for.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// A request.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    pub(super) body: Option<(&'static str, Bytes)>,
    /// Another limit than the client's.
    pub(super) timeout: Option<Duration>,
}

impl Request {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, accept: "application/json", body: None, timeout: None }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, CliError> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| CliError::Input(format!("it can't be sent: {error}")))?;
        self.body = Some(("application/json", bytes.into()));
        Ok(self)
    }

    pub(super) fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self
    }

    pub(super) fn long(mut self) -> Self {
        self.timeout = Some(LONG);
        self
    }
}

/// Why an attempt failed, and whether another one may help.
struct Failed {
    error: CliError,
    again: bool,
    retry_after: Option<Duration>,
}

impl Client {
    /// Sends a request and reads what it is answered with.
    pub(super) async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, CliError> {
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.answer_error(error))
    }

    /// Sends a request whose answer has nothing in it.
    pub(super) async fn tell(&self, request: Request) -> Result<(), CliError> {
        self.send(request).await.map(|_| ())
    }

    /// Sends a request, again where that may help. It is safe: a request changes
    /// nothing, or the daemon knows a repeat by its key.
    pub(super) async fn send(&self, request: Request) -> Result<Bytes, CliError> {
        let writes = request.method != Method::GET;
        // The same in every attempt: that is what makes a repeat safe.
        let key = if writes { Some(self.key()?) } else { None };
        let mut failed = 0;
        loop {
            let attempt = match self.attempt(&request, key.as_deref()).await {
                Ok(body) => return Ok(body),
                Err(attempt) => attempt,
            };
            failed += 1;
            let backoff = self.backoff();
            match backoff.wait(failed, backoff.attempts, attempt.retry_after) {
                Some(wait) if attempt.again => tokio::time::sleep(wait).await,
                _ => return Err(attempt.error),
            }
        }
    }

    async fn attempt(&self, request: &Request, key: Option<&str>) -> Result<Bytes, Failed> {
        let timeout = request.timeout.unwrap_or(self.options.timeout);
        let mut builder = self
            .http
            .request(request.method.clone(), request.url.clone())
            .header(ACCEPT, request.accept)
            .timeout(timeout);
        if let Some(token) = &self.options.token {
            builder = builder.bearer_auth(token.expose());
        }
        if let Some(key) = key {
            builder = builder.header(IDEMPOTENCY_KEY, key);
        }
        if let Some((content_type, body)) = &request.body {
            builder = builder.header(CONTENT_TYPE, *content_type).body(body.clone());
        }
        let lost = |error: reqwest::Error| self.lost(&error);
        let response = builder.send().await.map_err(lost)?;
        let status = response.status();
        if status.is_success() {
            return response.bytes().await.map_err(lost);
        }
        let wait = retry_after(response.headers());
        let again = is_passing(status);
        let body = response.bytes().await.unwrap_or_default();
        let error = CliError::Problem(Box::new(Problem::of(status, &body)));
        Err(Failed { error, again, retry_after: wait })
    }

    fn lost(&self, error: &reqwest::Error) -> Failed {
        // What did not answer in time was waited for long enough.
        let again = error.is_connect() || !(error.is_timeout() || error.is_builder());
        Failed { error: self.unreachable(reason(error)), again, retry_after: None }
    }

    fn key(&self) -> Result<String, CliError> {
        if let Some(key) = &self.options.idempotency_key {
            return Ok(key.clone());
        }
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| CliError::Failed(format!("no randomness: {error}")))?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Opens a stream of events. One attempt: who follows comes back by itself.
    pub(super) async fn open(
        &self,
        url: Url,
        last_event_id: Option<&str>,
    ) -> Result<Response, (CliError, Option<Duration>)> {
        let mut builder = self.http.get(url).header(ACCEPT, "text/event-stream");
        if let Some(token) = &self.options.token {
            builder = builder.bearer_auth(token.expose());
        }
        if let Some(id) = last_event_id {
            builder = builder.header("last-event-id", id);
        }
        let response =
            builder.send().await.map_err(|error| (self.unreachable(reason(&error)), None))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = retry_after(response.headers());
        let body = response.bytes().await.unwrap_or_default();
        Err((CliError::Problem(Box::new(Problem::of(status, &body))), wait))
    }
}

/// Whether what the answer tells of may have passed soon.
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// What went wrong with a connection.
pub(super) fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    deepest(error)
}
