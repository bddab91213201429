//! Arguments of `deployd draft`.

use clap::{Args, Subcommand};
use deployd_core::{Digest, EnvironmentId, Name};

use super::Watching;

/// Something to do with drafts.
#[derive(Debug, Clone, Subcommand)]
pub enum DraftCommand {
    /// Begin a draft: a delta that is prepared, shared, and then deployed or dropped
    Create(DraftCreateArgs),
    /// List the drafts of an application
    List(DraftListArgs),
    /// Show a draft: its delta, and who has changed it
    Show(DraftIdArgs),
    /// Give a draft another delta, if nobody else has changed it since you read it
    Edit(DraftEditArgs),
    /// Deploy a draft, as a delta to what runs, and watch
    Deploy(DraftDeployArgs),
    /// Drop a draft; the journal keeps what it was
    Drop(DraftIdArgs),
}

/// Begin a draft.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd draft create shop/production --delta change.yaml -m 'more workers'
  deployd diff shop/staging#7 shop/staging --delta | deployd draft create shop/production --delta -")]
pub struct DraftCreateArgs {
    /// Where it is to be deployed, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// What it changes: a file of JSON or YAML, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub delta: Option<String>,
    /// What it is about
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub title: Option<String>,
}

/// Edit a draft.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd draft show 4m0zta51xk > change.yaml     # says which version it is
  deployd draft edit 4m0zta51xk --version 3 --delta change.yaml")]
pub struct DraftEditArgs {
    /// The draft
    #[arg(value_name = "ID")]
    pub id: String,
    /// The version that you have read, as `deployd draft show` says it
    #[arg(long, value_name = "NUMBER")]
    pub version: u64,
    /// What it changes from now on: a file of JSON or YAML, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub delta: String,
}

/// Deploy a draft.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd draft deploy 4m0zta51xk --dry-run
  deployd draft deploy 4m0zta51xk --version 3 --no-watch")]
pub struct DraftDeployArgs {
    /// The draft
    #[arg(value_name = "ID")]
    pub id: String,
    /// Deploy it only as this version
    #[arg(long, value_name = "NUMBER")]
    pub version: Option<u64>,
    /// Why, for people; the draft's title when not given
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
    /// Execute nothing but the plan with this digest, as --dry-run shows it
    #[arg(long, value_name = "DIGEST")]
    pub expect_plan: Option<Digest>,
    /// Let resources be made anew by another driver, with the loss of what is in the old ones
    #[arg(long)]
    pub confirm_replace: bool,
    /// Whether to follow it.
    #[command(flatten)]
    pub watching: Watching,
}

/// List drafts.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd draft list shop
  deployd draft list shop -o json | jq -r '.[].id'")]
pub struct DraftListArgs {
    /// The application
    #[arg(value_name = "APP")]
    pub application: Name,
}

/// A draft.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd draft show 4m0zta51xk > change.yaml
  deployd draft drop 4m0zta51xk")]
pub struct DraftIdArgs {
    /// The draft
    #[arg(value_name = "ID")]
    pub id: String,
}
