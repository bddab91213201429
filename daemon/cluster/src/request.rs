//! One request to an API server: sent, limited in time and size, tried again,
//! its answer read. Bodies are traced nowhere; kube's own methods, which log
//! bodies that they can't read, are not used.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::Session;
use crate::failure::{ApiStatus, Failure};
use crate::retry;

/// No answer is read further. A page of 500 objects of the largest size that
/// etcd stores would be 750 MB; real pages are a few.
const ANSWER_BYTES: usize = 128 << 20;

/// An answer without success is read no further.
const COMPLAINT_BYTES: usize = 1 << 20;

const JSON: &str = "application/json";

/// Metadata alone, where the server can; the object otherwise.
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// The same for lists: real servers refuse one where the other is meant.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What is asked.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    accept: &'static str,
    content_type: &'static str,
    body: Bytes,
}

/// What was answered.
pub(crate) struct Answer<B = Value> {
    /// Whether something was made.
    pub(crate) created: bool,
    pub(crate) body: B,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            accept: JSON,
            content_type: JSON,
            body: Bytes::new(),
        }
    }

    /// Metadata of one object: neither a Secret's values nor large bodies
    /// travel when only the metadata is of interest.
    pub(crate) fn metadata(path: impl Into<String>) -> Self {
        Self { accept: METADATA, ..Self::get(path) }
    }

    /// Metadata of a list.
    pub(crate) fn metadata_list(path: impl Into<String>) -> Self {
        Self { accept: METADATA_LIST, ..Self::get(path) }
    }

    pub(crate) fn delete(path: impl Into<String>, options: &Value) -> Self {
        let body = Bytes::from(options.to_string());
        Self { method: Method::DELETE, body, ..Self::get(path) }
    }

    /// Server-side apply. JSON is YAML.
    pub(crate) fn apply(path: impl Into<String>, object: &Value) -> Self {
        Self {
            method: Method::PATCH,
            content_type: "application/apply-patch+yaml",
            // A value has no keys that JSON could not have.
            body: Bytes::from(serde_json::to_vec(object).unwrap_or_default()),
            ..Self::get(path)
        }
    }
}

/// Joins a path and its query; values are encoded here.
pub(crate) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut joined = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        joined.push(if index == 0 { '?' } else { '&' });
        joined.push_str(name);
        joined.push('=');
        joined.push_str(&encoded(value));
    }
    joined
}

/// Percent-encodes all that is not unreserved (RFC 3986).
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Session {
    /// Asks until there is an answer, trying again within the budget.
    pub(crate) async fn ask<B: DeserializeOwned>(&self, ask: &Ask) -> Result<Answer<B>, Failure> {
        self.ask_within(ask, self.options.retry_budget).await
    }

    /// The same with a budget of one's own.
    pub(crate) async fn ask_within<B: DeserializeOwned>(
        &self,
        ask: &Ask,
        budget: Duration,
    ) -> Result<Answer<B>, Failure> {
        let (created, bytes) = self.answered(ask, budget).await?;
        let body = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
        Ok(Answer { created, body })
    }

    /// Asks for an answer that the caller reads: whether something was made, and
    /// its text.
    pub(crate) async fn answered(
        &self,
        ask: &Ask,
        budget: Duration,
    ) -> Result<(bool, Bytes), Failure> {
        retry::persist(budget, || async {
            let _turn = self.turn().await?;
            self.limited(self.bytes(ask)).await
        })
        .await
    }

    /// Asks for text, of which the last whole lines are kept, so many bytes.
    pub(crate) async fn text(
        &self,
        path: &str,
        limit: usize,
        budget: Duration,
    ) -> Result<String, Failure> {
        let ask = Ask { accept: "*/*", ..Ask::get(path) };
        retry::persist(budget, || async {
            let _turn = self.turn().await?;
            self.limited(self.last_lines(&ask, limit)).await
        })
        .await
    }

    async fn last_lines(&self, ask: &Ask, limit: usize) -> Result<String, Failure> {
        let mut body = self.open(ask).await?.into_body();
        let mut read: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(Failure::from)?;
            if let Some(data) = frame.data_ref() {
                read.extend_from_slice(data);
            }
            // Not with every frame: each time moves what is kept.
            if read.len() > 2 * limit {
                keep_last_lines(&mut read, limit);
            }
        }
        keep_last_lines(&mut read, limit);
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    /// Opens an answer that goes on: a watch. Limited in time until it begins.
    pub(crate) async fn stream(&self, path: &str) -> Result<Body, Failure> {
        let ask = Ask::get(path);
        let _opening = self.opening().await?;
        let _turn = self.turn().await?;
        Ok(self.limited(self.open(&ask)).await?.into_body())
    }

    /// Waits until one more watch may be opened, or what is there be listed for it.
    pub(crate) async fn opening(&self) -> Result<SemaphorePermit<'_>, Failure> {
        permit(&self.connection.openings).await
    }

    /// Waits until the cluster may be asked one thing more.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        permit(&self.connection.turns).await
    }

    async fn bytes(&self, ask: &Ask) -> Result<(bool, Bytes), Failure> {
        let response = self.open(ask).await?;
        let created = response.status() == http::StatusCode::CREATED;
        Ok((created, read(response.into_body(), ANSWER_BYTES).await?))
    }

    /// Sends, and returns what is a success. Credentials that may have been
    /// renewed are read again, once.
    async fn open(&self, ask: &Ask) -> Result<Response<Body>, Failure> {
        let (number, client) = self.connection.client();
        match send(client, ask).await {
            Err(failure) if failure.code() == Some(401) && self.connection.renew(number) => {
                send(self.connection.client().1, ask).await
            }
            answered => answered,
        }
    }

    async fn limited<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = self.options.request_timeout;
        tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::Timeout(limit)))
    }
}

async fn permit(of: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    of.acquire().await.map_err(|_| Failure::Unreachable("its client was closed".to_owned()))
}

/// Neither the text nor the parser's message, which could quote it.
pub(crate) fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::Unreadable(format!("no JSON at line {}", error.line()))
}

async fn send(client: Client, ask: &Ask) -> Result<Response<Body>, Failure> {
    let request = Request::builder()
        .method(ask.method.clone())
        .uri(&ask.path)
        .header(ACCEPT, ask.accept)
        .header(CONTENT_TYPE, ask.content_type)
        .body(Body::from(ask.body.clone()))
        .map_err(|error| Failure::Unreadable(format!("no request: {error}")))?;
    let response = client.send(request).await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response.status().as_u16();
    let advised = retry_after(response.headers());
    let complaint = read(response.into_body(), COMPLAINT_BYTES).await.unwrap_or_default();
    Err(Failure::Status(Box::new(ApiStatus::read(code, advised, &complaint))))
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => match error.downcast::<kube::Error>() {
            Ok(error) => Err(Failure::from(*error)),
            Err(other) if other.is::<http_body_util::LengthLimitError>() => {
                Err(Failure::Unreadable(format!("more than {limit} bytes")))
            }
            Err(other) => Err(Failure::Unreachable(other.to_string())),
        },
    }
}

fn keep_last_lines(read: &mut Vec<u8>, limit: usize) {
    let Some(beyond) = read.len().checked_sub(limit).filter(|beyond| *beyond > 0) else { return };
    read.drain(..beyond);
    if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
        read.drain(..=end);
    }
}

/// Seconds; API servers never send the other form, a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::Connection;

    #[test]
    fn the_end_of_a_text_is_kept_by_whole_lines() {
        let mut read = b"one\ntwo\nthree\n".to_vec();
        keep_last_lines(&mut read, 9);
        assert_eq!(read, b"three\n");
        keep_last_lines(&mut read, 9);
        assert_eq!(read, b"three\n");
    }

    #[tokio::test]
    async fn a_token_that_has_expired_is_read_again_from_its_file() {
        let options = deployd_practice::PracticeOptions::default();
        let practice = deployd_practice::Practice::start(options).await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "expired").unwrap();
        let mut config = kube::Config::new(practice.url().parse().unwrap());
        config.auth_info.token_file = Some(file.path().display().to_string());
        let client = Client::try_from(config.clone()).unwrap();
        let session = Session {
            connection: Arc::new(Connection::new(client, Some(config), 4)),
            cluster: Arc::from("west"),
            options: Arc::default(),
        };
        let ask = Ask::get("/api/v1/namespaces");
        let refused = session.ask::<Value>(&ask).await.err().unwrap();
        assert_eq!(refused.code(), Some(401));
        // The kubelet renews it; the client would read it again after a minute.
        std::fs::write(file.path(), practice.token()).unwrap();
        session.ask::<Value>(&ask).await.unwrap();
        // Who has no file to read from is told.
        let config = kube::Config::new(practice.url().parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let connection = Arc::new(Connection::new(client, None, 4));
        let refused = Session { connection, ..session }.ask::<Value>(&ask).await.err().unwrap();
        assert_eq!(refused.code(), Some(401));
    }

    #[test]
    fn queries_are_encoded() {
        let path =
            with_query("/api/v1/pods", &[("labelSelector", "a in (b,c),d=e"), ("watch", "1")]);
        assert_eq!(path, "/api/v1/pods?labelSelector=a%20in%20%28b%2Cc%29%2Cd%3De&watch=1");
        assert_eq!(with_query("/version", &[]), "/version");
    }
}
