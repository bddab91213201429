//! Arguments of `deployd flow`, `deployd why` and `deployd promote`.

use clap::{Args, Subcommand};
use deployd_core::{EnvironmentId, Name};

use super::Watching;

/// Look at the flow of applications.
#[derive(Debug, Clone, Subcommand)]
pub enum FlowCommand {
    /// Show the stages of an application, what runs in each, and what comes next
    Show(FlowShowArgs),
    /// Have what comes by itself go on where somebody went back
    Release(FlowReleaseArgs),
}

/// Have automation go on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
After `deployd rollback`, what comes to an environment by itself waits until somebody deploys
something else there, or says by this that it may go on: what has waited begins, and what is verified
in the stages before is promoted again.

Examples:
  deployd flow release shop/production -m 'the database is back'")]
pub struct FlowReleaseArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Show a flow.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd flow show shop
  deployd flow show shop --graph
  deployd flow show shop -o json | jq '.stages[] | select(.standing == \"held\")'")]
pub struct FlowShowArgs {
    /// The application
    #[arg(value_name = "APP")]
    pub application: Name,
    /// Each stage in a line
    #[arg(long)]
    pub graph: bool,
}

/// Say why something is not in an environment yet.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit codes: 0 it is there, 1 it is not.

Examples:
  deployd why shop 4b1c9f production
  deployd why shop registry.example.com/shop/web@sha256:4b1c... production")]
pub struct WhyArgs {
    /// The application
    #[arg(value_name = "APP")]
    pub application: Name,
    /// An image, a part of its name or digest, or a set
    #[arg(value_name = "WHAT")]
    pub subject: String,
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: Name,
}

impl WhyArgs {
    /// The environment, of its application.
    pub fn place(&self) -> EnvironmentId {
        let (application, environment) = (self.application.clone(), self.environment.clone());
        EnvironmentId { application, environment }
    }
}

/// Bring what runs in one environment to another, or have a rollout go on without waiting.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
With --from and --to, what runs in the one is deployed to the other: the plan is shown first, and a
person is asked. What has not run in the stages before, as the flow wants it, is refused.

Without them, what a rollout waits for now is skipped: a pause, a time, or checks that have not come
to their end. With --all, so is all its waiting from then on; each version still has to be ready
before it gets traffic. An environment alone stands for what is being deployed there.

Examples:
  deployd promote shop --from staging --to production
  deployd promote shop/production
  deployd promote shop/production --all -m 'seen enough'")]
pub struct PromoteArgs {
    /// The application; or the deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "APP|DEPLOYMENT")]
    pub of: String,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
    /// Over all that is left of its waiting
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub all: bool,
    /// The environment in which it runs
    #[arg(long, value_name = "ENV", requires = "to")]
    pub from: Option<Name>,
    /// The environment that it is brought to
    #[arg(long, value_name = "ENV", requires = "from")]
    pub to: Option<Name>,
    /// Why it is brought there although it has not run in the stages before
    #[arg(long, value_name = "REASON", requires = "from")]
    pub unverified: Option<String>,
    /// Ask nobody
    #[arg(long, short, requires = "from")]
    pub yes: bool,
    /// Whether to follow it.
    #[command(flatten)]
    pub watching: Watching,
}
