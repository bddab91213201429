//! What forges and registries deliver.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use deployd_core::Name;
use deployd_core::delivery::{DeliveryId, DeliveryStatus};

use super::ConfigField;

/// Deliveries to hooks.
#[derive(Debug, Clone, Subcommand)]
pub enum HookCommand {
    /// List the deliveries of a hook and what became of them
    List(HookListArgs),
    /// Show a delivery: what it told, where that went, or why it could not be read
    #[command(after_help = "\
Examples:
  deployd hooks show github 01m7y0qrw08tecvb4zywttp9wa
  deployd hooks show github 01m7y0qrw08tecvb4zywttp9wa --captured > delivery.json")]
    Show {
        /// The hook
        #[arg(value_name = "HOOK")]
        hook: Name,
        /// The delivery
        #[arg(value_name = "ID", value_parser = id)]
        id: DeliveryId,
        /// Print it as it arrived, headers and body, as a JSON document
        #[arg(long)]
        captured: bool,
    },
    /// Show what a receiver makes of a captured delivery, without a daemon
    Test(HookTestArgs),
    /// Have a delivery read again, as if it had just arrived
    #[command(after_help = "\
Examples:
  deployd hooks list github --status dead
  deployd hooks replay github 01m7y0qrw08tecvb4zywttp9wa")]
    Replay {
        /// The hook
        #[arg(value_name = "HOOK")]
        hook: Name,
        /// The delivery
        #[arg(value_name = "ID", value_parser = id)]
        id: DeliveryId,
    },
}

/// List deliveries.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd hooks list github
  deployd hooks list github --status dead -o json")]
pub struct HookListArgs {
    /// The hook
    #[arg(value_name = "HOOK")]
    pub hook: Name,
    /// Only those that stand so: pending, read or dead
    #[arg(long, value_parser = status)]
    pub status: Option<DeliveryStatus>,
    /// Go on after this one
    #[arg(long, value_name = "ID", value_parser = id)]
    pub after: Option<DeliveryId>,
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

/// Read a captured delivery.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
FILE is what `deployd hooks show --captured` prints, or a body alone; then its headers are given.
Nothing is verified, and nothing announced.

Examples:
  deployd hooks test daemon/sample/hooks/delivery.json --receiver registry
  deployd hooks test package.json --receiver github --header 'x-github-event: package'
  deployd hooks show ci 01m7y0qrw08tecvb4zywttp9wa --captured | deployd hooks test - --receiver ./receiver.wasm")]
pub struct HookTestArgs {
    /// The delivery; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A receiver that is shipped, or the file of a component with its manifest beside it
    #[arg(long, value_name = "ID|FILE.wasm")]
    pub receiver: String,
    /// A field of the receiver's configuration; may be given several times
    #[arg(long, value_name = "FIELD=VALUE")]
    pub config: Vec<ConfigField>,
    /// A header of the delivery; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("found {text:?}, expected NAME: VALUE"))?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "as clap wants it")]
fn id(text: &str) -> Result<DeliveryId, String> {
    Ok(DeliveryId(text.to_owned()))
}

fn status(text: &str) -> Result<DeliveryStatus, String> {
    serde_json::from_value(text.into()).map_err(|_| "expected pending, read or dead".to_owned())
}
