//! Questions about the past of a store with a long history, beside the same data
//! and questions in PostgreSQL and SQLite; what one more deployment costs in it,
//! and how long a start takes.
//!
//! `history DEPLOYD PEERS APPLICATIONS VERSIONS BLOCKS`: the daemon's binary and the
//! peers' program; each version of each application is deployed to four
//! environments. Prints one JSON object of blocks.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod grow;
mod names;
mod nobody;
mod ours;
mod peers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::daemon::Daemon;
use bench::{Measured, documents};
use deployd_cli::Style;
use deployd_core::deployment::Outcome;
use deployd_core::set::DeploymentSet;
use deployd_core::views::DeployRequest;
use deployd_core::{DeploymentId, EnvironmentId};
use deployd_engine::Engine;
use deployd_practice::{Practice, PracticeOptions};
use deployd_store::{RedbStore, StoreOptions};
use names::ENVIRONMENTS;
use peers::Peers;
use postgresql_server::{Options, Server};
use serde_json::json;

/// The questions: a deployment; where a version is; where it was before it came
/// to production; the newest of an environment; what ran there at a time; how two
/// deployments differ.
const QUERIES: [&str; 6] = ["look-up", "where", "before", "timeline", "at", "diff"];

/// Contenders of each question, ours first.
const CONTENDERS: [[&str; 3]; 6] = [
    ["look-up, deployd", "look-up, PostgreSQL", "look-up, SQLite"],
    ["where, deployd", "where, PostgreSQL", "where, SQLite"],
    ["before, deployd", "before, PostgreSQL", "before, SQLite"],
    ["timeline, deployd", "timeline, PostgreSQL", "timeline, SQLite"],
    ["at, deployd", "at, PostgreSQL", "at, SQLite"],
    ["diff, deployd", "diff, PostgreSQL", "diff, SQLite"],
];

/// Questions of a kind in a block: enough for a 99th percentile.
const PER_BLOCK: usize = 200;

/// Deployments that are measured one by one, before the history and after it.
const ONE_MORE: usize = 21;

/// Of them in a block.
const PER_TURN: usize = 3;

/// What an operator gives PostgreSQL, whose defaults are for tiny machines.
const SETTINGS: &str = "shared_buffers = 512MB\nmax_wal_size = 4GB\n";

/// The application whose deployments are taken for templates.
const LIKE: &str = "app-zzzz";

fn main() -> anyhow::Result<()> {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [deployd, peers, applications, versions, blocks] = arguments.as_slice() else {
        anyhow::bail!("history DEPLOYD PEERS APPLICATIONS VERSIONS BLOCKS");
    };
    let size = (applications.parse()?, versions.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(
        &PathBuf::from(deployd),
        &PathBuf::from(peers),
        size,
        blocks.parse()?,
    ))?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn measure(
    deployd: &Path,
    peers: &Path,
    (applications, versions): (u64, u64),
    blocks: usize,
) -> anyhow::Result<Measured> {
    let folder = tempfile::Builder::new().prefix("deployd-bench-").tempdir()?;
    let data = folder.path().join("data");
    let file = data.join("deployd.redb");
    let mut measured = Measured::default();
    let total = applications * ENVIRONMENTS * versions;
    let practice = Practice::start(PracticeOptions::new().pace(Duration::ZERO)).await?;
    let environments = documents::environments(LIKE, usize::try_from(ENVIRONMENTS)?)?;
    let first = environments.first().context("no environment")?;

    let daemon = Daemon::start(deployd, &data).await?;
    documents::apply(&daemon.client, &practice.kubeconfig(), LIKE, environments.len()).await?;
    let mut template = None;
    for version in 0..2 {
        let set = documents::set(LIKE, version)?;
        for id in &environments {
            template = Some(one(&daemon, id, &set).await?.1);
        }
    }
    for times in more(&daemon, first, 100).await?.chunks(PER_TURN) {
        measured.add("one more, short history", times.to_vec());
    }
    daemon.stop().await?;

    let before = file.metadata()?.len();
    let begun = Instant::now();
    grow::grow(&data, LIKE, applications, versions, |count| {
        eprint!("\r   {count} of {total} deployments, {:.0} s", begun.elapsed().as_secs_f64());
    })
    .await?;
    eprintln!();
    let bytes = file.metadata()?.len().saturating_sub(before) / total.max(1);
    measured.facts.insert("deployments", total.to_string());
    measured.facts.insert("bytes of the store per deployment", bytes.to_string());

    let daemon = Daemon::start(deployd, &data).await?;
    measured.facts.insert("start to ready, ms", daemon.took.as_millis().to_string());
    for times in more(&daemon, first, 200).await?.chunks(PER_TURN) {
        measured.add("one more, long history", times.to_vec());
    }
    daemon.stop().await?;
    practice.shutdown();

    let store = Arc::new(RedbStore::open(&file, &StoreOptions::default())?);
    let engine = nobody::engine(store.clone());
    let documents = folder.path().join("documents.json");
    let template = template.context("nothing was deployed")?;
    std::fs::write(&documents, documents_of(&engine, &template).await?)?;
    let server = Server::start(&Options { settings: SETTINGS, ..Options::default() })?;
    let mut peers = Peers::start(peers, &server, &folder.path().join("peer.sqlite"), &documents)?;
    eprintln!("   the same in PostgreSQL and SQLite");
    measured.facts.insert("bytes of peers per deployment", peers.load(applications, versions)?);

    for block in 0..blocks {
        eprint!("\r   block {}/{blocks}", block + 1);
        for (query, [ours, postgresql, sqlite]) in QUERIES.iter().zip(CONTENDERS) {
            let (size, seed) = ((applications, versions), block as u64 + 1);
            measured.add(ours, ours::ask(&engine, query, size, seed, PER_BLOCK).await?);
            measured.add(postgresql, peers.ask("postgresql", query, seed, PER_BLOCK)?);
            measured.add(sqlite, peers.ask("sqlite", query, seed, PER_BLOCK)?);
        }
    }
    eprintln!();
    store.close().await;
    Ok(measured)
}

/// What peers keep of a deployment: as large as what we keep.
async fn documents_of(engine: &Engine, id: &DeploymentId) -> anyhow::Result<String> {
    let record = engine.deployment(id).await?;
    let set = engine.set(record.request.set).await?;
    let (plan, manifests) = (engine.plan_of(id).await?, engine.manifests(id).await?);
    let all = json!({"record": record, "set": set, "plan": plan, "manifests": manifests});
    Ok(all.to_string())
}

/// Some more deployments to an environment, one after the other.
async fn more(daemon: &Daemon, id: &EnvironmentId, from: usize) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for n in 0..ONE_MORE {
        times.push(one(daemon, id, &documents::set(LIKE, from + n)?).await?.0);
    }
    Ok(times)
}

async fn one(
    daemon: &Daemon,
    id: &EnvironmentId,
    set: &DeploymentSet,
) -> anyhow::Result<(Duration, DeploymentId)> {
    let request = DeployRequest {
        environment: Some(id.clone()),
        set: Some(set.clone()),
        ..DeployRequest::default()
    };
    let begun = Instant::now();
    let accepted = daemon.client.deploy(&request).await?;
    let record = deployd_cli::follow(&daemon.client, &accepted.id, Style::Silent).await?;
    ensure!(record.outcome == Some(Outcome::Succeeded), "deployment {}", accepted.id);
    Ok((begun.elapsed(), accepted.id))
}
