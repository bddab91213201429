//! Arguments of the audit.

use clap::Args;
use deployd_core::{Actor, EnvironmentId, Name};

use super::PointInTime;

/// Who did what.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A token of the scope admin is needed. Newest first. Each entry has its stream, version and hash in the journal, which `deployd journal verify`
proves, also of an export and without the daemon. Times are 2026-11-14T14:00 (UTC), 2026-11-14, or 30min,
12h, 7d, 4w ago.

Examples:
  deployd audit --since 24h
  deployd audit --environment shop/production --since 2026-11-01 --until 2026-12-01 -o csv
  deployd audit --actor ada --kind deployment-queued
  deployd audit --refused")]
pub struct AuditArgs {
    /// Only by this actor: the name of a token, or unknown
    #[arg(long, value_name = "NAME", value_parser = actor)]
    pub actor: Option<Actor>,
    /// Only about this application: its documents, images, sets, drafts, environments
    #[arg(long, value_name = "APP")]
    pub application: Option<Name>,
    /// Only about this environment: its documents, drafts, deployments
    #[arg(long, value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
    /// Only from this time on
    #[arg(long, value_name = "TIME")]
    pub since: Option<PointInTime>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<PointInTime>,
    /// Only events of this kind, as deployment-queued
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only what was refused: that is of no application
    #[arg(long, conflicts_with_all = ["application", "environment"])]
    pub refused: bool,
    /// At most so many, the newest [default: 50 in a table, all otherwise]
    #[arg(long, value_name = "COUNT", value_parser = super::values::count)]
    pub limit: Option<usize>,
}

#[expect(clippy::unnecessary_wraps, reason = "what a parser of arguments has to be")]
fn actor(text: &str) -> Result<Actor, String> {
    Ok(Actor(text.to_owned()))
}
