//! Questions about the past of a store with a long history, beside the same data
//! and questions in PostgreSQL and SQLite; what one more deployment costs in it,
//! and how long a start takes.
//!
//! `history DEPLOYD PEERS APPLICATIONS VERSIONS BLOCKS [FOLDER]`: the daemon's binary
//! and the peers' program; each version of each application is deployed to four
//! environments. Prints one JSON object of blocks. What was made stays in the
//! folder, if one is given, and is taken from there the next time.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod nobody;
mod ours;
mod peers;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::daemon::Daemon;
use bench::history::grow::grow;
use bench::history::names::{ENVIRONMENTS, Numbers, Place};
use bench::{Measured, documents};
use deployd_core::{DeploymentId, EnvironmentId};
use deployd_engine::Engine;
use deployd_practice::{Practice, PracticeOptions};
use deployd_store::{RedbStore, StoreOptions};
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

/// Deployments that are measured one by one.
const ONE_MORE: usize = 21;

/// Of them in a block.
const PER_TURN: usize = 3;

/// When they are measured: how they are called, and the fact that says how many
/// deployments there were.
const ONE_MORE_AFTER: [(&str, &str); 3] = [
    ("one more, short history", "deployments in the short history"),
    ("one more, longer history", "deployments in the longer history"),
    ("one more, whole history", "deployments in the whole history"),
];

/// Answers that are compared, of each question.
const COMPARED: u64 = 10;

/// What an operator gives PostgreSQL, whose defaults are for tiny machines.
const SETTINGS: &str = "shared_buffers = 1GB\neffective_cache_size = 8GB\nwork_mem = 32MB\nrandom_page_cost = 1.1\nmax_wal_size = 8GB\nmaintenance_work_mem = 512MB\n";

/// The application whose deployments are taken for templates.
const LIKE: &str = "app-zzzz";

fn main() -> anyhow::Result<()> {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [deployd, peers, applications, versions, blocks, folder @ ..] = arguments.as_slice() else {
        anyhow::bail!("history DEPLOYD PEERS APPLICATIONS VERSIONS BLOCKS [FOLDER]");
    };
    let temporary = tempfile::Builder::new().prefix("deployd-bench-").tempdir()?;
    let folder = folder.first().map_or(temporary.path().to_owned(), PathBuf::from);
    let bench = Bench {
        deployd: deployd.into(),
        peers: peers.into(),
        data: folder.join("data"),
        applications: applications.parse()?,
        versions: versions.parse()?,
        blocks: blocks.parse()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut measured = Measured::default();
    runtime.block_on(async {
        if !bench.file().exists() {
            bench.grow(&mut measured).await?;
        }
        bench.ask(&mut measured, &folder).await
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

struct Bench {
    deployd: PathBuf,
    peers: PathBuf,
    data: PathBuf,
    applications: u64,
    versions: u64,
    blocks: usize,
}

impl Bench {
    fn file(&self) -> PathBuf {
        self.data.join("deployd.redb")
    }

    /// Has a daemon make a few deployments, and makes all others of them; what one
    /// more costs meanwhile, and how long the daemon takes to start in the end.
    async fn grow(&self, measured: &mut Measured) -> anyhow::Result<()> {
        let per_application = ENVIRONMENTS * self.versions;
        let total = self.applications * per_application;
        measured.facts.insert("deployments", total.to_string());
        let practice = Practice::start(PracticeOptions::new().pace(Duration::ZERO)).await?;
        let environments = documents::environments(LIKE, usize::try_from(ENVIRONMENTS)?)?;
        let daemon = Daemon::start(&self.deployd, &self.data).await?;
        documents::apply(&daemon.client, &practice.kubeconfig(), LIKE, environments.len()).await?;
        for version in 0..2 {
            let set = documents::set(LIKE, version)?;
            for id in &environments {
                documents::deploy(&daemon.client, id, &set).await?;
            }
        }
        let names: Vec<String> = (0..self.applications).map(|n| format!("app-{n:04}")).collect();
        documents::apply_more(&daemon.client, &names, environments.len()).await?;
        daemon.stop().await?;

        let before = self.file().metadata()?.len();
        let (begun, mut there) = (Instant::now(), 0);
        for (stage, upto) in [(0, 1), (1, 20), (2, u64::MAX)] {
            let upto = self.applications.min(upto);
            let had = there * per_application;
            grow(&self.data, LIKE, there..upto, self.versions, |count| {
                let so_far = begun.elapsed().as_secs_f64();
                eprint!("\r   {} of {total} deployments, {so_far:.0} s", had + count);
            })
            .await?;
            eprintln!();
            there = upto;
            let daemon = Daemon::start(&self.deployd, &self.data).await?;
            let first = environments.first().context("no environment")?;
            let (contender, fact) = ONE_MORE_AFTER.get(stage).context("no such stage")?;
            measured.facts.insert(fact, (there * per_application).to_string());
            for times in more(&daemon, first, 100 * (stage + 1)).await?.chunks(PER_TURN) {
                measured.add(contender, times.to_vec());
            }
            daemon.stop().await?;
        }
        practice.shutdown();
        let bytes = self.file().metadata()?.len().saturating_sub(before) / total.max(1);
        measured.facts.insert("bytes of the store per deployment", bytes.to_string());
        Ok(())
    }

    /// Asks all contenders the same.
    async fn ask(&self, measured: &mut Measured, folder: &Path) -> anyhow::Result<()> {
        let daemon = Daemon::start(&self.deployd, &self.data).await?;
        measured.facts.insert("start to ready, ms", daemon.took.as_millis().to_string());
        daemon.kill().await?;
        let daemon = Daemon::start(&self.deployd, &self.data).await?;
        let took = daemon.took.as_millis().to_string();
        measured.facts.insert("start to ready after SIGKILL, ms", took);
        daemon.stop().await?;

        let store = Arc::new(RedbStore::open(self.file(), &StoreOptions::default())?);
        let engine = nobody::engine(store.clone());
        let documents = folder.join("documents.json");
        let template = Place { application: 0, environment: ENVIRONMENTS - 1, version: 1 };
        std::fs::write(&documents, documents_of(&engine, &template.deployment()).await?)?;
        let server = Server::start(&Options { settings: SETTINGS, ..Options::default() })?;
        let sqlite = folder.join("peer.sqlite");
        // It may be there from another time.
        if sqlite.exists() {
            std::fs::remove_file(&sqlite)?;
        }
        let mut peers = Peers::start(&self.peers, &server, &sqlite, &documents)?;
        eprintln!("   the same in PostgreSQL and SQLite");
        let bytes = peers.load(self.applications, self.versions)?;
        measured.facts.insert("bytes of peers per deployment", bytes);

        // Whoever was written last would be in the system's memory, and others not.
        for file in [&self.file(), &sqlite] {
            std::io::copy(&mut File::open(file)?, &mut std::io::sink())?;
        }
        self.same_answers(&engine, &mut peers).await?;
        for block in 0..self.blocks {
            eprint!("\r   block {}/{}", block + 1, self.blocks);
            for (query, [ours, postgresql, sqlite]) in QUERIES.iter().zip(CONTENDERS) {
                let (size, seed) = ((self.applications, self.versions), block as u64 + 1);
                measured.add(ours, ours::ask(&engine, query, size, seed, PER_BLOCK).await?);
                measured.add(postgresql, peers.ask("postgresql", query, seed, PER_BLOCK)?);
                measured.add(sqlite, peers.ask("sqlite", query, seed, PER_BLOCK)?);
            }
        }
        eprintln!();
        store.close().await;
        Ok(())
    }

    /// Fails where contenders do not say the same.
    async fn same_answers(&self, engine: &Engine, peers: &mut Peers) -> anyhow::Result<()> {
        for query in QUERIES {
            for seed in 0..COMPARED {
                let place = Numbers(seed).place(self.applications, self.versions);
                let ours = ours::answer(engine, query, place, self.versions).await?;
                for peer in ["postgresql", "sqlite"] {
                    let theirs = peers.answer(peer, query, seed)?;
                    ensure!(ours == theirs, "{query} of {place:?}: {ours}, and {peer}: {theirs}");
                }
            }
        }
        Ok(())
    }
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
        times
            .push(documents::deploy(&daemon.client, id, &documents::set(LIKE, from + n)?).await?.0);
    }
    Ok(times)
}
