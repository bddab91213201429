//! Measures applying 500 objects, and applying them again when nothing has
//! changed: ours and kubectl's, over the same API server. Prints one JSON object
//! of blocks.
//!
//! `cargo xtask bench apply` builds this, runs it, and says what the figures mean.
//! Each turn has a namespace of its own, which is made before and removed after.
//! Ours begins each time with a client that knows nothing: connections and
//! discovery are in its figures, as the start of its process is in kubectl's.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod kubectl;
mod memory;
mod objects;
mod ours;
mod server;

use std::path::Path;

use anyhow::{Context, ensure};
use bench::Measured;
use kubectl::Kubectl;
use ours::Ours;
use server::Server;

/// Objects of a turn.
const OBJECTS: usize = 500;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", file] => server::serve(Path::new(file)).await,
        ["again", kubeconfig, namespace] => memory::again(Path::new(kubeconfig), namespace).await,
        [blocks, kubectl] => measure(blocks.parse()?, Path::new(kubectl), None).await,
        [blocks, kubectl, kubeconfig] => {
            measure(blocks.parse()?, Path::new(kubectl), Some(Path::new(kubeconfig))).await
        }
        _ => anyhow::bail!("apply BLOCKS KUBECTL [KUBECONFIG]"),
    }
}

async fn measure(blocks: usize, kubectl: &Path, given: Option<&Path>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = match given {
        Some(_) => None,
        None => Some(Server::start(folder.path()).await?),
    };
    let kubeconfig = match (&server, given) {
        (Some(server), _) => server.kubeconfig.clone(),
        (None, given) => given.context("no kubeconfig")?.to_owned(),
    };
    let objects = objects::objects(OBJECTS);
    let ours = Ours::new(&kubeconfig, objects.clone())?;
    let kubectl = Kubectl::new(kubectl, &kubeconfig, folder.path(), &objects)?;

    let mut measured = Measured::default();
    measured.facts.insert("objects", objects.len().to_string());
    let version = ours.version().await?;
    let sort = if server.is_some() { "the practice cluster, " } else { "" };
    measured.facts.insert("API server", format!("{sort}{version}"));
    // The first turn is no part of any block: files and caches are cold.
    for turn in 0..=blocks {
        eprint!("\r   Measuring turn {turn} of {blocks}");
        let namespace = format!("bench-{}-{turn}-a", std::process::id());
        ours.begin(&namespace).await?;
        let first = ours.apply(&namespace).await?;
        let versions = if turn == 0 { kubectl.versions(&namespace)? } else { Vec::new() };
        let unchanged = ours.apply(&namespace).await?;
        if turn == 0 {
            ensure!(versions.len() == objects.len(), "{} were applied", versions.len());
            ensure!(versions == kubectl.versions(&namespace)?, "applying again changed something");
        }
        let in_turn = ours.apply_in_turn(&namespace).await?;
        ours.end(&namespace).await?;

        let namespace = format!("bench-{}-{turn}-b", std::process::id());
        ours.begin(&namespace).await?;
        let their_first = kubectl.apply(&namespace)?;
        let their_unchanged = kubectl.apply(&namespace)?;
        if turn == 0 {
            let count = kubectl.versions(&namespace)?.len();
            ensure!(count == objects.len(), "kubectl applied {count}");
        }
        ours.end(&namespace).await?;
        if turn == 0 {
            continue;
        }
        measured.add("deployd, first", vec![first]);
        measured.add("deployd, nothing changed", vec![unchanged]);
        measured.add("deployd, first, one request at a time", vec![in_turn]);
        measured.add("kubectl, first", vec![their_first]);
        measured.add("kubectl, nothing changed", vec![their_unchanged]);
    }
    eprintln!();
    let (name, fact) = memory::measure(&kubeconfig).await?;
    measured.facts.insert(name, fact);
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
