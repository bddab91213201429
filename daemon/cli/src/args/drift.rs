//! Arguments of `deployd drift`.

use clap::Args;
use deployd_core::EnvironmentId;

/// Compare what is there with what was deployed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exits with 15 when anything differs, with 16 when something could not be
compared and nothing else differs, and with 0 when all is as it was deployed.

Examples:
  deployd drift shop/development
  deployd drift shop/development --last -o json
  deployd drift shop/development --heal")]
pub struct DriftArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,

    /// Show what the last check has found, and do not check
    #[arg(long)]
    pub last: bool,

    /// Deploy again what is deployed, taking over fields that others have changed
    #[arg(long, conflicts_with = "last")]
    pub heal: bool,
}
