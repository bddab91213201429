//! A client of the HTTP interface.

mod approvals;
mod archives;
mod attestations;
mod audit;
mod auth;
mod calendar;
mod compare;
mod dora;
mod drafts;
mod events;
mod hooks;
mod inventory;
mod problem;
mod provider;
mod request;
mod retry;
mod routes;
mod sboms;
mod sse;
mod transport;

use std::time::Duration;

use reqwest::Url;

use crate::args::SecretText;
use crate::error::CliError;

pub use dora::DoraQuery;
pub use events::{Events, ServerEvent};
pub use problem::{Problem, ProblemItem};
pub use provider::Provider;
pub use retry::Backoff;
pub use routes::{
    BackupDone, BesideFile, DocumentFiles, HistoryQuery, JournalEntry, NotificationQuery,
};

/// How a daemon is reached.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Its address: `http://127.0.0.1:7070`.
    pub server: String,
    /// Who asks.
    pub token: Option<SecretText>,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// The key by which the daemon recognises a repeat; random when not given.
    pub idempotency_key: Option<String>,
    /// Certificates to trust beside the system's, in PEM.
    pub certificates: Option<Vec<u8>>,
    /// How to come back.
    pub backoff: Backoff,
}

impl ClientOptions {
    /// A daemon at an address, and everything else as usual.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            token: None,
            timeout: Duration::from_secs(60),
            idempotency_key: None,
            certificates: None,
            backoff: Backoff::default(),
        }
    }

    /// The same with a token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(SecretText::new(token));
        self
    }
}

/// An address of a daemon as [`Client::server`] tells it, however it was written.
pub(crate) fn server_address(server: &str) -> Result<String, CliError> {
    Ok(told(&transport::base(server)?).to_owned())
}

fn told(base: &Url) -> &str {
    base.as_str().trim_end_matches('/')
}

/// A client of one daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    options: ClientOptions,
}

impl Client {
    /// A client; nothing is connected yet.
    pub fn new(options: ClientOptions) -> Result<Self, CliError> {
        let base = transport::base(&options.server)?;
        let http = transport::http(&base, &options)?;
        Ok(Self { http, base, options })
    }

    /// Where the daemon is, without credentials.
    pub fn server(&self) -> &str {
        told(&self.base)
    }

    /// How to come back.
    pub(crate) fn backoff(&self) -> Backoff {
        self.options.backoff
    }

    fn url<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Result<Url, CliError> {
        let mut url = self.base.clone();
        let Ok(mut segments) = url.path_segments_mut() else {
            return Err(CliError::Usage(format!("{} is no address of a daemon", self.base)));
        };
        // What is in a segment stays in it: `/` and `?` are escaped.
        segments.pop_if_empty().extend(path);
        drop(segments);
        Ok(url)
    }

    fn answer_error(&self, reason: impl std::fmt::Display) -> CliError {
        CliError::Answer { server: self.server().to_owned(), reason: reason.to_string() }
    }

    fn unreachable(&self, reason: impl Into<String>) -> CliError {
        CliError::Unreachable { server: self.server().to_owned(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests;
