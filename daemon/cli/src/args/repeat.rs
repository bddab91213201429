//! Arguments of commands that make the past once more.

use clap::Args;
use deployd_core::replay::PluginVersion;
use deployd_core::subject::Subject;
use deployd_core::{EnvironmentId, Name};

use super::deployments::Watching;

/// Make a past deployment once more from its records.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The plan, as far as it follows from the documents of that time, the manifests and each decision of
the strategy are made again with the recorded plugins, in the sandbox, and compared with what is
recorded. Nothing is applied, no driver is asked. With --with, another version of a plugin takes
the place of the recorded one: what it would have made of the past is the test of an upgrade.

Exits with 0 when all is identical, with 15 when something differs, and with 16 when nothing
differs and something could not be made again.

Examples:
  deployd replay shop/production
  deployd replay shop/production@2026-11-14T14:00 -o json
  deployd replay --last 100 --with score-k8s@sha256:5f2a99
  deployd replay --last 20 shop/production")]
pub struct ReplayArgs {
    /// The deployment: an id, APP/ENV, APP/ENV@TIME or APP/ENV#NUMBER; with --last, APP/ENV or all
    #[arg(value_name = "DEPLOYMENT", required_unless_present = "last")]
    pub of: Option<Subject>,
    /// The newest deployments: of an environment, or of all
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub last: Option<u32>,
    /// Another version of its templater or strategy
    #[arg(long, value_name = "PLUGIN@DIGEST")]
    pub with: Option<PluginVersion>,
}

impl ReplayArgs {
    /// The environment whose deployments are wanted; none for all, and an error
    /// for what is no environment.
    pub fn environment(&self) -> Result<Option<EnvironmentId>, String> {
        use deployd_core::subject::Which;
        match &self.of {
            None => Ok(None),
            Some(Subject::Environment { environment, which: Which::Now }) => {
                Ok(Some(environment.clone()))
            }
            Some(other) => {
                Err(format!("found {other} beside --last, expected APP/ENV, or nothing"))
            }
        }
    }
}

/// Have what ran before run again.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Without --to it is the last deployment that succeeded before what runs, with other manifests than
that; who goes back twice goes back further. It is repeated exactly: the very manifests of then.
Where that can't be, it is refused with the reasons; with --resolve the same set is deployed,
resolved anew. Resources that came since stay as they are, and so does what is in databases.

What is watched decides on the exit code, as with `deployd deploy`.

Examples:
  deployd rollback shop/production --dry-run
  deployd rollback shop/production -m 'checkout fails'
  deployd rollback shop/production --to shop/production@2026-11-14T14:00 --resolve")]
pub struct RollbackArgs {
    /// Where, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// To this deployment: an id, APP/ENV@TIME or APP/ENV#NUMBER
    #[arg(long, value_name = "DEPLOYMENT")]
    pub to: Option<Subject>,
    /// Deploy the same set resolved anew, where it can't be repeated exactly
    #[arg(long)]
    pub resolve: bool,
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
    /// Let resources be made anew by another driver, with the loss of what is in the old ones
    #[arg(long, requires = "resolve")]
    pub confirm_replace: bool,
    /// Go back although changes of resources since can't be undone
    #[arg(long)]
    pub confirm_forward_only: bool,
    /// Whether to follow it.
    #[command(flatten)]
    pub watching: Watching,
}

/// Make an environment like another one.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The new environment has the values and, unless --type names another, the type of the other one;
the set that runs there is deployed in it, with resources of its own. A token of the scope admin is
needed, as for each new environment.

Examples:
  deployd clone shop/production hotfix-4711 --type development")]
pub struct CloneArgs {
    /// The environment to be like, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// The name of the new one
    #[arg(value_name = "NEWNAME")]
    pub name: Name,
    /// Its type
    #[arg(long = "type", value_name = "TYPE")]
    pub environment_type: Option<Name>,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
    /// Whether to follow it.
    #[command(flatten)]
    pub watching: Watching,
}
