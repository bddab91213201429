//! Arguments of commands that make the past once more.

use clap::Args;
use deployd_core::EnvironmentId;
use deployd_core::replay::PluginVersion;
use deployd_core::subject::Subject;

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
