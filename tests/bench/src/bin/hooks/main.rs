//! A burst of deliveries, as when a forge comes back after an outage: how many are taken
//! a second, how soon what they tell of has a plan, whether one is lost or counts twice.
//!
//! `hooks DEPLOYD APPLICATIONS VERSIONS`: the daemon's binary, applications, and versions
//! of each that are told of. Each has one environment, to which what is told of goes by
//! itself. Prints a table, and one JSON object as its last line.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]
#![allow(clippy::indexing_slicing, reason = "of JSON: null where there is nothing")]

mod burst;
mod counted;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::daemon::Daemon;
use bench::documents;
use bench::figures::{Figures, ms, quantile};
use deployd_practice::{Practice, PracticeOptions};

use burst::{Burst, Version};

/// The longest that all deployments of a burst may take.
const BURST_MAX: Duration = Duration::from_secs(1_800);

/// Deliveries of the burst that are sent once more, as forges do that saw no answer.
const AGAIN: usize = 500;

/// What an answer takes at most, for 99 of 100: forges give up after 10 s.
const ANSWER_MS_MAX: f64 = 1_000.0;

fn main() -> anyhow::Result<()> {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args_os().skip(1);
    let deployd = PathBuf::from(arguments.next().context("expected the daemon's binary")?);
    let mut number = |what: &str| -> anyhow::Result<usize> {
        let text = arguments.next().with_context(|| format!("expected the number of {what}"))?;
        text.to_string_lossy().parse().with_context(|| what.to_owned())
    };
    let (applications, versions) = (number("applications")?.max(1), number("versions")?.max(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures = runtime.block_on(bench(&deployd, applications, versions))?;
    print!("{figures}");
    println!("{}", figures.json());
    ensure!(figures.ok(), "a goal is missed");
    Ok(())
}

async fn bench(deployd: &Path, applications: usize, versions: usize) -> anyhow::Result<Figures> {
    let mut figures = Figures::new("hooks");
    let practice = Practice::start(PracticeOptions::new().pace(Duration::ZERO)).await?;
    let folder = tempfile::Builder::new().prefix("deployd-bench-").tempdir()?;
    eprintln!("   {applications} applications");
    let daemon = Daemon::start(deployd, &folder.path().join("data")).await?;
    documents::apply(&daemon.client, &practice.kubeconfig(), documents::MANY, 1).await?;
    burst::apply(&daemon, applications).await?;

    // The second is what CI would do that announces by itself, for the same daemon.
    let delivered = Burst { applications, versions, first: 0 };
    let announced = Burst { applications, versions, first: versions };
    eprintln!("   {} deliveries", delivered.len());
    let sent = delivered.deliver(&daemon).await?;
    delivered.deliver_again(&daemon, AGAIN).await?;
    counted::until_read(&daemon, BURST_MAX).await?;
    daemon.until_idle(BURST_MAX).await?;
    let found = counted::count(&daemon, &delivered, &sent).await?;

    eprintln!("   {} announcements", announced.len());
    let asked = announced.announce(&daemon).await?;
    daemon.until_idle(BURST_MAX).await?;
    practice.shutdown();

    figures.figure("deliveries taken per second", sent.rate());
    figures.figure("a delivery's answer, ms, p50", quantile(sent.answers.iter().map(ms), 0.5));
    let p99 = quantile(sent.answers.iter().map(ms), 0.99);
    figures.figure("a delivery's answer, ms, p99", p99);
    figures.figure("announcements taken per second", asked.rate());
    figures
        .figure("an announcement's answer, ms, p99", quantile(asked.answers.iter().map(ms), 0.99));
    figures.ratio("deliveries : announcements, per second".to_owned(), sent.rate() / asked.rate());
    figures.figure("deployments that were planned", found.plans_ms.len() as f64);
    figures.figure(
        "from a delivery to its plan, ms, p50",
        quantile(found.plans_ms.iter().copied(), 0.5),
    );
    figures.figure(
        "from a delivery to its plan, ms, p99",
        quantile(found.plans_ms.iter().copied(), 0.99),
    );
    let answer = format!("99 of 100 deliveries are answered within {ANSWER_MS_MAX} ms");
    figures.goal(answer, ANSWER_MS_MAX, p99, p99 <= ANSWER_MS_MAX);
    let newest = "the newest version runs everywhere but in so many environments".to_owned();
    figures.goal(newest, 0.0, found.not_newest as f64, found.not_newest == 0);
    figures.goal("deliveries that are lost".to_owned(), 0.0, found.lost as f64, found.lost == 0);
    let doubled = found.doubled;
    let name = format!("deliveries that count twice, {AGAIN} of them sent once more");
    figures.goal(name, 0.0, doubled as f64, doubled == 0);
    daemon.stop().await?;
    Ok(figures)
}

/// Names of applications, and their images.
fn application(number: usize) -> String {
    format!("app-{number}")
}

impl Version {
    /// The image without tag and digest.
    fn repository(self) -> String {
        format!("registry.test/{}", application(self.application))
    }

    /// Its digest: of nothing, since nobody asks for it.
    fn digest(self) -> String {
        format!("sha256:{:032x}{:032x}", self.application + 1, self.number + 1)
    }
}
