//! GitLab: REST API, version 4, "Merge requests API" and "Notes API" (docs.gitlab.com).

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Forge, Proposal, PullRequest, PullRequestState};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::client::{Answer, Asked, Client, User, login, time};
use crate::refusal::Failure;
use crate::{Dialect, address, cut};

/// Characters of a description, and of a note.
const BODY_CHARS_MAX: usize = 1_048_576;

/// Merge requests that are asked for at once.
const PER_PAGE: &str = "20";

/// Pages of them.
const PAGES_MAX: u32 = 5;

/// A project at GitLab.
pub(crate) struct Gitlab<'a> {
    client: Client<'a>,
    project: &'a str,
}

/// A merge request.
#[derive(Debug, Deserialize)]
struct MergeRequest {
    /// Its number within the project.
    iid: u64,
    web_url: String,
    state: String,
    source_branch: String,
    target_branch: String,
    /// None when the fork is gone.
    source_project_id: Option<u64>,
    target_project_id: u64,
    /// The head of the source branch, which a fast-forward makes the target's.
    sha: Option<String>,
    merge_commit_sha: Option<String>,
    squash_commit_sha: Option<String>,
    merged_at: Option<String>,
    /// Since 14.7; before that, `merged_by`.
    merge_user: Option<User>,
    merged_by: Option<User>,
    closed_at: Option<String>,
    closed_by: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Note {
    body: Option<String>,
}

impl<'a> Gitlab<'a> {
    /// The project of a forge. Fails when its path is none.
    pub(crate) fn new(client: Client<'a>, forge: &'a Forge) -> Result<Self, Fault> {
        Ok(Self { client, project: address::path(forge)? })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        below: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
        what: &str,
    ) -> Result<Answer<T>, Failure> {
        let before = ["projects", self.project, "merge_requests"];
        let segments: Vec<&str> = before.iter().chain(below).copied().collect();
        let url = self.client.url(&segments, query);
        self.client.ask(Asked { method, url, body, what }, &[]).await
    }

    fn read(&self, what: &str, found: MergeRequest) -> Result<PullRequest, Failure> {
        let state = match found.state.as_str() {
            // It is locked while it is being merged.
            "opened" | "locked" => PullRequestState::Open,
            "merged" => PullRequestState::Merged {
                // With both, the squashed commit is the second parent of the merge.
                commit: self
                    .client
                    .commit(what, &[found.merge_commit_sha, found.squash_commit_sha, found.sha])?,
                by: login([found.merge_user, found.merged_by]),
                at: time(found.merged_at.as_deref()),
            },
            "closed" => PullRequestState::Closed {
                by: login([found.closed_by]),
                at: time(found.closed_at.as_deref()),
            },
            other => return Err(self.client.malformed(what, format!("its state is {other:?}"))),
        };
        let url = self.client.page(what, &found.web_url)?;
        Ok(PullRequest { number: found.iid, url, state })
    }
}

#[async_trait]
impl Dialect for Gitlab<'_> {
    async fn find(&self, from: &str, into: &str) -> Result<Option<u64>, Failure> {
        let mut newest = None;
        for page in 1..=PAGES_MAX {
            let page = page.to_string();
            let query = [
                ("state", "all"),
                ("source_branch", from),
                ("target_branch", into),
                ("order_by", "created_at"),
                ("sort", "desc"),
                ("per_page", PER_PAGE),
                ("page", &page),
            ];
            let what = "list merge requests";
            let answer: Answer<Vec<MergeRequest>> =
                self.ask("GET", &[], &query, None, what).await?;
            let ours = answer.value.iter().filter(|found| {
                found.source_branch == from
                    && found.target_branch == into
                    && found.source_project_id == Some(found.target_project_id)
            });
            for found in ours {
                if matches!(found.state.as_str(), "opened" | "locked") {
                    return Ok(Some(found.iid));
                }
                newest.get_or_insert(found.iid);
            }
            if !answer.has_next {
                break;
            }
        }
        Ok(newest)
    }

    async fn open(&self, proposal: &Proposal) -> Result<PullRequest, Failure> {
        let what = "open a merge request";
        let body = json!({
            "title": cut::title(&proposal.title),
            "source_branch": proposal.from,
            "target_branch": proposal.into,
            "description": cut::body(&plain(&proposal.body), BODY_CHARS_MAX),
        });
        let answer = self.ask("POST", &[], &[], Some(body), what).await?;
        self.read(what, answer.value)
    }

    fn is_there(&self, failure: &Failure) -> bool {
        failure.status == Some(409)
    }

    async fn look(&self, number: u64) -> Result<PullRequest, Failure> {
        let what = "look at a merge request";
        let answer = self.ask("GET", &[&number.to_string()], &[], None, what).await?;
        self.read(what, answer.value)
    }

    async fn comments(&self, number: u64) -> Result<Vec<String>, Failure> {
        let number = number.to_string();
        let query = [("order_by", "created_at"), ("sort", "desc"), ("per_page", PER_PAGE)];
        let what = "list notes";
        let answer: Answer<Vec<Note>> =
            self.ask("GET", &[&number, "notes"], &query, None, what).await?;
        Ok(answer.value.into_iter().filter_map(|note| note.body).collect())
    }

    async fn comment(&self, number: u64, text: &str) -> Result<(), Failure> {
        let number = number.to_string();
        let body = json!({"body": cut::body(&plain(text), BODY_CHARS_MAX)});
        let what = "comment on a merge request";
        let below = [number.as_str(), "notes"];
        self.ask::<IgnoredAny>("POST", &below, &[], Some(body), what).await.map(|_| ())
    }

    async fn shut(&self, number: u64) -> Result<(), Failure> {
        let body = json!({"state_event": "close"});
        let what = "close a merge request";
        let number = number.to_string();
        self.ask::<IgnoredAny>("PUT", &[&number], &[], Some(body), what).await.map(|_| ())
    }
}

/// A text without commands: a line that begins with a slash is one ("GitLab quick
/// actions"), and is done in the name of who has the token.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('/') {
            plain.push('\\');
        }
        plain.push_str(line);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_command() {
        assert_eq!(plain("/merge\nsee a/b\n  /close\n"), "\\/merge\nsee a/b\n\\  /close\n");
        assert_eq!(plain("nothing"), "nothing");
    }
}
