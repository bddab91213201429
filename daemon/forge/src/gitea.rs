//! Gitea and Forgejo: API v1, "repository" and "issue" (`/api/swagger` of each server,
//! docs.gitea.com/api, code.forgejo.org/api/swagger).

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Forge, Proposal, PullRequest, PullRequestState};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::client::{Answer, Asked, Client, User, login, time};
use crate::refusal::Failure;
use crate::{Dialect, address, cut};

/// Characters of a body: no limit is documented, and nobody reads more than GitHub takes.
const BODY_CHARS_MAX: usize = 65_536;

/// The newest pull requests, of which one that was just opened is one.
const NEWEST: &str = "20";

/// Entries of a timeline after the moment at which a pull request was closed.
const ENTRIES: &str = "50";

/// A repository at Gitea or Forgejo.
pub(crate) struct Gitea<'a> {
    client: Client<'a>,
    owner: &'a str,
    name: &'a str,
}

/// A pull request.
#[derive(Debug, Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    state: String,
    #[serde(default)]
    merged: bool,
    merged_at: Option<String>,
    merged_by: Option<User>,
    merge_commit_sha: Option<String>,
    closed_at: Option<String>,
    head: End,
    base: End,
}

/// A branch of a pull request.
#[derive(Debug, Deserialize)]
struct End {
    /// Its name, also when it is gone: then `ref` is another.
    label: String,
    /// -1 when the fork is gone.
    repo_id: i64,
}

/// An entry of a timeline.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Comment {
    body: Option<String>,
}

impl<'a> Gitea<'a> {
    /// The repository of a forge. Fails when its name is none.
    pub(crate) fn new(client: Client<'a>, forge: &'a Forge) -> Result<Self, Fault> {
        let (owner, name) = address::owner_and_name(forge)?;
        Ok(Self { client, owner, name })
    }

    fn asked<'b>(
        &self,
        method: &'b str,
        below: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
        what: &'b str,
    ) -> Asked<'b> {
        let segments: Vec<&str> =
            ["repos", self.owner, self.name].iter().chain(below).copied().collect();
        Asked { method, url: self.client.url(&segments, query), body, what }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        below: &[&str],
        query: &[(&str, &str)],
        what: &str,
    ) -> Result<T, Failure> {
        let asked = self.asked("GET", below, query, None, what);
        let answer: Answer<T> = self.client.ask(asked, &[]).await?;
        Ok(answer.value)
    }

    /// Who closed a pull request, which its timeline alone tells; none when it is not
    /// shown to us.
    async fn closer(&self, number: u64, at: Option<&str>) -> Result<Option<String>, Failure> {
        let number = number.to_string();
        let mut query = vec![("limit", ENTRIES)];
        query.extend(at.map(|at| ("since", at)));
        let what = "look at who closed a pull request";
        let found: Result<Vec<Entry>, _> =
            self.get(&["issues", &number, "timeline"], &query, what).await;
        match found {
            Ok(entries) => {
                let closed = entries.into_iter().rev().find(|entry| entry.kind == "close");
                Ok(login([closed.and_then(|entry| entry.user)]))
            }
            Err(failure) if failure.fault.is_transient() => Err(failure),
            Err(_) => Ok(None),
        }
    }

    async fn read(&self, what: &str, pull: Pull) -> Result<PullRequest, Failure> {
        let state = if pull.merged {
            PullRequestState::Merged {
                commit: self.client.commit(what, &[pull.merge_commit_sha])?,
                by: login([pull.merged_by]),
                at: time(pull.merged_at.as_deref()),
            }
        } else {
            match pull.state.as_str() {
                "open" => PullRequestState::Open,
                "closed" => PullRequestState::Closed {
                    by: self.closer(pull.number, pull.closed_at.as_deref()).await?,
                    at: time(pull.closed_at.as_deref()),
                },
                other => {
                    return Err(self.client.malformed(what, format!("its state is {other:?}")));
                }
            }
        };
        let url = self.client.page(what, &pull.html_url)?;
        Ok(PullRequest { number: pull.number, url, state })
    }
}

#[async_trait]
impl Dialect for Gitea<'_> {
    async fn find(&self, from: &str, into: &str) -> Result<Option<u64>, Failure> {
        // Lists can't be filtered by branch in all versions: the newest are looked
        // through, which one that was just opened is among, ...
        let query = [("state", "all"), ("limit", NEWEST), ("page", "1")];
        let newest: Vec<Pull> = self.get(&["pulls"], &query, "list pull requests").await?;
        let ours = || {
            newest.iter().filter(|pull| {
                pull.head.label == from
                    && pull.base.label == into
                    && pull.head.repo_id == pull.base.repo_id
            })
        };
        let open = ours().find(|pull| pull.state == "open");
        if let Some(pull) = open.or_else(|| ours().next()) {
            return Ok(Some(pull.number));
        }
        // ... and an older one is found by its branches.
        let below: Vec<&str> = ["pulls", into].into_iter().chain(from.split('/')).collect();
        match self.get::<Pull>(&below, &[], "look for a pull request").await {
            Ok(pull) if pull.head.label == from && pull.base.label == into => Ok(Some(pull.number)),
            Ok(_) => Ok(None),
            Err(failure) if failure.status == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn open(&self, proposal: &Proposal) -> Result<PullRequest, Failure> {
        let what = "open a pull request";
        let body = json!({
            "title": cut::title(&proposal.title),
            "head": proposal.from,
            "base": proposal.into,
            "body": cut::body(&proposal.body, BODY_CHARS_MAX),
        });
        let asked = self.asked("POST", &["pulls"], &[], Some(body), what);
        let answer = self.client.ask(asked, &[]).await?;
        self.read(what, answer.value).await
    }

    fn is_there(&self, failure: &Failure) -> bool {
        let said = || failure.fault.message.contains("already exists");
        failure.status == Some(409) || failure.status == Some(422) && said()
    }

    async fn look(&self, number: u64) -> Result<PullRequest, Failure> {
        let what = "look at a pull request";
        let pull = self.get(&["pulls", &number.to_string()], &[], what).await?;
        self.read(what, pull).await
    }

    async fn comments(&self, number: u64) -> Result<Vec<String>, Failure> {
        let number = number.to_string();
        let what = "list comments";
        let found: Vec<Comment> = self.get(&["issues", &number, "comments"], &[], what).await?;
        Ok(found.into_iter().filter_map(|comment| comment.body).collect())
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), Failure> {
        let number = number.to_string();
        let body = json!({"body": cut::body(text, BODY_CHARS_MAX)});
        let below = ["issues", &number, "comments"];
        let what = "comment on a pull request";
        let asked = self.asked("POST", &below, &[], Some(body), what);
        self.client.ask::<IgnoredAny>(asked, &[]).await.map(|_| ())
    }

    async fn shut(&self, number: u64) -> Result<(), Failure> {
        let number = number.to_string();
        let body = json!({"state": "closed"});
        let what = "close a pull request";
        let asked = self.asked("PATCH", &["pulls", &number], &[], Some(body), what);
        self.client.ask::<IgnoredAny>(asked, &[]).await.map(|_| ())
    }
}
