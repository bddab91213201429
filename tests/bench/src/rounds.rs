//! Rounds of deployments: one to each of many environments.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use deployd_core::EnvironmentId;
use deployd_core::set::DeploymentSet;
use deployd_core::views::DeployRequest;
use futures::StreamExt;

use crate::daemon::Daemon;

/// Requests on their way at the same time: as many as a busy platform has.
pub const AT_ONCE: usize = 64;

/// The longest that all deployments of a round may take.
pub const ROUND_MAX: Duration = Duration::from_secs(900);

/// Deploys to all environments, and waits until all of it has succeeded.
///
/// # Errors
///
/// When one does not succeed, or all of it takes too long.
pub async fn deploy_all(
    daemon: &Daemon,
    all: &[EnvironmentId],
    set: &DeploymentSet,
) -> anyhow::Result<()> {
    let before = daemon.usage().await?;
    accept_all(daemon, all, set).await?;
    let began = Instant::now();
    loop {
        let now = before.until(&daemon.usage().await?);
        ensure!(now.not_succeeded == 0, "{} deployments did not succeed", now.not_succeeded);
        if now.succeeded >= all.len() as u64 {
            return Ok(());
        }
        ensure!(began.elapsed() < ROUND_MAX, "only {} have ended", now.succeeded);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks for a deployment to each of these environments.
///
/// # Errors
///
/// When one is not accepted.
pub async fn accept_all(
    daemon: &Daemon,
    all: &[EnvironmentId],
    set: &DeploymentSet,
) -> anyhow::Result<()> {
    let requests = all.iter().map(|id| async move {
        daemon.client.deploy(&request(id, set)).await.with_context(|| id.to_string())
    });
    let mut accepted = futures::stream::iter(requests).buffer_unordered(AT_ONCE);
    while let Some(answer) = accepted.next().await {
        answer?;
    }
    Ok(())
}

/// A deployment of a set to an environment.
pub fn request(id: &EnvironmentId, set: &DeploymentSet) -> DeployRequest {
    DeployRequest {
        environment: Some(id.clone()),
        set: Some(set.clone()),
        ..DeployRequest::default()
    }
}
