//! Arguments of commands about documents and environments.

use clap::{Args, Subcommand};
use deployd_core::{EnvironmentId, Name};

use super::deployments::Watching;

/// Apply documents.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
All documents are applied, or none. Files that documents name (`source`, `baselineFile`) are read
here and sent along.

Examples:
  deployd apply -f config/
  deployd apply -f application.yaml -f score/backend.yaml --dry-run
  deployd apply -f definitions/ --force    # although resources come from elsewhere by it
  generate-config | deployd apply -f -")]
pub struct ApplyArgs {
    /// A file, a directory with all below it, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true, num_args = 1..)]
    pub files: Vec<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also where resources that are there come from another definition by it, or from none
    #[arg(long)]
    pub force: bool,
}

/// Check documents without a daemon.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Everything that is wrong is shown, each with file, line and column. What documents name must be
among them, or be applied already: `deployd apply --dry-run` asks the daemon, too.

Examples:
  deployd validate -f config/
  deployd validate -f config/ -o json")]
pub struct ValidateArgs {
    /// A file, a directory with all below it, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true, num_args = 1..)]
    pub files: Vec<String>,
}

/// An environment, or something to do with one.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  deployd environment shop/development
  deployd env list
  deployd env shop/production --at 2026-11-14T14:00
  deployd env report shop/production
  deployd env delete shop/preview-12 --dry-run")]
pub struct EnvironmentArgs {
    /// The environment to show, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
    /// What ran there then: 2026-11-14T14:00 (UTC), or 30min, 12h, 7d, 4w ago
    #[arg(long, value_name = "TIME", requires = "environment")]
    pub at: Option<super::PointInTime>,
    /// Or else what to do.
    #[command(subcommand)]
    pub command: Option<EnvironmentCommand>,
}

/// Something to do with environments.
#[derive(Debug, Clone, Subcommand)]
pub enum EnvironmentCommand {
    /// List environments, what runs in them, and when they end
    List,
    /// Show what differs between what runs in two environments
    Diff(super::EnvironmentDiffArgs),
    /// Show an environment's configuration: use, owner, what can be had in it, its rules
    #[command(after_help = "\
Examples:
  deployd env report shop/production
  deployd env report shop/production -o yaml")]
    Report {
        /// The environment, as application/environment
        #[arg(value_name = "APP/ENV")]
        environment: EnvironmentId,
    },
    /// Take an environment away with all it has; its history stays
    Delete(EnvironmentDeleteArgs),
}

/// Take an environment away.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The plan is shown, and asked about. Then everything that was applied goes, and all resources, each by
the driver that made it and before what it needs; a driver that refuses, because there is data, stops
that with all that the resource needs. At last the environment's document goes. History, plans, sets,
manifests and the journal stay.

Examples:
  deployd env delete shop/preview-12
  deployd env delete shop/preview-12 --dry-run
  deployd env delete shop/preview-12 --keep postgres --yes")]
pub struct EnvironmentDeleteArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// Leave a resource there, with what it needs: a type, or a name as `deployd resources` shows
    /// it; may be repeated. An environment of the same name finds it again
    #[arg(long, value_name = "RESOURCE")]
    pub keep: Vec<String>,
    /// Show what would go, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Why, for people
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
    /// Whether to follow it.
    #[command(flatten)]
    pub watching: Watching,
}

/// Which resources.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd resources
  deployd resources shop/development -o json
  deployd resources --type postgres --application shop
  deployd resources --definition postgres-eu --driver postgres")]
pub struct ResourcesArgs {
    /// Only of this environment
    #[arg(value_name = "APP/ENV")]
    pub environment: Option<EnvironmentId>,
    /// Only of this application
    #[arg(long, value_name = "NAME")]
    pub application: Option<Name>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub resource_type: Option<String>,
    /// Only by this definition
    #[arg(long, value_name = "NAME")]
    pub definition: Option<Name>,
    /// Only by the driver of this Plugin document
    #[arg(long, value_name = "NAME")]
    pub driver: Option<Name>,
}

/// List documents.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd documents
  deployd documents --kind Environment
  deployd documents -o json | jq -r '.[].key.name'")]
#[command(args_conflicts_with_subcommands = true)]
pub struct DocumentsArgs {
    /// Only of this kind: Application, Environment, EnvironmentType, ResourceDefinition, Plugin,
    /// Subscription, Hook, Calendar, Group, Policy, Role, RoleBinding, Issuer, Workload
    #[arg(long, value_parser = kind)]
    pub kind: Option<deployd_core::config::DocumentKind>,
    /// Or else what to do.
    #[command(subcommand)]
    pub command: Option<DocumentsCommand>,
}

/// Something to do with documents.
#[derive(Debug, Clone, Subcommand)]
pub enum DocumentsCommand {
    /// Remove a document that no other one names: a resource definition, a plugin, a subscription, a hook, a calendar, a group, a policy, a role, a role binding, an issuer
    Remove(RemoveArgs),
}

/// Remove a document.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What it said stays in the journal. An environment is taken away by `deployd env delete`.

Examples:
  deployd documents remove ResourceDefinition postgres-eu --dry-run
  deployd documents remove ResourceDefinition postgres-eu --force")]
pub struct RemoveArgs {
    /// The kind
    #[arg(value_name = "KIND", value_parser = kind)]
    pub kind: deployd_core::config::DocumentKind,
    /// The name
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// Say what that would mean, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also where resources that are there lose their definition or driver
    #[arg(long)]
    pub force: bool,
}

/// Print the JSON Schema of a kind.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd schema Environment > environment.schema.json
  deployd schema all > deployd.schema.json    # for editors: one for all kinds")]
pub struct SchemaArgs {
    /// The kind, or `all`
    #[arg(value_name = "KIND", value_parser = kind_or_all)]
    pub kind: SchemaKind,
}

/// Which schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// One for all kinds.
    All,
    /// Of one kind.
    Of(deployd_core::config::DocumentKind),
}

fn kind(text: &str) -> Result<deployd_core::config::DocumentKind, String> {
    let kinds = deployd_core::config::DocumentKind::ALL;
    let is =
        |kind: &deployd_core::config::DocumentKind| kind.to_string().eq_ignore_ascii_case(text);
    kinds.into_iter().find(is).ok_or_else(|| {
        let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn kind_or_all(text: &str) -> Result<SchemaKind, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(SchemaKind::All);
    }
    kind(text).map(SchemaKind::Of).map_err(|error| format!("{error}, or all"))
}
