//! What one more deployment costs, with histories of three lengths behind it: three
//! daemons with the same documents, each with a cluster of its own, take turns.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bench::daemon::Daemon;
use bench::history::grow::grow;
use bench::history::names::ENVIRONMENTS;
use bench::{Measured, documents};
use deployd_core::EnvironmentId;
use deployd_practice::{Practice, PracticeOptions};

use crate::Bench;

/// The application whose deployments are taken for templates.
pub(crate) const LIKE: &str = "app-zzzz";

/// Of the histories: how they are called, the fact that says how many deployments
/// there are, and of how many applications at most.
const LENGTHS: [(&str, &str, u64); 3] = [
    ("one more, short history", "deployments in the short history", 1),
    ("one more, longer history", "deployments in the longer history", 20),
    ("one more, whole history", "deployments in the whole history", u64::MAX),
];

/// Turns that each takes.
const TURNS: usize = 9;

/// Deployments in a turn.
const PER_TURN: usize = 5;

/// A daemon that uses less of a processor has nothing to do.
const CALM: f64 = 0.05;

/// What a daemon does after its start, for all environments that it has, it does within
/// this.
const CALM_WITHIN: Duration = Duration::from_secs(120);

/// A daemon that is deployed to.
struct Contender {
    name: &'static str,
    daemon: Daemon,
    environment: EnvironmentId,
    /// The next version, which was never deployed.
    version: usize,
    /// What it deploys to; goes last.
    _cluster: Practice,
}

/// Makes the histories that are not there, and measures. The longest one is left in
/// the folder of `bench`.
pub(crate) async fn measure(bench: &Bench, measured: &mut Measured) -> anyhow::Result<()> {
    let others = tempfile::Builder::new().prefix("deployd-bench-").tempdir()?;
    let mut contenders = Vec::new();
    for (name, fact, at_most) in LENGTHS {
        let applications = bench.applications.min(at_most);
        let count = applications * ENVIRONMENTS * bench.versions;
        measured.facts.insert(fact, count.to_string());
        let data = match applications == bench.applications {
            true => bench.data.clone(),
            false => others.path().join(applications.to_string()),
        };
        let cluster = Practice::start(PracticeOptions::new().pace(Duration::ZERO)).await?;
        if !Bench::file_in(&data).exists() {
            let bytes = make(bench, &data, &cluster, applications).await?;
            if data == bench.data {
                let fact = "bytes of the store per deployment";
                measured.facts.insert(fact, (bytes / count.max(1)).to_string());
            }
        }
        contenders.push(Contender::start(bench, name, data, cluster).await?);
    }
    // One that waits for the others lets them have both processors.
    for contender in &contenders {
        contender.until_calm().await?;
    }
    for _ in 0..TURNS {
        for contender in &mut contenders {
            measured.add(contender.name, contender.some().await?);
        }
    }
    for contender in contenders {
        contender.daemon.stop().await?;
    }
    Ok(())
}

/// Has a daemon make a few deployments, and makes all others of them; bytes of those.
async fn make(
    bench: &Bench,
    data: &Path,
    cluster: &Practice,
    applications: u64,
) -> anyhow::Result<u64> {
    let environments = documents::environments(LIKE, usize::try_from(ENVIRONMENTS)?)?;
    let daemon = Daemon::start(&bench.deployd, data).await?;
    documents::apply(&daemon.client, &cluster.kubeconfig(), LIKE, environments.len()).await?;
    for version in 0..2 {
        let set = documents::set(LIKE, version)?;
        for id in &environments {
            documents::deploy(&daemon.client, id, &set).await?;
        }
    }
    // All have the same documents, also those with a short history.
    let names: Vec<String> = (0..bench.applications).map(|n| format!("app-{n:04}")).collect();
    documents::apply_more(&daemon.client, &names, environments.len()).await?;
    daemon.stop().await?;

    let total = applications * ENVIRONMENTS * bench.versions;
    let before = Bench::file_in(data).metadata()?.len();
    let begun = Instant::now();
    grow(data, LIKE, 0..applications, bench.versions, |count| {
        let so_far = begun.elapsed().as_secs_f64();
        eprint!("\r   {count} of {total} deployments, {so_far:.0} s");
    })
    .await?;
    eprintln!();
    Ok(Bench::file_in(data).metadata()?.len().saturating_sub(before))
}

impl Contender {
    async fn start(
        bench: &Bench,
        name: &'static str,
        data: PathBuf,
        cluster: Practice,
    ) -> anyhow::Result<Self> {
        let daemon = Daemon::start(&bench.deployd, &data).await?;
        // That of a history which was there before is gone.
        let kubeconfig = cluster.kubeconfig();
        daemon.client.set_secret(&"bench-cluster".parse()?, kubeconfig.into_bytes()).await?;
        let environments = documents::environments(LIKE, 1)?;
        let environment = environments.into_iter().next().context("no environment")?;
        // Greater than at any time before.
        let version = usize::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let mut contender = Self { name, daemon, environment, version, _cluster: cluster };
        // The first one after a start compiles what it calls, and is not measured.
        contender.some().await?;
        Ok(contender)
    }

    async fn some(&mut self) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..PER_TURN {
            self.version += 1;
            let set = documents::set(LIKE, self.version)?;
            times.push(documents::deploy(&self.daemon.client, &self.environment, &set).await?.0);
        }
        Ok(times)
    }

    /// Waits until a daemon has done what it does after its start.
    async fn until_calm(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let before = self.daemon.usage().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let used = before.until(&self.daemon.usage().await?).processor_s;
            if used < CALM {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < CALM_WITHIN, "{} is not calm: {used}", self.name);
        }
    }
}
