//! Arguments of commands for those who run the daemon, and of CI.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use deployd_core::Name;
use deployd_core::outbox::MessageStatus;
use deployd_core::secret::Link;
use deployd_core::views::TokenScope;

use super::attestations::{ArtifactShowArgs, AttachArgs, ResultArgs};
use super::values::ImageReference;

/// Artifacts.
#[derive(Debug, Clone, Subcommand)]
pub enum ArtifactCommand {
    /// Tell that an image is available; flows decide where it goes
    Announce(AnnounceArgs),
    /// Attach a bill of materials to an image, so that its packages are found; or an attestation
    Attach(AttachArgs),
    /// Attach what a suite or a scanner has found to an image
    Result(ResultArgs),
    /// Show what is attached to an image
    Show(ArtifactShowArgs),
}

/// Announce an image.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd artifact announce registry.test/shop/frontend:1.4@sha256:5f2a... \\
    --ref refs/heads/main --commit \"$GIT_COMMIT\" \\
    --author \"$(git show -s --format='%an <%ae>')\" \\
    --committed-at \"$(git show -s --format=%cI)\" --build-url \"$BUILD_URL\" \\
    --sequence \"$BUILD_NUMBER\"
  deployd artifact announce registry.test/shop/web:1.4@sha256:5f2a... \
    --path services/web/main.rs --path Cargo.lock")]
pub struct AnnounceArgs {
    /// The image, with its digest and, for people, its tag
    #[arg(value_name = "IMAGE@DIGEST")]
    pub image: ImageReference,
    /// The Git ref it was built from
    #[arg(long = "ref", value_name = "REF")]
    pub git_ref: Option<String>,
    /// The commit it was built from
    #[arg(long, value_name = "COMMIT")]
    pub commit: Option<String>,
    /// Who has made that commit: approvals can leave them out
    #[arg(long, value_name = "AUTHOR")]
    pub author: Option<String>,
    /// When that commit was made: the lead time to production counts from then
    #[arg(long, value_name = "TIME")]
    pub committed_at: Option<super::PointInTime>,
    /// Where the build can be looked at
    #[arg(long, value_name = "URL")]
    pub build_url: Option<String>,
    /// Its place among the builds from this ref, as the number of the pipeline's
    /// run: of two, the larger is newer
    #[arg(long, value_name = "NUMBER")]
    pub sequence: Option<u64>,
    /// What has changed with that commit, relative to the repository's root: for stages that
    /// ask for paths. May be given more than once
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<String>,
}

/// Notifications.
#[derive(Debug, Clone, Subcommand)]
pub enum NotificationCommand {
    /// List what others are told
    List(NotificationListArgs),
    /// Show a notification and every attempt to deliver it
    Show {
        /// The notification
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Deliver a notification again, or all dead ones
    Redeliver(RedeliverArgs),
}

/// Deliver notifications again.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd notifications redeliver msg_0f3c2a51d7e84b6f9a1c2d3e4f506172
  deployd notifications redeliver --dead --subscription shop-failures")]
pub struct RedeliverArgs {
    /// The notification
    #[arg(value_name = "ID", required_unless_present = "dead")]
    pub id: Option<String>,
    /// All that were given up, once whoever is told can be reached again
    #[arg(long, conflicts_with = "id")]
    pub dead: bool,
    /// Of these, only those to this subscription
    #[arg(long, value_name = "NAME", requires = "dead", conflicts_with = "id")]
    pub subscription: Option<Name>,
}

/// List notifications.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd notifications list --status dead
  deployd notifications list --deployment 01JD3N5S9V3WZ4X7Q2R8T6Y0KB")]
pub struct NotificationListArgs {
    /// Only those that stand so
    #[arg(long, value_parser = status)]
    pub status: Option<MessageStatus>,
    /// Only those about this deployment
    #[arg(long, value_name = "ID", conflicts_with = "after")]
    pub deployment: Option<String>,
    /// Go on after this one
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
    /// How many
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

fn status(text: &str) -> Result<MessageStatus, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "expected pending, delivered or dead".to_owned())
}

/// Secrets.
#[derive(Debug, Clone, Subcommand)]
pub enum SecretCommand {
    /// Set a secret; its value is read from standard input or a file, never from an argument
    Set(SecretSetArgs),
    /// Have a secret stand for a value that is kept elsewhere
    Link(SecretLinkArgs),
    /// List secrets and where they are kept; never their values
    List,
    /// Show the keys that secrets are encrypted with: which is the newest, which are needed
    Keys,
    /// Make a new key and wrap every secret with it
    RotateKey,
}

/// Link a secret.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The value is looked up each time it is used, and never stored. The daemon's
settings say which places are allowed (`secrets` in its configuration file).

Examples:
  deployd secret link db file:/run/secrets/db
  deployd secret link db env:APP_DB_PASSWORD
  deployd secret link db kubernetes:shop/db-credentials#password
  deployd secret link db vault:kv/shop/db#password
  deployd secret link db vault:team/kv//shop/db#password    the mount is team/kv")]
pub struct SecretLinkArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// Where the value is: file:/PATH, env:NAME, kubernetes:NAMESPACE/NAME#KEY, vault:MOUNT/PATH#FIELD
    #[arg(value_name = "PLACE")]
    pub from: Link,
}

/// Set a secret.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
One line break at the end is not part of the value.

Examples:
  deployd secret set webhook-key --from-file webhook.key
  pass show cluster-token | deployd secret set cluster-token")]
pub struct SecretSetArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// Read the value from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
}

/// Plugins.
#[derive(Debug, Clone, Subcommand)]
pub enum PluginCommand {
    /// List plugins
    List,
    /// Upload a plugin's component; a Plugin document names it by its digest
    Push(PluginPushArgs),
}

/// Upload a plugin.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd plugin push target/dns.wasm --manifest plugin.toml")]
pub struct PluginPushArgs {
    /// The component
    #[arg(value_name = "COMPONENT")]
    pub component: PathBuf,
    /// Its manifest
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
}

/// Tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Create a token; it is shown once and never again
    Create(TokenCreateArgs),
    /// List tokens
    List,
    /// Make a token worthless at once
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        name: Name,
    },
}

/// Create a token.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
With --quiet, nothing but the token is printed.

Examples:
  deployd token create build --scope ci
  deployd token create build --scope ci --quiet > token")]
pub struct TokenCreateArgs {
    /// Its name: the actor of what is done with it
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// What it may do
    #[arg(long, value_enum)]
    pub scope: Scope,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// Nothing by itself: what role bindings give it
    Bound,
    /// Read everything that is no secret, but for the audit and the journal
    Read,
    /// Announce artifacts, and read
    Ci,
    /// Deploy, roll back, cancel, prepare drafts and sets, and what ci may do
    Deploy,
    /// Everything: documents, environments, secrets, tokens, the audit and the journal
    Admin,
}

impl From<Scope> for TokenScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Bound => Self::Bound,
            Scope::Read => Self::Read,
            Scope::Ci => Self::Ci,
            Scope::Deploy => Self::Deploy,
            Scope::Admin => Self::Admin,
        }
    }
}

/// The journal.
#[derive(Debug, Clone, Subcommand)]
pub enum JournalCommand {
    /// List events: what happened, who did it, what was refused, which secrets were revealed
    List(JournalListArgs),
    /// Verify every chain of hashes and all content: the daemon's, or an export's
    Verify(JournalVerifyArgs),
    /// Write the journal, one event per line of JSON
    Export(JournalExportArgs),
}

/// List events.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd journal list
  deployd journal list --kind secret-revealed
  deployd journal list --after 120000 --limit 500 -o json")]
pub struct JournalListArgs {
    /// Only events of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub after: u64,
    /// At most so many, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub limit: usize,
}

/// Verify the journal.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Ends with 1 when anything is wrong. An export is verified event by event, and by its last line, which
says where the streams stood: so events that were cut off at the end are noticed, too.

Examples:
  deployd journal verify
  deployd journal verify --offline journal.jsonl")]
pub struct JournalVerifyArgs {
    /// Verify an export, without a daemon; - for standard input
    #[arg(long, value_name = "FILE")]
    pub offline: Option<String>,
}

/// Export the journal.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
One event per line, with its hash and that of the one before it; the last line says where the streams
stood. A range of a stream proves that nothing in it was changed or left out; of what was before it,
and what came after it, it proves nothing.

Examples:
  deployd journal export --out journal.jsonl
  deployd journal export --after 1200 | jq -r .kind
  deployd journal export --stream environment/shop/production --out production.jsonl
  deployd journal export --stream configuration --from 10 --to 20")]
pub struct JournalExportArgs {
    /// Only events after this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub after: u64,
    /// Only events of this stream
    #[arg(long, value_name = "STREAM", conflicts_with = "after")]
    pub stream: Option<String>,
    /// Only events of the stream from this version on
    #[arg(long, value_name = "VERSION", requires = "stream", default_value_t = 1)]
    pub from: u64,
    /// Only events of the stream up to this version
    #[arg(long, value_name = "VERSION", requires = "stream")]
    pub to: Option<u64>,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Have the store copied.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The daemon writes the copy, on its own machine, while it goes on working. The key of the secrets is
not part of it: keep that elsewhere.

Examples:
  deployd backup /var/backups/deployd-2026-01-31

The daemon writes below its data directory, and in folders that its settings name in sandbox.write.")]
pub struct BackupArgs {
    /// A new file on the daemon's machine
    #[arg(value_name = "PATH")]
    pub path: String,
}

/// Print completions.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd completions bash > /etc/bash_completion.d/deployd
  deployd completions zsh > ~/.zfunc/_deployd
  deployd completions fish > ~/.config/fish/completions/deployd.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Write manual pages.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd manual /usr/local/share/man/man1")]
pub struct ManualArgs {
    /// Where to
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
