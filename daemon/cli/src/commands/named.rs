//! Which deployment is meant, by its id or by where it is.

use deployd_core::DeploymentId;
use deployd_core::deployment::EnvironmentState;
use deployd_core::subject::{Subject, Which};

use crate::client::{Client, HistoryQuery};
use crate::error::CliError;

/// What the name of an environment alone stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// What runs there.
    Runs,
    /// What was asked for there last, whatever became of it.
    Newest,
    /// What is being deployed there.
    Active,
}

/// The deployment that a name stands for. A whole id is not asked about: the
/// question that follows says whether there is one.
pub(super) async fn deployment(
    client: &Client,
    of: &Subject,
    alone: Alone,
) -> Result<DeploymentId, CliError> {
    match of {
        Subject::Deployment(id) if id.len() == DeploymentId::CHARS => Ok(DeploymentId(id.clone())),
        Subject::Environment { environment, which: Which::Now } if alone == Alone::Newest => {
            let query = HistoryQuery {
                environment: Some(environment.clone()),
                cursor: None,
                limit: Some(1),
            };
            let newest = client.history(&query).await?.deployments.into_iter().next();
            newest.map(|record| record.id).ok_or_else(|| {
                CliError::Failed(format!("nothing was ever deployed in {environment}"))
            })
        }
        Subject::Environment { environment, which: Which::Now } if alone == Alone::Active => {
            let EnvironmentState { active, .. } = client.environment(environment).await?.state;
            active.map(|active| active.id).ok_or_else(|| {
                let message = format!("nothing is being deployed in {environment}");
                CliError::Failed(format!("{message}; `deployd history {environment}` has the ids"))
            })
        }
        _ => client
            .subject(of)
            .await?
            .deployment
            .ok_or_else(|| CliError::Usage(format!("{of} is a set, expected a deployment"))),
    }
}
