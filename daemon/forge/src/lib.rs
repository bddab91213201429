//! Pull requests at GitHub, GitLab, Gitea and Forgejo: core's port
//! [`Forges`], over their documented REST APIs and through the one way out.
//!
//! Each forge has a file that says how it is asked and what it answers ([`Dialect`]);
//! what they share is here. Credentials come with the grants, and are added by the
//! broker: nothing here has seen one.

mod address;
mod client;
mod cut;
mod gitea;
mod github;
mod gitlab;
mod refusal;
mod retry;

use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{
    CallLog, Egress, Forge, ForgeKind, Forges, LogLevel, Proposal, PullRequest, PullRequestState,
    Uses,
};

use client::Client;
use gitea::Gitea;
use github::Github;
use gitlab::Gitlab;
use refusal::{Failure, UNREACHABLE};

/// Forges, over HTTP.
pub struct HttpForges {
    egress: Arc<dyn Egress>,
    uses: Arc<dyn Uses>,
}

impl HttpForges {
    /// Forges that are reached by this way out; `uses` is told of each request.
    pub fn new(egress: Arc<dyn Egress>, uses: Arc<dyn Uses>) -> Self {
        Self { egress, uses }
    }

    fn dialect<'a>(
        &'a self,
        forge: &'a Forge,
        log: &'a CallLog,
    ) -> Result<Box<dyn Dialect + 'a>, Fault> {
        let client = Client::new(&*self.egress, &self.uses, forge, log)?;
        Ok(match forge.kind {
            ForgeKind::Github => Box::new(Github::new(client, forge)?),
            ForgeKind::Gitlab => Box::new(Gitlab::new(client, forge)?),
            ForgeKind::Gitea => Box::new(Gitea::new(client, forge)?),
        })
    }
}

/// How a forge is asked, and what it answers.
#[async_trait]
trait Dialect: Send + Sync {
    /// The pull request from one branch of the repository into another: one that is
    /// open, or else the newest.
    async fn find(&self, from: &str, into: &str) -> Result<Option<u64>, Failure>;

    /// Opens one.
    async fn open(&self, proposal: &Proposal) -> Result<PullRequest, Failure>;

    /// Whether [`open`](Self::open) was refused because there is one already.
    fn is_there(&self, failure: &Failure) -> bool;

    /// How one stands.
    async fn look(&self, number: u64) -> Result<PullRequest, Failure>;

    /// Comments of one, at least some of the newest.
    async fn comments(&self, number: u64) -> Result<Vec<String>, Failure>;

    /// Adds a comment.
    async fn comment(&self, number: u64, text: &str) -> Result<(), Failure>;

    /// Closes one.
    async fn shut(&self, number: u64) -> Result<(), Failure>;
}

#[async_trait]
impl Forges for HttpForges {
    async fn propose(
        &self,
        forge: &Forge,
        proposal: &Proposal,
        log: &CallLog,
    ) -> Result<PullRequest, Fault> {
        let dialect = self.dialect(forge, log)?;
        let Proposal { from, into, .. } = proposal;
        if let Some(number) = dialect.find(from, into).await? {
            log.line(LogLevel::Info, format!("pull request {number} is there already"));
            return Ok(dialect.look(number).await?);
        }
        let refused = match dialect.open(proposal).await {
            Ok(opened) => {
                let text = format!("opened pull request {}: {}", opened.number, opened.url);
                log.line(LogLevel::Info, text);
                return Ok(opened);
            }
            Err(failure) if dialect.is_there(&failure) => failure.fault,
            Err(failure) => return Err(failure.fault),
        };
        // Somebody was quicker, or the list was not up to date.
        match dialect.find(from, into).await? {
            Some(number) => Ok(dialect.look(number).await?),
            None => Err(Fault::transient(
                UNREACHABLE,
                format!("{}; but its list does not have it yet", refused.message),
            )),
        }
    }

    async fn look(&self, forge: &Forge, number: u64, log: &CallLog) -> Result<PullRequest, Fault> {
        Ok(self.dialect(forge, log)?.look(number).await?)
    }

    async fn close(
        &self,
        forge: &Forge,
        number: u64,
        comment: &str,
        log: &CallLog,
    ) -> Result<PullRequest, Fault> {
        let dialect = self.dialect(forge, log)?;
        let now = dialect.look(number).await?;
        if now.state != PullRequestState::Open {
            return Ok(now);
        }
        explain(&*dialect, number, comment, log).await?;
        if let Err(failure) = dialect.shut(number).await {
            // Others may have merged or closed it meanwhile, which refuses this.
            let now = dialect.look(number).await?;
            if failure.fault.is_transient() || now.state == PullRequestState::Open {
                return Err(failure.fault);
            }
            return Ok(now);
        }
        log.line(LogLevel::Info, format!("closed pull request {number}"));
        Ok(dialect.look(number).await?)
    }
}

/// Adds a comment, unless it is there already: who closes is asked again after an
/// answer that was lost. A comment that is refused (the conversation may be locked)
/// keeps nothing open.
async fn explain(
    dialect: &dyn Dialect,
    number: u64,
    comment: &str,
    log: &CallLog,
) -> Result<(), Failure> {
    let same = |text: &str| text.replace("\r\n", "\n").trim() == comment.trim();
    // What can't be read is no reason to say nothing.
    let there = dialect.comments(number).await.unwrap_or_default();
    if comment.trim().is_empty() || there.iter().any(|text| same(text)) {
        return Ok(());
    }
    match dialect.comment(number, comment).await {
        Err(failure) if !failure.fault.is_transient() => {
            log.line(LogLevel::Warn, format!("no comment: {}", failure.fault));
            Ok(())
        }
        said => said,
    }
}
