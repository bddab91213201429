//! Measures how an application becomes manifests, and its peers: prints one JSON
//! object of blocks.
//!
//! `cargo xtask bench render` fetches the peers, builds this, runs it, and says
//! what the figures mean. Every contender makes the same objects of the same two
//! workloads; before anything is measured they are compared, field by field.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod helm;
mod kustomize;
mod objects;
mod templater;

use std::path::Path;

use anyhow::Context;
use bench::Measured;
use helm::{HelmProcess, HelmSdk};
use kustomize::Kustomize;
use objects::{Objects, same};
use serde_json::Value;
use templater::Templater;

const APPLICATION: &str = include_str!("application.json");

/// Renders per block.
const RENDERS: usize = 200;
const PROCESSES: usize = 5;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [blocks, plugins, python, peers, helm, kubectl] = arguments.as_slice() else {
        anyhow::bail!("render BLOCKS PLUGINS PYTHON PEERS HELM KUBECTL");
    };
    let application: Value = serde_json::from_str(APPLICATION)?;
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.json");
    std::fs::write(&values, APPLICATION)?;
    let peers = Path::new(peers);
    let chart = peers.join("chart");

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ours = Templater::start(&runtime, Path::new(plugins), &application)?;
    let expected = Objects::of(ours.objects()?);
    let mut sdk = HelmSdk::start(Path::new(python), &peers.join("render.py"), &chart, &values)?;
    let process = HelmProcess::new(Path::new(helm), &chart, &values);
    let rendered = process.render()?;
    let kustomize = Kustomize::prepare(Path::new(kubectl), folder.path(), &rendered, &application)?;
    same(&expected, &sdk.objects()?).context("Helm in process")?;
    same(&expected, &Objects::read(&rendered)?).context("helm template")?;
    same(&expected, &Objects::read(&kustomize.render()?)?).context("kubectl kustomize")?;

    let mut measured = Measured::default();
    measured.facts.insert("objects", expected.count().to_string());
    // What is slow only once is no part of any block.
    ours.renders(RENDERS)?;
    sdk.renders(RENDERS)?;
    for block in 0..blocks.parse::<usize>()? {
        eprint!("\rblock {}/{blocks}", block + 1);
        measured.add("deployd", ours.renders(RENDERS)?);
        measured.add("Helm in process", sdk.renders(RENDERS)?);
        measured.add("helm template", process.renders(PROCESSES)?);
        measured.add("kubectl kustomize", kustomize.renders(PROCESSES)?);
    }
    eprintln!();
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
