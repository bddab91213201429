//! What all commands have.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// CSV, of lists that are for spreadsheets.
    Csv,
}

/// A text that must not be shown: it is in no `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for those who send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl FromStr for SecretText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// What all commands have.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Where the daemon is
    #[arg(
        long,
        global = true,
        env = "DEPLOYD_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:7070"
    )]
    pub server: String,

    /// The token to use; better in the environment or in a file than here, where others see it
    #[arg(
        long,
        global = true,
        env = "DEPLOYD_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<SecretText>,

    /// A file with the token [default: the session of `deployd auth login`, else deployd/token in the
    /// directory for configuration]
    #[arg(long, global = true, env = "DEPLOYD_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// A PEM file with certificates to trust beside the system's
    #[arg(long, global = true, env = "DEPLOYD_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// How results are written
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,

    /// No colours [also: NO_COLOR in the environment]
    #[arg(long, global = true)]
    pub no_color: bool,

    /// Nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// The key by which the daemon recognises a repeat of this write [default: random]
    #[arg(long, global = true, value_name = "KEY")]
    pub idempotency_key: Option<String>,

    /// How long to wait for an answer, in seconds
    #[arg(
        long,
        global = true,
        env = "DEPLOYD_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub timeout: u64,
}
