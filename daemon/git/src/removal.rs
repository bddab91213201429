//! Removes branches that we have made.

use deployd_core::Fault;
use deployd_core::ports::{CallLog, LogLevel};

use crate::fault;
use crate::protocol::{Advertisement, Refusal, push_request, read_report};
use crate::repository::{Reader, Repository};
use crate::transport::Service;

/// How often is looked again, after others have moved the branch or a connection broke.
const TRIES: u32 = 3;

/// Removes a branch if its last commit is one of ours, and it is not the repository's own
/// branch. One that is gone, or has something of others, is left alone.
pub(crate) async fn remove(
    repository: &Repository,
    branch: &str,
    log: &CallLog,
) -> Result<(), Fault> {
    let mut last = fault::unreachable(format!("the branch {branch} can't be removed"));
    for _ in 0..TRIES {
        match attempt(repository, branch, log).await {
            Err(fault) if fault.is_transient() => last = fault,
            other => return other,
        }
    }
    Err(last)
}

async fn attempt(repository: &Repository, branch: &str, log: &CallLog) -> Result<(), Fault> {
    let left = |why: &str| {
        let message = format!("the branch {branch} of {} is left as it is: {why}", repository.name);
        log.line(LogLevel::Info, message);
        Ok(())
    };
    let (mut session, told) = repository.route.open(Service::ReceivePack).await?;
    let server = Advertisement::read(&told)?;
    let Some(tip) = server.branch(branch) else {
        return left("it is gone already");
    };
    let mut reader = Reader::new(repository);
    if reader.head(branch).await?.1 {
        return left("it is the repository's default branch");
    }
    let commits = reader.commits(tip, 1).await?;
    if !commits.iter().any(|commit| commit.id == tip && !commit.keys.is_empty()) {
        return left("its last commit is not deployd's");
    }
    let request = push_request(&server, branch, Some(tip), None, &[]);
    let answer = session.ask(request).await?;
    match read_report(&server, &answer, branch)?.result {
        Ok(()) => Ok(()),
        Err(Refusal::Forbidden(reason)) => Err(Fault::denied(
            fault::PROTECTED,
            format!(
                "the server does not let deployd remove the branch {branch} of {}: {reason}",
                repository.name
            ),
        )),
        Err(Refusal::Moved(reason) | Refusal::Failed(reason)) => Err(fault::unreachable(format!(
            "the branch {branch} of {} can't be removed: {reason}",
            repository.name
        ))),
    }
}
