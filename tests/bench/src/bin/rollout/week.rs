//! A week of canaries that are checked each minute, in as little time as there is:
//! what it does to the daemon's memory and to its file.

use std::path::Path;
use std::time::Duration;

use bench::daemon::Daemon;
use bench::documents;
use bench::figures::Figures;
use deployd_practice::{Practice, PracticeOptions};

use super::canaries::{all_wait, deploy, mib};
use super::checked::Checked;

/// Measurements of one canary in a week, one a minute: as many as a check may ask
/// for, which is 80 less than a week has minutes.
const WEEK: u64 = 10_000;

/// The same in a day.
const DAY: u64 = WEEK / 7;

/// From one measurement to the next: the least that is allowed.
const INTERVAL_MS: u64 = 100;

/// The day after which memory is to stay as it is: until then the store fills its
/// cache of pages, 64 MiB, as it does with any use.
const WARM: u64 = 3;

/// How much more memory there may be after the week than after that day.
const FLAT: f64 = 1.1;

pub(crate) async fn bench(
    figures: &mut Figures,
    deployd: &Path,
    rollouts: usize,
) -> anyhow::Result<()> {
    let practice = Practice::start(PracticeOptions::new().pace(Duration::ZERO)).await?;
    let folder = tempfile::Builder::new().prefix("deployd-bench-").tempdir()?;
    let daemon = Daemon::start(deployd, folder.path()).await?;
    let checked = Checked::start().await?;
    let all = documents::environments(documents::MANY, rollouts)?;
    documents::apply(&daemon.client, &practice.kubeconfig(), documents::MANY, rollouts).await?;
    deploy(&daemon, &all, 1).await?;
    daemon.until_idle(Duration::from_secs(300)).await?;
    let timing = documents::Checked {
        port: checked.port,
        delay_ms: 0,
        interval_ms: INTERVAL_MS,
        count: WEEK,
    };
    documents::canaries(&daemon.client, timing).await?;
    let deployments = deploy(&daemon, &all, 2).await?;
    all_wait(&daemon, &deployments).await?;
    let file = folder.path().join("deployd.redb");
    let begun = std::fs::metadata(&file)?.len();
    let mut warm = 0.0;
    let mut last = 0.0;
    for day in 1..=7 {
        // One less than all of them: with the last the rollouts go on.
        let wanted = (day * DAY - 1) * rollouts as u64;
        while checked.asked().1 < wanted {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        last = mib(daemon.memory_bytes()?);
        if day == WARM {
            warm = last;
        }
        figures.figure(&format!("memory, {rollouts} rollouts, day {day}, MiB"), last);
    }
    let grown = std::fs::metadata(&file)?.len() - begun;
    let each = grown as f64 / 1024.0 / (WEEK as f64 * rollouts as f64);
    figures.figure("the file's growth, KiB per measurement", each);
    daemon.until_idle(Duration::from_secs(300)).await?;
    figures.goal(
        format!("memory after a week: at most {FLAT} times that of day {WARM}"),
        FLAT,
        last / warm,
        last / warm <= FLAT,
    );
    daemon.stop().await?;
    practice.shutdown();
    Ok(())
}
