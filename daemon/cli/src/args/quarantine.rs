//! Arguments of `deployd quarantine`.

use clap::{Args, Subcommand};
use deployd_core::EnvironmentId;

/// Look after images that have failed.
#[derive(Debug, Clone, Subcommand)]
pub enum QuarantineCommand {
    /// List images that have failed in an environment, and that automation keeps from it
    List(QuarantineListArgs),
    /// Have automation bring an image back where it has failed
    Lift(QuarantineLiftArgs),
}

/// List images that have failed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd quarantine list shop/production
  deployd quarantine list shop/production -o json")]
pub struct QuarantineListArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
}

/// Lift the quarantine of an image.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
It comes back when it is announced once more, or deployed by somebody; nothing is deployed by this.

Examples:
  deployd quarantine lift shop/production registry.example.com/shop/web@sha256:4b1c... -m 'the database was away'")]
pub struct QuarantineLiftArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// The image, as the list shows it, or how its digest begins
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
}
