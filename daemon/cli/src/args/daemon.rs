//! Arguments of what the daemon's side implements.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::ImageChange;

/// How the daemon writes its own log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Run the daemon.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What is given here wins over the environment, and that over the file.

Examples:
  deployd serve --data /var/lib/deployd
  deployd serve --config /etc/deployd/deployd.toml --log-format json
  deployd serve --config deployd.toml --check")]
pub struct ServeArgs {
    /// The daemon's settings, in TOML
    #[arg(long, env = "DEPLOYD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept
    #[arg(long, env = "DEPLOYD_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7070]
    #[arg(long, env = "DEPLOYD_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// What the daemon logs: a level, or directives as `info,deployd_engine=debug`
    #[arg(long, env = "DEPLOYD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How the daemon logs
    #[arg(long, env = "DEPLOYD_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Read the settings, say what is wrong with them, and stop
    #[arg(long)]
    pub check: bool,
}

/// See everything work in a minute.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd demo
  deployd demo --once
  deployd demo --kubeconfig ~/.kube/config --context kind-try \\
      --image frontend=registry.test/web@sha256:... --image backend=registry.test/api@sha256:...")]
pub struct DemoArgs {
    /// Stop after the sample is deployed, instead of serving until interrupted
    #[arg(long)]
    pub once: bool,
    /// Deploy to a real cluster instead of the practice cluster
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
    /// An image for a workload of the sample, by digest: one that the cluster can pull
    #[arg(long = "image", value_name = "WORKLOAD=IMAGE@DIGEST", requires = "kubeconfig")]
    pub images: Vec<ImageChange>,
    /// Keep everything here [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// Say what is not as it should be.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Changes nothing. Ends with 1 when something is wrong.

Examples:
  deployd doctor
  deployd doctor --config /etc/deployd/deployd.toml -o json")]
pub struct DoctorArgs {
    /// The daemon's settings, in TOML
    #[arg(long, env = "DEPLOYD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept
    #[arg(long, env = "DEPLOYD_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Make a data directory of a backup.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The backup is verified before anything is written. The daemon must not run on the data directory.

Examples:
  deployd restore deployd.backup --data /var/lib/deployd")]
pub struct RestoreArgs {
    /// What `deployd backup` has written
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// The data directory to make
    #[arg(long, env = "DEPLOYD_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Replace a store that is there; it is kept beside the new one
    #[arg(long)]
    pub force: bool,
}
