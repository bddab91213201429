//! Measures how databases and names are made on real servers, by the shipped
//! drivers and by a native program: prints one JSON object of blocks.
//!
//! `cargo xtask bench provision` builds this, runs it, and says what the figures
//! mean. Both do the same things on the servers, one resource after the other,
//! and what comes of it is compared before anything is measured.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod native;
mod ours;
mod servers;
mod vault;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench::Measured;
use native::Native;
use ours::Ours;
use servers::Servers;

/// Databases and names that each contender makes per block.
const PER_BLOCK: usize = 5;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [blocks, plugins, native] = arguments.as_slice() else {
        anyhow::bail!("provision BLOCKS PLUGINS NATIVE");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(blocks.parse()?, Path::new(plugins), Path::new(native)))
}

async fn measure(blocks: usize, plugins: &Path, native: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let servers = Servers::start(folder.path())?;
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, &servers.authority)?;
    let ours = Ours::start(plugins, &servers).await?;
    let mut native = Native::start(native, &servers, &authority)?;

    // The same comes of both; and what is slow only once is no part of any block.
    ours.database(0).await?;
    native.make("database", 0, 1)?;
    let first = servers.description("deployd_0")?;
    let second = servers.description("native_0")?.replace("native_0", "deployd_0");
    ensure!(first == second, "the databases differ:\n{first}\n{second}");
    ours.name(0).await?;
    native.make("name", 0, 1)?;
    let (first, second) = (servers.records("deployd-0")?, servers.records("native-0")?);
    ensure!(!first.is_empty() && first == second, "the names differ: {first:?}, {second:?}");
    servers.clear()?;

    let mut measured = Measured::default();
    for block in 0..blocks {
        eprint!("\rblock {}/{blocks}", block + 1);
        let first = block * PER_BLOCK + 1;
        let all = first..first + PER_BLOCK;
        let databases = took(all.clone(), async |number| ours.database(number).await).await?;
        let native_databases = native.make("database", first, PER_BLOCK)?;
        let names = took(all, async |number| ours.name(number).await).await?;
        let native_names = native.make("name", first, PER_BLOCK)?;
        measured.add("deployd", both(&databases, &names));
        measured.add("native", both(&native_databases, &native_names));
        measured.add("databases, deployd", databases);
        measured.add("databases, native", native_databases);
        measured.add("names, deployd", names);
        measured.add("names, native", native_names);
        servers.clear().context("taking away what a block has made")?;
    }
    eprintln!();
    measured.facts.insert("databases and names", (blocks * PER_BLOCK).to_string());
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// A database and a name.
fn both(databases: &[Duration], names: &[Duration]) -> Vec<Duration> {
    databases.iter().zip(names).map(|(database, name)| *database + *name).collect()
}

/// How long each takes, one after the other.
async fn took(
    numbers: impl Iterator<Item = usize>,
    make: impl AsyncFn(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in numbers {
        let begun = std::time::Instant::now();
        make(number).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}
