//! `cargo xtask bench NAME`: measures one thing beside what others use for it.
//!
//! How to read what it says: times depend on the machine and on what else it
//! does, so a goal is a ratio within one run. Contenders take turns, a block
//! each; a ratio is the median over all blocks, and a goal is reached when the
//! lower end of its 95 % confidence interval reaches it ([`blocks`]). The last
//! line is one JSON object, for machines; the exit code says whether all goals
//! are reached.

mod apply;
mod blocks;
mod go_peer;
mod hostile;
mod intake;
mod plugin_call;
mod render;
mod report;

use anyhow::bail;
use clap::ValueEnum;
use std::path::Path;

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// 500 objects are applied, and applied again, beside kubectl.
    Apply,
    /// A call of a plugin, beside go-plugin and processes; loading all plugins.
    PluginCall,
    /// An application becomes manifests, beside Helm and Kustomize.
    Render,
    /// Calls of a good plugin, by itself and beside hostile ones.
    Hostile,
    /// Requests taken for good, beside PostgreSQL and Restate.
    Intake,
}

/// Measures, prints a table and a line of JSON; an error when a goal is missed.
pub(crate) fn bench(root: &Path, name: Name, blocks: usize) -> anyhow::Result<()> {
    let report = match name {
        Name::Apply => apply::bench(root, blocks)?,
        Name::PluginCall => plugin_call::bench(root, blocks)?,
        Name::Render => render::bench(root, blocks)?,
        Name::Hostile => hostile::bench(root, blocks)?,
        Name::Intake => return intake::bench(root, blocks),
    };
    print!("{report}");
    println!("{}", report.json());
    if !report.ok() {
        bail!("a goal is missed");
    }
    Ok(())
}
