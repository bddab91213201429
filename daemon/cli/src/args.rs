//! The command line: every command, its arguments and its help.

mod adopt;
mod approvals;
mod archives;
mod attestations;
mod audit;
mod auth;
mod calendar;
mod compare;
mod daemon;
mod deployments;
mod documents;
mod dora;
mod drafts;
mod drift;
mod flow;
mod global;
mod hooks;
mod inventory;
mod operations;
mod policies;
mod quarantine;
mod rehearse;
mod repeat;
mod values;

use clap::{Parser, Subcommand};

pub use adopt::{AdoptArgs, AdoptOptions};
pub use approvals::{
    ApprovalsCommand, ApprovalsDelegateArgs, ApprovalsListArgs, ApprovalsShowArgs,
    ApprovalsUndelegateArgs, ApprovalsWithdrawArgs, ApproveArgs, RefuseArgs, ReviewsCloseArgs,
    ReviewsCommand, ReviewsListArgs,
};
pub use archives::{ExportArgs, ExportCommand, ImportArgs};
pub use attestations::{ArtifactShowArgs, AttachArgs, AttestationsArgs, ResultArgs};
pub use audit::AuditArgs;
pub use auth::{AuthCommand, CanArgs, LoginArgs};
pub use calendar::{
    CalendarArgs, CalendarCheckArgs, CalendarCommand, CalendarFeedArgs, CalendarResumeArgs,
    CalendarStopArgs, Scheduling, SlotAnswerArgs, SlotCommand, SlotListArgs, SlotRefuseArgs,
    SlotRequestArgs, Upcoming,
};
pub use compare::{
    DiffArgs, EnvironmentDiffArgs, Part, PatchArgs, SetCommand, SetListArgs, SetShowArgs, Showing,
};
pub use daemon::{DemoArgs, DoctorArgs, LogFormat, RestoreArgs, ServeArgs};
pub use deployments::{
    CancelArgs, DebugArgs, DeployArgs, HistoryArgs, LogsArgs, ManifestsArgs, PauseArgs, PlanArgs,
    RedeployArgs, ResumeArgs, RetryArgs, RolloutArgs, Selection, ShowArgs, Steered, WatchArgs,
    Watching,
};
pub use documents::{
    ApplyArgs, DocumentsArgs, DocumentsCommand, EnvironmentArgs, EnvironmentCommand,
    EnvironmentDeleteArgs, RemoveArgs, ResourcesArgs, SchemaArgs, SchemaKind, ValidateArgs,
};
pub use dora::DoraArgs;
pub use drafts::{
    DraftCommand, DraftCreateArgs, DraftDeployArgs, DraftEditArgs, DraftIdArgs, DraftListArgs,
};
pub use drift::DriftArgs;
pub use flow::{FlowCommand, FlowReleaseArgs, FlowShowArgs, PromoteArgs, WhyArgs};
pub use global::{Format, Globals, SecretText};
pub use hooks::{HookCommand, HookListArgs, HookTestArgs};
pub use inventory::{
    InventoryArgs, InventoryCommand, PackageArgs, PathArgs, PointInTime, WhereArgs,
};
pub use operations::{
    AnnounceArgs, ArtifactCommand, BackupArgs, CompletionsArgs, JournalCommand, JournalExportArgs,
    JournalListArgs, JournalVerifyArgs, ManualArgs, NotificationCommand, NotificationListArgs,
    PluginCommand, PluginPushArgs, RedeliverArgs, Scope, SecretCommand, SecretLinkArgs,
    SecretSetArgs, TokenCommand, TokenCreateArgs,
};
pub use policies::{PolicyCommand, PolicyTestArgs};
pub use quarantine::{QuarantineCommand, QuarantineLiftArgs, QuarantineListArgs};
pub use rehearse::{ConfigField, RehearseArgs};
pub use repeat::{CloneArgs, ReplayArgs, RollbackArgs};
pub use values::{ImageChange, ImageReference};

/// What exit codes mean, for the help.
const EXIT_CODES: &str = "\
Exit codes:
   0  done; a watched deployment succeeded
   1  what was asked failed
   2  the command line is wrong
   3  the daemon can't be reached, or does not answer in time
   4  not authorised: no token, a wrong one, or one that may not do this
   5  there is no such thing
   6  the input is invalid
   7  it conflicts with what is: ended already, another request had the same key
   8  the daemon failed, or answered what can't be understood
  10  the watched deployment failed
  11  the watched deployment was rolled back
  12  the watched deployment was cancelled
  13  the watched deployment was superseded by a newer one
  14  the watched deployment needs an operator
  15  what is there differs from what was deployed; a replay from what is recorded; what
      `diff --exit-code` compares
  16  nothing was found to differ, and not everything could be compared
  17  a rehearsal did not end as it was expected
  18  a calendar was asked, and it is closed
  19  policies refuse what is planned, or do not find what their tests expect
 130  interrupted; a deployment that was watched goes on

Examples:
  deployd demo
  deployd apply -f config/
  deployd deploy shop/development --image frontend=registry.test/shop/frontend:1.4
  deployd history shop/development
";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "deployd",
    version,
    about = "Deployments for internal developer platforms: a daemon, and the commands to work with it",
    long_about = None,
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What all commands have.
    #[command(flatten)]
    pub globals: Globals,
    /// Which command.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What the process was started with. Ends it after `--help`, and when the
    /// arguments are wrong.
    pub fn from_arguments() -> Self {
        Self::parse()
    }
}

/// A command, of the client or of the daemon.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Serve(ServeArgs),
    /// See everything work in a minute: a daemon, a practice cluster, a sample application
    Demo(DemoArgs),
    /// Say what is not as it should be: settings, store, plugins, clusters
    Doctor(DoctorArgs),
    /// Make a data directory of a backup
    Restore(RestoreArgs),
    /// What talks to a daemon, or needs none.
    #[command(flatten)]
    Client(ClientCommand),
}

/// A command of the client.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Apply configuration documents and Score files
    Apply(ApplyArgs),
    /// Check documents without a daemon
    Validate(ValidateArgs),
    /// Deploy to an environment, and watch
    Deploy(DeployArgs),
    /// Show what a deployment would do
    Plan(PlanArgs),
    /// Announce images to the daemon
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// Follow a deployment until it ends
    Watch(WatchArgs),
    /// Show what a deployment has logged
    Logs(LogsArgs),
    /// List deployments, newest first
    History(HistoryArgs),
    /// Show a deployment: its steps, its outcome, why
    Show(ShowArgs),
    /// Show all that is known of a deployment: changes, timeline, pods, log, what to do
    Debug(DebugArgs),
    /// Show the Kubernetes objects of a deployment; secrets are references
    Manifests(ManifestsArgs),
    /// Show what two deployments, environments, points in time or sets differ in
    Diff(DiffArgs),
    /// Make a set of another one, by a delta or by what changed elsewhere
    Patch(PatchArgs),
    /// Show deployment sets, or list them
    #[command(subcommand)]
    Set(SetCommand),
    /// Prepare a change with others: a delta that is deployed, or dropped, later
    #[command(subcommand)]
    Draft(DraftCommand),
    /// End a deployment and bring back what ran before
    #[command(visible_alias = "abort")]
    Cancel(CancelArgs),
    /// Show how a rollout stands: tracks, traffic, checks, what it waits for and why
    Rollout(RolloutArgs),
    /// Have a rollout stop where it is, until it is resumed
    Pause(PauseArgs),
    /// Have a rollout that was paused go on
    Resume(ResumeArgs),
    /// Bring what runs in one environment to another; or have a rollout go on without waiting
    Promote(PromoteArgs),
    /// Agree to the plan of a deployment that waits for it
    Approve(ApproveArgs),
    /// Do not agree: the deployment ends
    Refuse(RefuseArgs),
    /// See what waits for approvals, and who approves in whose place
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Show which attestations a deployment waits for, and why those that there are do not count
    Attestations(AttestationsArgs),
    /// Look at what went on without approvals
    #[command(subcommand)]
    Reviews(ReviewsCommand),
    /// Show how versions move through an application's environments
    #[command(subcommand)]
    Flow(FlowCommand),
    /// Say why something is not in an environment yet
    Why(WhyArgs),
    /// Have a rollout that has stopped upon a failure try that again
    Retry(RetryArgs),
    /// Deploy the set of an earlier deployment once more
    Redeploy(RedeployArgs),
    /// Have what ran before run again
    Rollback(RollbackArgs),
    /// Make an environment like another one, with what runs there
    Clone(CloneArgs),
    /// Have a strategy roll out a deployment in a simulated world
    Rehearse(RehearseArgs),
    /// Make a past deployment once more from its records, and prove that it is the same
    Replay(ReplayArgs),
    /// Take a past deployment along: an archive that another deployd verifies and imports
    Export(ExportArgs),
    /// Import a deployment of another installation, or list those that were
    Import(ImportArgs),
    /// Take over what runs already: propose Score files and definitions for Kubernetes objects
    Adopt(AdoptArgs),
    /// List environments and what runs in them
    #[command(visible_alias = "envs")]
    Environments,
    /// Show an environment, list them, or take one away
    #[command(visible_alias = "env")]
    Environment(EnvironmentArgs),
    /// List the resources that are there, and what made them
    Resources(ResourcesArgs),
    /// Show which image runs where, or where an image is and was
    Inventory(InventoryArgs),
    /// Show what is closed, planned and done as a month; check, or stop the line
    Calendar(CalendarArgs),
    /// See what deployments may not be like, and test it
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Compare what is there with what was deployed
    Drift(DriftArgs),
    /// Look after images that have failed, and that automation does not bring back
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// List the documents that are applied, or remove one
    Documents(DocumentsArgs),
    /// Print the JSON Schema of a kind of document
    Schema(SchemaArgs),
    /// See what forges and registries delivered, and have it read again
    #[command(subcommand)]
    Hooks(HookCommand),
    /// See what was told to others, and tell it again
    #[command(subcommand)]
    Notifications(NotificationCommand),
    /// Set and link the secrets that plugins and subscriptions are granted
    #[command(subcommand)]
    Secret(SecretCommand),
    /// List plugins, and upload new ones
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Create, list and revoke tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Say whose token is used, and what it may do
    Whoami,
    /// Sign in, sign out, and ask who may do what
    #[command(subcommand)]
    Auth(AuthCommand),
    /// List, verify and export the journal
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Show who did what, when and from where, and what was refused
    Audit(AuditArgs),
    /// Show how software is delivered: frequency, lead time, failures, time to restore
    Dora(DoraArgs),
    /// Have the daemon write a copy of its store
    Backup(BackupArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Write manual pages to a directory
    Manual(ManualArgs),
    /// Print the daemon's OpenAPI description
    Openapi,
}

#[cfg(test)]
mod tests;
