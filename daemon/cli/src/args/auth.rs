//! Arguments of `deployd auth`.

use clap::{Args, Subcommand};
use deployd_core::access::Action;
use deployd_core::{EnvironmentId, Name};

/// Ask who may do what.
#[derive(Debug, Clone, Subcommand)]
pub enum AuthCommand {
    /// Say whether you may do something, and by which role; ends with 4 where you may not
    #[command(after_help = "\
Examples:
  deployd auth can-i approve --environment shop/production
  deployd auth can-i configure")]
    CanI(CanArgs),
    /// List tokens, and whom role bindings name, that may do something
    #[command(after_help = "\
Groups are listed, and not their members: identity providers say who those are.

Examples:
  deployd auth who-can deploy --environment shop/production
  deployd auth who-can tear-down --application shop")]
    WhoCan(CanArgs),
}

/// What is to be done, and to what.
#[derive(Debug, Clone, Args)]
pub struct CanArgs {
    /// What: read, announce, deploy, promote, roll-back, steer, approve, break-glass, configure ...
    #[arg(value_name = "ACTION", value_parser = action)]
    pub action: Action,
    /// To an environment, as application/environment
    #[arg(long, value_name = "APP/ENV", conflicts_with = "application")]
    pub environment: Option<EnvironmentId>,
    /// To an application, with all of its environments
    #[arg(long, value_name = "APP")]
    pub application: Option<Name>,
}

fn action(text: &str) -> Result<Action, String> {
    let found = Action::ALL.into_iter().find(|action| action.as_str() == text);
    found.ok_or_else(|| {
        let known: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}
