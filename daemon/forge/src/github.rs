//! GitHub: REST API, version 2022-11-28, "Pulls", "Issues" and "Issue comments"
//! (docs.github.com/rest). GitHub Enterprise Server has the same below `/api/v3`.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Forge, Proposal, PullRequest, PullRequestState};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::client::{Answer, Asked, Client, User, login, time};
use crate::refusal::Failure;
use crate::{Dialect, address, cut};

/// Characters of a body ("body is too long (maximum is 65536 characters)").
const BODY_CHARS_MAX: usize = 65_536;

/// Pull requests that are asked for at once: from one branch into another there is
/// rarely more than one.
const PER_PAGE: &str = "20";

/// Pages of them.
const PAGES_MAX: u32 = 5;

/// What each request has: the form of answers, and the version of the API.
const HEADERS: &[(&str, &str)] =
    &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];

/// A repository at GitHub.
pub(crate) struct Github<'a> {
    client: Client<'a>,
    owner: &'a str,
    name: &'a str,
}

/// A pull request; in lists without who merged it.
#[derive(Debug, Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    state: String,
    #[serde(default)]
    merged: bool,
    merged_at: Option<String>,
    merged_by: Option<User>,
    /// Of one that is open, a merge that is only tried.
    merge_commit_sha: Option<String>,
    closed_at: Option<String>,
    head: End,
    base: End,
}

/// A branch of a pull request.
#[derive(Debug, Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: String,
    /// None when the fork is gone.
    repo: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Debug, Deserialize)]
struct Issue {
    closed_by: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Comment {
    body: Option<String>,
}

impl<'a> Github<'a> {
    /// The repository of a forge. Fails when its name is none.
    pub(crate) fn new(client: Client<'a>, forge: &'a Forge) -> Result<Self, Fault> {
        let (owner, name) = address::owner_and_name(forge)?;
        Ok(Self { client, owner, name })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        below: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
        what: &str,
    ) -> Result<Answer<T>, Failure> {
        let segments: Vec<&str> =
            ["repos", self.owner, self.name].iter().chain(below).copied().collect();
        let url = self.client.url(&segments, query);
        self.client.ask(Asked { method, url, body, what }, HEADERS).await
    }

    /// Who closed an issue or pull request; none when that is not shown to us.
    async fn closer(&self, number: u64) -> Result<Option<String>, Failure> {
        let what = "look at who closed a pull request";
        let number = number.to_string();
        match self.ask::<Issue>("GET", &["issues", &number], &[], None, what).await {
            Ok(answer) => Ok(login([answer.value.closed_by])),
            Err(failure) if failure.fault.is_transient() => Err(failure),
            Err(_) => Ok(None),
        }
    }

    async fn read(&self, what: &str, pull: Pull) -> Result<PullRequest, Failure> {
        let state = if pull.merged || pull.merged_at.is_some() {
            PullRequestState::Merged {
                commit: self.client.commit(what, &[pull.merge_commit_sha])?,
                by: login([pull.merged_by]),
                at: time(pull.merged_at.as_deref()),
            }
        } else {
            match pull.state.as_str() {
                "open" => PullRequestState::Open,
                "closed" => PullRequestState::Closed {
                    by: self.closer(pull.number).await?,
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

    fn is_ours(&self, pull: &Pull, from: &str, into: &str) -> bool {
        let project = format!("{}/{}", self.owner, self.name);
        let here = |end: &End| {
            end.repo.as_ref().is_some_and(|repo| repo.full_name.eq_ignore_ascii_case(&project))
        };
        pull.head.branch == from && pull.base.branch == into && here(&pull.head)
    }
}

#[async_trait]
impl Dialect for Github<'_> {
    async fn find(&self, from: &str, into: &str) -> Result<Option<u64>, Failure> {
        let head = format!("{}:{from}", self.owner);
        let mut newest = None;
        for page in 1..=PAGES_MAX {
            let page = page.to_string();
            let query = [
                ("state", "all"),
                ("head", &head),
                ("base", into),
                ("sort", "created"),
                ("direction", "desc"),
                ("per_page", PER_PAGE),
                ("page", &page),
            ];
            let what = "list pull requests";
            let answer: Answer<Vec<Pull>> = self.ask("GET", &["pulls"], &query, None, what).await?;
            // A filter that is not understood is ignored there.
            for pull in answer.value.iter().filter(|pull| self.is_ours(pull, from, into)) {
                if pull.state == "open" {
                    return Ok(Some(pull.number));
                }
                newest.get_or_insert(pull.number);
            }
            if !answer.has_next {
                break;
            }
        }
        Ok(newest)
    }

    async fn open(&self, proposal: &Proposal) -> Result<PullRequest, Failure> {
        let what = "open a pull request";
        let body = json!({
            "title": cut::title(&proposal.title),
            "head": proposal.from,
            "base": proposal.into,
            "body": cut::body(&proposal.body, BODY_CHARS_MAX),
        });
        let answer = self.ask("POST", &["pulls"], &[], Some(body), what).await?;
        self.read(what, answer.value).await
    }

    fn is_there(&self, failure: &Failure) -> bool {
        // There is no code for it: the error's is `custom`.
        failure.status == Some(422) && failure.fault.message.contains("already exists")
    }

    async fn look(&self, number: u64) -> Result<PullRequest, Failure> {
        let what = "look at a pull request";
        let number = number.to_string();
        let answer = self.ask("GET", &["pulls", &number], &[], None, what).await?;
        self.read(what, answer.value).await
    }

    async fn comments(&self, number: u64) -> Result<Vec<String>, Failure> {
        let number = number.to_string();
        let query = [("per_page", "100")];
        let below = ["issues", &number, "comments"];
        let what = "list comments";
        let answer: Answer<Vec<Comment>> = self.ask("GET", &below, &query, None, what).await?;
        Ok(answer.value.into_iter().filter_map(|comment| comment.body).collect())
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), Failure> {
        let number = number.to_string();
        let body = json!({"body": cut::body(text, BODY_CHARS_MAX)});
        let below = ["issues", &number, "comments"];
        let what = "comment on a pull request";
        self.ask::<IgnoredAny>("POST", &below, &[], Some(body), what).await.map(|_| ())
    }

    async fn shut(&self, number: u64) -> Result<(), Failure> {
        let number = number.to_string();
        let body = json!({"state": "closed"});
        let what = "close a pull request";
        let closed =
            self.ask::<IgnoredAny>("PATCH", &["pulls", &number], &[], Some(body), what).await;
        closed.map(|_| ())
    }
}
