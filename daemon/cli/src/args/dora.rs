//! Arguments of DORA's figures.

use clap::Args;
use deployd_core::Name;

use super::PointInTime;

/// DORA's figures.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
By application and type of environment, of the last 30 days where nothing else is said. Lead times count
from the commit where CI announces its time (`artifact announce --committed-at`), or else from the
announcement. A change failed if its deployment failed, was rolled back or needs an operator, or if the
next one mended it: an older deployment again, or a healing.

Examples:
  deployd dora
  deployd dora shop --type production --since 90d
  deployd dora --type production --since 2026-01-01 --until 2026-04-01 -o csv")]
pub struct DoraArgs {
    /// Only of this application
    #[arg(value_name = "APP")]
    pub application: Option<Name>,
    /// Only in environments of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub environment_type: Option<Name>,
    /// From when [default: 30 days before --until]
    #[arg(long, value_name = "TIME")]
    pub since: Option<PointInTime>,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<PointInTime>,
    /// All applications together
    #[arg(long)]
    pub together: bool,
}
