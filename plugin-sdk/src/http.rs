//! HTTP requests to hosts that the operator's grant names.
//!
//! A credential that the grant names is added by the host; a plugin neither
//! sends nor sees it. Redirects are answers like others.

use crate::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::time::Duration;

/// The largest body of an answer. Lists of APIs come in pages of less.
pub const RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// One request with its whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// `http` or `https`, without user and password.
    pub url: String,
    /// Headers, in order. Those that speak of the connection are the host's.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A `PUT`.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A `PATCH`.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// A `DELETE`.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends these bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends this as JSON. Fails for a value that JSON can't write, such as a
    /// map whose keys are no text.
    pub fn json(self, body: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Fault::permanent(format!("the body of the request can't be written: {error}"))
        })?;
        Ok(self.header("content-type", "application/json").body(body))
    }
}

/// An answer with its whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, in order; values that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without headers and body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Has this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// How long the server asks to be left alone, when it says so in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: u32 = self.header("retry-after")?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// The fault for what passes by itself, with the time that the server asks for:
    /// too many requests (429), or a server that fails (408 and 500 to 599, but 501,
    /// which says that it will never do that). `what` was to be done.
    pub fn passing(&self, what: &str) -> Option<Fault> {
        let message = match self.status {
            429 => format!("{what}: the server asks for fewer requests (status 429)"),
            501 => return None,
            408 | 500..=599 => format!("{what}: the server fails (status {})", self.status),
            _ => return None,
        };
        Some(Fault::Unavailable { message, after: self.retry_after() })
    }

    /// The body, read as JSON. What does not fit is nothing that the plugin or
    /// its configuration can help, and may be gone the next time.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // What serde says of a body may quote it, and it may hold a secret.
            let (line, column) = (error.line(), error.column());
            Fault::unavailable(format!(
                "the answer with status {} is not the JSON that was expected (line {line}, column {column})",
                self.status
            ))
        })
    }
}

/// What a URL leads to. The host reads it again, and has the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "check", feature = "driver")),
    allow(dead_code, reason = "pure plugins speak no HTTP")
)]
pub(crate) struct Target<'a> {
    /// Whether it is `https`.
    pub(crate) tls: bool,
    /// Host and port.
    pub(crate) authority: &'a str,
    rest: &'a str,
}

#[cfg_attr(
    not(any(feature = "check", feature = "driver")),
    allow(dead_code, reason = "pure plugins speak no HTTP")
)]
impl<'a> Target<'a> {
    /// Takes a URL apart.
    pub(crate) fn of(url: &'a str) -> Result<Self, Fault> {
        let (tls, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(Fault::permanent(
                "the HTTP request can't be made: its URL begins neither with https:// nor with http://",
            ));
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        Ok(Self { tls, authority, rest })
    }

    /// Path and query; a path that is not there is `/`.
    pub(crate) fn path_with_query(&self) -> Cow<'a, str> {
        if self.rest.starts_with('/') {
            Cow::Borrowed(self.rest)
        } else {
            Cow::Owned(format!("/{}", self.rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let of = |url| {
            let target = Target::of(url).unwrap();
            (target.tls, target.authority.to_owned(), target.path_with_query().into_owned())
        };
        let parts = |tls, authority: &str, path: &str| (tls, authority.to_owned(), path.to_owned());
        assert_eq!(of("https://a.example/b?c#d"), parts(true, "a.example", "/b?c"));
        assert_eq!(of("http://[::1]:80?x"), parts(false, "[::1]:80", "/?x"));
        assert_eq!(of("http://a.example#/b"), parts(false, "a.example", "/"));
        assert!(matches!(Target::of("ftp://a.example"), Err(Fault::Permanent(_))));
    }

    #[test]
    fn an_answer_that_is_no_json_is_not_quoted() {
        let fault = Response::new(200).with_body("{\"token\": hunter2").json::<String>();
        let text = fault.unwrap_err().to_string();
        assert!(text.starts_with("unavailable: the answer with status 200"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("token"), "{text}");
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for status in [408, 429, 500, 503, 599] {
            let response = Response::new(status).with_header("retry-after", "9");
            let Some(Fault::Unavailable { message, after }) = response.passing("asking") else {
                panic!("{status}")
            };
            assert!(message.starts_with("asking: the server"), "{message}");
            assert_eq!(after, Some(Duration::from_secs(9)));
        }
        for status in [200, 302, 400, 404, 501] {
            assert_eq!(Response::new(status).passing("asking"), None, "{status}");
        }
    }

    #[test]
    fn a_server_says_when_to_come_back() {
        let response = Response::new(429).with_header("Retry-After", "7");
        assert_eq!(response.retry_after(), Some(Duration::from_secs(7)));
        let response =
            Response::new(429).with_header("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
        assert_eq!(response.retry_after(), None);
    }
}
