//! Many canaries at once: begun, waiting, checked, failing.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::daemon::Daemon;
use bench::documents;
use bench::figures::Figures;
use deployd_core::views::DeployRequest;
use deployd_core::{DeploymentId, EnvironmentId};
use deployd_practice::{Practice, PracticeOptions};
use futures::StreamExt as _;

use super::checked::Checked;
use super::reaction;

/// Requests on their way at the same time.
const AT_ONCE: usize = 64;

/// Before canaries are checked first: all of them have to wait by then, and to
/// have waited for [`WATCHED`] while nothing was asked.
const DELAY: Duration = Duration::from_secs(150);

/// For how long it is watched what they cost.
const WATCHED: Duration = Duration::from_secs(30);

/// From one measurement of a canary to the next.
const INTERVAL: Duration = Duration::from_secs(5);

/// The longest that all of them may take to get anywhere.
const ROUND_MAX: Duration = Duration::from_secs(900);

/// Canaries whose pods fail, while the others go on: as many as a 99th percentile
/// takes.
const FAILING: usize = 100;

/// Connections that the practice cluster takes: each rollout that waits is watched
/// by four watches, and each watch is a connection.
const CONNECTIONS: usize = 16 * 1024;

/// How often an idle watch is told that nothing has changed, as on a real server.
const BOOKMARKS: Duration = Duration::from_secs(60);

/// The practice cluster's time before a container that has ended is started again:
/// a kubelet's ten seconds would only be waited for.
const BACK_OFF: Duration = Duration::from_millis(500);

pub(crate) async fn bench(
    figures: &mut Figures,
    deployd: &Path,
    rollouts: usize,
) -> anyhow::Result<()> {
    let options = PracticeOptions::new()
        .pace(Duration::ZERO)
        .back_off(BACK_OFF)
        .connections(CONNECTIONS)
        .bookmark_every(BOOKMARKS);
    let practice = Practice::start(options).await?;
    let folder = tempfile::Builder::new().prefix("deployd-bench-").tempdir()?;
    let daemon = Daemon::start(deployd, folder.path()).await?;
    let checked = Checked::start().await?;
    let all = documents::environments(documents::MANY, rollouts)?;
    eprintln!("   {rollouts} environments");
    documents::apply(&daemon.client, &practice.kubeconfig(), documents::MANY, rollouts).await?;
    deploy(&daemon, &all, 1).await?;
    daemon.until_idle(ROUND_MAX).await?;

    let timing = documents::Checked {
        port: checked.port,
        delay_ms: u64::try_from(DELAY.as_millis())?,
        interval_ms: u64::try_from(INTERVAL.as_millis())?,
        count: 10_000,
    };
    documents::canaries(&daemon.client, timing).await?;
    let began = Instant::now();
    let deployments = deploy(&daemon, &all, 2).await?;
    all_wait(&daemon, &deployments).await?;
    figures.figure("begun at once, all wait after s", began.elapsed().as_secs_f64());
    figures.figure("memory, all wait, MiB", mib(daemon.memory_bytes()?));

    let per_hour = 3_600.0 / WATCHED.as_secs_f64() / rollouts as f64;
    let before = daemon.usage().await?;
    tokio::time::sleep(WATCHED).await;
    let waiting_s = before.until(&daemon.usage().await?).processor_s * per_hour;
    ensure!(checked.asked().1 == 0, "canaries are checked before they are meant to be");
    figures.figure("waiting, processor s per rollout and hour", waiting_s);

    while checked.asked().0 < rollouts {
        ensure!(began.elapsed() < ROUND_MAX, "only {} are checked", checked.asked().0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (before, asked) = (daemon.usage().await?, checked.asked().1);
    tokio::time::sleep(WATCHED).await;
    let used = before.until(&daemon.usage().await?);
    let measured = (checked.asked().1 - asked) as f64;
    let waited_s = waiting_s / per_hour;
    let each_s = (used.processor_s - waited_s).max(0.0) / measured;
    figures.figure("a measurement, processor ms", each_s * 1e3);
    figures.figure("a measurement, KiB written", used.written_bytes as f64 / 1024.0 / measured);
    let hour_s = waiting_s + 60.0 * each_s;
    figures.figure("checked each minute, processor s per rollout and hour", hour_s);
    figures.figure("memory, all are checked, MiB", mib(daemon.memory_bytes()?));
    let ended = daemon.usage().await?.not_succeeded;
    ensure!(ended == 0, "{ended} rollouts have ended that should go on");

    let failing = all.iter().step_by((rollouts / FAILING).max(1)).take(FAILING);
    let failing: Vec<String> =
        failing.map(|id| format!("{}-{}", id.application, id.environment)).collect();
    reaction::bench(figures, &practice, &failing).await?;
    daemon.stop().await?;
    practice.shutdown();
    Ok(())
}

/// Asks for a version everywhere.
pub(crate) async fn deploy(
    daemon: &Daemon,
    all: &[EnvironmentId],
    version: usize,
) -> anyhow::Result<Vec<DeploymentId>> {
    let set = documents::set(documents::MANY, version)?;
    let requests = all.iter().map(|id| {
        let request = DeployRequest {
            environment: Some(id.clone()),
            set: Some(set.clone()),
            ..DeployRequest::default()
        };
        async move { daemon.client.deploy(&request).await.with_context(|| id.to_string()) }
    });
    let mut answers = futures::stream::iter(requests).buffer_unordered(AT_ONCE);
    let mut deployments = Vec::new();
    while let Some(answer) = answers.next().await {
        deployments.push(answer?.id);
    }
    Ok(deployments)
}

/// Waits until all rollouts do nothing but wait.
pub(crate) async fn all_wait(daemon: &Daemon, deployments: &[DeploymentId]) -> anyhow::Result<()> {
    let began = Instant::now();
    for id in deployments {
        loop {
            let record = daemon.client.deployment(id).await?;
            ensure!(record.outcome.is_none(), "{id} has ended: {:?}", record.fault);
            if record.work.as_ref().is_some_and(|work| work.waits().is_some()) {
                break;
            }
            ensure!(began.elapsed() < ROUND_MAX, "{id} does not get so far");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
