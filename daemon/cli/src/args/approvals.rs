//! Arguments of `deployd approve`, `deployd refuse`, `deployd approvals` and
//! `deployd reviews`.

use clap::{Args, Subcommand};
use deployd_core::subject::Subject;
use deployd_core::{Digest, EnvironmentId};

use super::Upcoming;

/// Agree to the plan of a deployment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The plan is shown first, and what of it has changed since it was asked for before. It is approved by
its digest: if it is made again and comes out otherwise, everybody is asked again. An environment
alone stands for what is being deployed there. With --break-glass the deployment goes on although not
all have agreed, which is told to everybody and stays open as a review.

Examples:
  deployd approve shop/production
  deployd approve shop/production -m 'seen in staging' --plan sha256:9f2c... --yes
  deployd approve shop/production --break-glass -m 'the shop is down, nobody is awake'")]
pub struct ApproveArgs {
    /// The deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
    /// This plan and no other
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<Digest>,
    /// Go on although not all have agreed
    #[arg(long, requires = "reason")]
    pub break_glass: bool,
    /// Ask nobody; needs --plan
    #[arg(long, short, requires = "plan")]
    pub yes: bool,
}

/// Do not agree to a deployment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
It ends, and nothing was changed by it.

Examples:
  deployd refuse shop/production -m 'not before the migration is reviewed'")]
pub struct RefuseArgs {
    /// The deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Why, for who has asked for it
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: String,
}

/// See what waits for approvals, and who approves in whose place.
#[derive(Debug, Clone, Subcommand)]
pub enum ApprovalsCommand {
    /// List deployments that wait for approvals
    List(ApprovalsListArgs),
    /// Show what a deployment waits for, and its plan
    Show(ApprovalsShowArgs),
    /// Take an approval back, before the deployment begins
    Withdraw(ApprovalsWithdrawArgs),
    /// Have somebody approve in your place for a time
    Delegate(ApprovalsDelegateArgs),
    /// Take that back
    Undelegate(ApprovalsUndelegateArgs),
    /// List who may approve in whose place now
    Delegations,
}

/// List deployments that wait for approvals.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd approvals list
  deployd approvals list shop/production -o json")]
pub struct ApprovalsListArgs {
    /// Only of this environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
}

/// Show what a deployment waits for.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd approvals show shop/production")]
pub struct ApprovalsShowArgs {
    /// The deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
}

/// Take an approval back.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd approvals withdraw shop/production -m 'I had missed the migration'")]
pub struct ApprovalsWithdrawArgs {
    /// The deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Have somebody approve in your place.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
They approve what you could: not what you are left out of, and not what they are.

Examples:
  deployd approvals delegate bob --until 14d
  deployd approvals delegate corp:bob@example.com --until 2026-12-24T18:00+01:00")]
pub struct ApprovalsDelegateArgs {
    /// Who: the name of a token, or what an issuer calls them
    #[arg(value_name = "WHO")]
    pub to: String,
    /// Until when, 90 days at most: a time, or 12h, 7d, 4w from now
    #[arg(long, value_name = "TIME")]
    pub until: Upcoming,
}

/// Take a delegation back.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd approvals undelegate bob")]
pub struct ApprovalsUndelegateArgs {
    /// Who
    #[arg(value_name = "WHO")]
    pub to: String,
}

/// Look at what went on without approvals.
#[derive(Debug, Clone, Subcommand)]
pub enum ReviewsCommand {
    /// List deployments that went on without approvals, and that nobody has looked at since
    List(ReviewsListArgs),
    /// Close a review with what you have found
    Close(ReviewsCloseArgs),
}

/// List reviews.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd reviews list
  deployd reviews list --all")]
pub struct ReviewsListArgs {
    /// Also those that are closed
    #[arg(long)]
    pub all: bool,
}

/// Close a review.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Not by who went on without approvals.

Examples:
  deployd reviews close shop/production#41 -m 'was right: the old version lost orders'")]
pub struct ReviewsCloseArgs {
    /// The deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
    /// What you have found
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub finding: String,
}
