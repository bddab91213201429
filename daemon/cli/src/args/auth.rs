//! Arguments of `deployd auth`.

use clap::{Args, Subcommand};
use deployd_core::access::Action;
use deployd_core::{EnvironmentId, Name};

/// Sign in, sign out, and ask who may do what.
#[derive(Debug, Clone, Subcommand)]
pub enum AuthCommand {
    /// Sign in at your identity provider, in a browser on this machine
    #[command(after_help = "\
The session is kept in deployd/sessions.json in the directory for configuration, and is used
by every command for this daemon while it lasts and no other token is given.

Examples:
  deployd auth login
  deployd auth login corp --only read --only audit")]
    Login(LoginArgs),
    /// Sign out: end the session at the daemon, and forget it here
    Logout,
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

/// With whom to sign in, and for what.
#[derive(Debug, Clone, Args)]
pub struct LoginArgs {
    /// The Issuer to sign in with; there is no need to name the only one
    #[arg(value_name = "ISSUER")]
    pub issuer: Option<Name>,
    /// Ask for no more than this action; may be given several times [default: all you may do]
    #[arg(long = "only", value_name = "ACTION", value_parser = action)]
    pub actions: Vec<Action>,
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
