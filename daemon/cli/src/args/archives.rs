//! Arguments of commands that take past deployments along.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use deployd_core::EnvironmentId;
use deployd_core::subject::Subject;

/// Take a past deployment along, or verify what was taken along.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(after_help = "\
The archive has the deployment's record, its set, plan, manifests and results, the documents that its
plan follows from, the plugins that made it, its log, and its events with their hashes: all that
another deployd needs to show it, to compare it and to make it again. Values of secrets are not in it.
It is a tar archive of members that are each compressed with zstd.

Examples:
  deployd export shop/production
  deployd export shop/production#12 --out shop-12.tar --without-plugins
  deployd export verify shop-12.tar")]
pub struct ExportArgs {
    /// The deployment: an id, APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Option<Subject>,
    /// The file to write [default: APP-ENV-NUMBER.tar]
    #[arg(long, value_name = "FILE", requires = "of")]
    pub out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "of")]
    pub force: bool,
    /// Leave the plugins out: then it can be replayed where they are
    #[arg(long, requires = "of")]
    pub without_plugins: bool,
    /// Or else what to do.
    #[command(subcommand)]
    pub command: Option<ExportCommand>,
}

/// Something to do with an archive.
#[derive(Debug, Clone, Subcommand)]
pub enum ExportCommand {
    /// Verify an archive, without a daemon
    #[command(after_help = "\
Names all that is damaged, missing or additional; ends with 1 when anything is. It is verified that
all of it is as it was written, and that its events are an unbroken chain. Who has written it is not:
compare the hash of the last event with `deployd journal` of the installation that it is from.

Examples:
  deployd export verify shop-production-12.tar
  deployd export verify shop-production-12.tar -o json")]
    Verify {
        /// What `deployd export` has written
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Import a deployment, or take over what runs already.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The archive is verified wholly before anything of it is kept. What is imported is shown, compared and
replayed by its id; it is in no history, inventory or figure of this installation. Importing the same
again changes nothing.

With --manifests, Score files and definitions are proposed for what runs already: the same as
`deployd adopt`, whose help says more.

Examples:
  deployd import shop-production-12.tar
  deployd import
  kustomize build . | deployd import --manifests - --environment shop/production --out proposal")]
pub struct ImportArgs {
    /// What `deployd export` has written; without it, lists what was imported
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Files and directories of Kubernetes manifests to take over; - for standard input
    #[arg(
        long,
        value_name = "PATH",
        num_args = 1..,
        requires = "environment",
        conflicts_with = "file"
    )]
    pub manifests: Vec<String>,
    /// The application and environment to propose for them
    #[arg(long, value_name = "APP/ENV", requires = "manifests")]
    pub environment: Option<EnvironmentId>,
    /// The namespace they are in [default: the one that they name]
    #[arg(long, value_name = "NAME", requires = "manifests")]
    pub namespace: Option<String>,
    /// Write the proposal into this directory
    #[arg(long, value_name = "DIR", requires = "manifests")]
    pub out: Option<PathBuf>,
    /// Write over files that are there
    #[arg(long, requires = "out")]
    pub force: bool,
}
