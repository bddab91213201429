//! Arguments of commands about documents and environments.

use clap::Args;
use deployd_core::EnvironmentId;

/// Apply documents.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
All documents are applied, or none. Files that documents name (`source`, `baselineFile`) are read
here and sent along.

Examples:
  deployd apply -f config/
  deployd apply -f application.yaml -f score/backend.yaml --dry-run
  generate-config | deployd apply -f -")]
pub struct ApplyArgs {
    /// A file, a directory with all below it, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true, num_args = 1..)]
    pub files: Vec<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
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

/// An environment.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd environment shop/development
  deployd resources shop/development -o json")]
pub struct EnvironmentArgs {
    /// The environment, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
}

/// List documents.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd documents
  deployd documents --kind Environment
  deployd documents -o json | jq -r '.[].key.name'")]
pub struct DocumentsArgs {
    /// Only of this kind: Application, Environment, EnvironmentType, ResourceDefinition, Plugin,
    /// Subscription, Workload
    #[arg(long, value_parser = kind)]
    pub kind: Option<deployd_core::config::DocumentKind>,
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
