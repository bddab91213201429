//! One request to a forge's API, and what is read of its answer.

use std::sync::Arc;

use deployd_core::ports::{
    Access, CallLog, CommitId, Egress, EgressLimits, Exchange, Exchanged, Forge, LogLevel, Uses,
};
use deployd_core::{Fault, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::refusal::{Failure, one_line, said};
use crate::{address, retry};

/// Bytes of an answer: twenty pull requests, of which each has as much text as GitHub
/// takes, in a script of three bytes a character, and what is told of its repositories.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Characters of why an answer can't be read.
const REASON_CHARS_MAX: usize = 300;

/// Characters of a page's address: more than browsers show.
const PAGE_CHARS_MAX: usize = 2_000;

/// Characters of a login: forges take 39 to 255.
const LOGIN_CHARS_MAX: usize = 255;

/// Who asks. GitHub refuses requests without it.
const AGENT: &str = concat!("deployd/", env!("CARGO_PKG_VERSION"));

/// A forge's API, for the length of one call.
pub(crate) struct Client<'a> {
    egress: &'a dyn Egress,
    access: Access,
    log: &'a CallLog,
    api: Url,
    /// The host, for messages.
    place: String,
}

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: Url,
    pub(crate) body: Option<Value>,
    /// For messages: `open a pull request`.
    pub(crate) what: &'a str,
}

/// An answer that was hoped for.
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    /// Whether there is another page (RFC 8288, `rel="next"`).
    pub(crate) has_next: bool,
}

impl<'a> Client<'a> {
    /// The API of a forge. Fails when its address is none.
    pub(crate) fn new(
        egress: &'a dyn Egress,
        uses: &Arc<dyn Uses>,
        forge: &Forge,
        log: &'a CallLog,
    ) -> Result<Self, Fault> {
        let api = address::api(forge)?;
        let place = match (api.host_str().unwrap_or_default(), api.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let access = Access {
            grants: address::grants(forge, &api),
            limits: EgressLimits { body_bytes: ANSWER_BYTES_MAX, ..EgressLimits::default() },
            uses: Arc::clone(uses),
        };
        Ok(Self { egress, access, log, api, place })
    }

    /// An address below the API's.
    pub(crate) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        address::below(&self.api, segments, query)
    }

    /// Asks, and reads what comes.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        asked: Asked<'_>,
        headers: &[(&str, &str)],
    ) -> Result<Answer<T>, Failure> {
        let what = asked.what;
        let answer = self.exchange(asked, headers).await?;
        let value =
            serde_json::from_slice(&answer.body).map_err(|error| self.malformed(what, &error))?;
        let has_next = answer.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("link") && value.contains("rel=\"next\"")
        });
        Ok(Answer { value, has_next })
    }

    async fn exchange(
        &self,
        asked: Asked<'_>,
        headers: &[(&str, &str)],
    ) -> Result<Exchanged, Failure> {
        let Asked { method, url, body, what } = asked;
        let line = format!("{method} {}{}", self.place, url.path());
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.push(("user-agent".to_owned(), AGENT.to_owned()));
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let exchange = Exchange {
            method: method.to_owned(),
            url: url.into(),
            headers,
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        let answer = self.egress.exchange(&self.access, exchange).await.map_err(|error| {
            self.log.line(LogLevel::Warn, format!("{line}: {}", error.code()));
            Failure::of_network(&error, &self.place)
        })?;
        let status = answer.status;
        self.log.line(LogLevel::Debug, format!("{line}: {status}"));
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let said = said(&answer.body);
        let retry = retry::wait_ms(status, &answer.headers, &said);
        Err(Failure::of_status(status, &self.place, what, &said, retry))
    }

    /// A failure of what can't be read.
    pub(crate) fn malformed(&self, what: &str, reason: impl std::fmt::Display) -> Failure {
        Failure::of_form(&self.place, what, one_line(&reason.to_string(), REASON_CHARS_MAX))
    }

    /// A page of a pull request, as it may be shown to people.
    pub(crate) fn page(&self, what: &str, url: &str) -> Result<String, Failure> {
        let page = Url::parse(url).ok().filter(|page| {
            matches!(page.scheme(), "http" | "https") && url.chars().count() <= PAGE_CHARS_MAX
        });
        page.map(String::from)
            .ok_or_else(|| self.malformed(what, "the pull request's page is no web address"))
    }

    /// The commit that a pull request was merged by: the first of these that is told.
    pub(crate) fn commit(&self, what: &str, told: &[Option<String>]) -> Result<CommitId, Failure> {
        let told = told.iter().flatten().find(|commit| !commit.is_empty());
        let is_hash = |text: &str| {
            matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        match told {
            Some(commit) if is_hash(commit) => Ok(CommitId(commit.to_ascii_lowercase())),
            Some(_) => Err(self.malformed(what, "the commit that it was merged by is no hash")),
            None => Err(self.malformed(what, "it is merged, and by no commit")),
        }
    }
}

/// Somebody, as forges tell of them: GitHub by `login`, GitLab by `username`, and Gitea
/// by both.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    login: Option<String>,
    username: Option<String>,
}

/// The login of the first of these who is told.
pub(crate) fn login<const N: usize>(of: [Option<User>; N]) -> Option<String> {
    let login = of.into_iter().flatten().find_map(|user| user.login.or(user.username))?;
    let login = one_line(&login, LOGIN_CHARS_MAX);
    (!login.is_empty()).then_some(login)
}

/// A time that is told; one that can't be read is no reason to fail.
pub(crate) fn time(told: Option<&str>) -> Option<Timestamp> {
    serde_json::from_value(Value::from(told?)).ok()
}
