//! A client of the daemon's HTTP interface that knows no more than HTTP.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::wait::GUARD;

/// Asks one daemon, with one token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The body, when it is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }
}

impl Client {
    pub(crate) fn new(base: String, token: &str) -> Self {
        // Fails when it was done before. All requests are plain, but the client
        // wants to know what it would encrypt with.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(GUARD).build().unwrap();
        Self { http, base, token: token.to_owned() }
    }

    /// The same daemon, with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.bearer_auth(&self.token)
    }

    /// Sends, and reads all of the answer; an error when there is none.
    pub(crate) async fn try_send(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok(Answer { status, text: response.text().await? })
    }

    pub(crate) async fn send(request: RequestBuilder) -> Answer {
        Self::try_send(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Self::send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<String>) -> Answer {
        Self::send(self.request(Method::PUT, path).body(body.into())).await
    }
}
