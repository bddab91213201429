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
mod one_more;
mod ours;
mod peers;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bench::Measured;
use bench::daemon::Daemon;
use bench::history::names::{ENVIRONMENTS, Numbers, Place};
use deployd_core::DeploymentId;
use deployd_engine::Engine;
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

/// Turns with a contender's file in memory. All three may be larger than memory is, and
/// whoever was read last would find more of it there.
const TURNS: usize = 3;

/// Answers that are compared, of each question.
const COMPARED: u64 = 10;

/// What an operator gives PostgreSQL, whose defaults are for tiny machines.
const SETTINGS: &str = "shared_buffers = 1GB\neffective_cache_size = 8GB\nwork_mem = 32MB\nrandom_page_cost = 1.1\nmax_wal_size = 8GB\nmaintenance_work_mem = 512MB\n";

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
    measured.facts.insert("deployments", bench.deployments().to_string());
    runtime.block_on(async {
        one_more::measure(&bench, &mut measured).await?;
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
    /// All of them.
    fn deployments(&self) -> u64 {
        self.applications * ENVIRONMENTS * self.versions
    }

    fn file_in(data: &Path) -> PathBuf {
        data.join("deployd.redb")
    }

    fn file(&self) -> PathBuf {
        Self::file_in(&self.data)
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

        self.same_answers(&engine, &mut peers).await?;
        let files = [self.file(), server.data(), sqlite];
        let blocks: Vec<usize> = (0..self.blocks).collect();
        for (turn, blocks) in blocks.chunks(self.blocks.div_ceil(TURNS).max(1)).enumerate() {
            for (contender, file) in files.iter().enumerate() {
                eprint!(
                    "\r   turn {}/{TURNS}, contender {}/{}",
                    turn + 1,
                    contender + 1,
                    files.len()
                );
                read(file)?;
                let (size, names) =
                    ((self.applications, self.versions), QUERIES.iter().zip(CONTENDERS));
                for (seed, (query, names)) in blocks
                    .iter()
                    .flat_map(|block| names.clone().map(move |it| (*block as u64 + 1, it)))
                {
                    let times = match contender {
                        0 => ours::ask(&engine, query, size, seed, PER_BLOCK).await?,
                        1 => peers.ask("postgresql", query, seed, PER_BLOCK)?,
                        _ => peers.ask("sqlite", query, seed, PER_BLOCK)?,
                    };
                    measured.add(names.get(contender).context("no such contender")?, times);
                }
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

/// Reads a file, or all files below a folder, so that they are in the system's memory.
fn read(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            read(&entry?.path())?;
        }
    } else if path.is_file() {
        std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
    }
    Ok(())
}
