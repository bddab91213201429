//! The daemon's settings: a TOML file, over it the environment, over it arguments.
//! The command line reads the last two. Unknown keys are errors.

mod secrets;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deployd_api::rates::{self, Rates};
use deployd_cli::args::ServeArgs;
use deployd_core::rate::Rate;
use deployd_host::compiler::CompileLimits;
use deployd_host::limits;
use reqwest::Url;
use serde::{Deserialize, Deserializer};

pub use secrets::{KubernetesSecrets, SecretsSettings, VaultSecrets};

/// Where the daemon listens unless told otherwise: nobody but this machine.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);

const MIB: usize = 1024 * 1024;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the daemon keeps everything; made if it is not there.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What URLs begin with by which others reach it, such as
    /// `https://deployd.example.com`: checks tell others so where to answer.
    /// Without it they are told where it listens.
    #[serde(deserialize_with = "public_url")]
    pub public_url: Option<Url>,
    /// How it logs.
    pub log: LogSettings,
    /// Whether `/metrics` needs no token.
    pub open_metrics: bool,
    /// How often one identity may ask.
    pub limits: LimitSettings,
    /// What the daemon takes away from itself.
    pub sandbox: SandboxSettings,
    /// What compiling a plugin may take.
    pub compiler: CompilerSettings,
    /// Where documents may be fetched that are attached by reference.
    pub references: ReferenceSettings,
    /// Keys of secrets, and places where secrets may be kept.
    pub secrets: SecretsSettings,
}

/// How often one identity may ask: a token, somebody who has signed in, or an address of
/// which nothing is known. As often as it likes where nothing a second is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitSettings {
    /// Requests a second.
    pub requests_per_second: u32,
    /// Requests at once.
    pub requests_at_once: u32,
    /// Deliveries of forges and registries a second, of one address.
    pub deliveries_per_second: u32,
    /// Deliveries at once.
    pub deliveries_at_once: u32,
}

/// Where documents may be fetched that are attached by reference, besides public addresses
/// over HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReferenceSettings {
    /// Servers at private addresses, or without TLS: `http://builds.internal:9000`.
    #[serde(deserialize_with = "servers")]
    pub private: Vec<Url>,
}

/// What the daemon takes away from itself: files with Landlock, system calls
/// with seccomp.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SandboxSettings {
    /// Whether it does.
    pub enabled: bool,
    /// Files and folders that it can read besides those it needs.
    pub read: Vec<PathBuf>,
    /// Files and folders that it can write as well, such as one for backups.
    pub write: Vec<PathBuf>,
}

/// What compiling a plugin may take, in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CompilerSettings {
    /// MiB of address space.
    pub memory_mib: u32,
    /// Seconds of processor time.
    pub cpu_seconds: u32,
}

/// How the daemon logs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogSettings {
    /// `text` for people, `json` for programs.
    pub format: LogFormat,
    /// Which lines: `info`, `deployd_engine=debug,warn`.
    pub filter: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("deployd-data"),
            listen: LISTEN,
            public_url: None,
            log: LogSettings::default(),
            open_metrics: false,
            limits: LimitSettings::default(),
            sandbox: SandboxSettings::default(),
            compiler: CompilerSettings::default(),
            references: ReferenceSettings::default(),
            secrets: SecretsSettings::default(),
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            requests_per_second: rates::REQUESTS_PER_SECOND,
            requests_at_once: rates::REQUESTS_AT_ONCE,
            deliveries_per_second: rates::DELIVERIES_PER_SECOND,
            deliveries_at_once: rates::DELIVERIES_AT_ONCE,
        }
    }
}

impl LimitSettings {
    pub(crate) fn rates(&self) -> Rates {
        let rate = |per_second: u32, at_once| {
            (per_second > 0).then(|| Rate::per_second(per_second, at_once))
        };
        Rates {
            requests: rate(self.requests_per_second, self.requests_at_once),
            deliveries: rate(self.deliveries_per_second, self.deliveries_at_once),
        }
    }
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self { enabled: true, read: Vec::new(), write: Vec::new() }
    }
}

impl Default for CompilerSettings {
    fn default() -> Self {
        let seconds = u32::try_from(limits::COMPILE_CPU.as_secs()).unwrap_or(u32::MAX);
        let mib = u32::try_from(limits::COMPILE_MEMORY_BYTES / MIB).unwrap_or(u32::MAX);
        Self { memory_mib: mib, cpu_seconds: seconds }
    }
}

impl CompilerSettings {
    pub(crate) fn limits(&self) -> CompileLimits {
        CompileLimits {
            memory_bytes: usize::try_from(self.memory_mib)
                .unwrap_or(usize::MAX)
                .saturating_mul(MIB),
            cpu: Duration::from_secs(self.cpu_seconds.into()),
            ..CompileLimits::default()
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// Why settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is wrong; the message names line and column.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// Settings of secrets make no sense.
    #[error("{0}")]
    Secrets(String),
}

impl Settings {
    /// Reads a file; without one, everything is as it is by default.
    pub fn read(file: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = file else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Io { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| SettingsError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// With what the command line or the environment say.
    pub(crate) fn with(mut self, args: &ServeArgs) -> Self {
        if let Some(data) = &args.data {
            self.data_dir.clone_from(data);
        }
        if let Some(listen) = args.listen {
            self.listen = listen;
        }
        if let Some(filter) = &args.log {
            self.log.filter.clone_from(filter);
        }
        match args.log_format {
            Some(deployd_cli::args::LogFormat::Text) => self.log.format = LogFormat::Text,
            Some(deployd_cli::args::LogFormat::Json) => self.log.format = LogFormat::Json,
            None => {}
        }
        self
    }
}

/// URLs of servers.
fn servers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Url>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| plain_url(text)).collect()
}

/// A URL of HTTP, without anything behind its path.
fn public_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    plain_url(&String::deserialize(from)?).map(Some)
}

fn plain_url<E: serde::de::Error>(text: &str) -> Result<Url, E> {
    let expected = "expected http(s)://host, such as https://deployd.example.com";
    let url = Url::parse(text)
        .map_err(|error| E::custom(format!("{text:?} is no URL: {error}; {expected}")))?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !is_plain {
        return Err(E::custom(format!("{text:?} can't be used; {expected}")));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deployd.toml");
        std::fs::write(&file, text).unwrap();
        Settings::read(Some(&file)).map_err(|error| error.to_string())
    }

    fn args(listen: Option<&str>) -> ServeArgs {
        ServeArgs {
            config: None,
            data: None,
            listen: listen.map(|text| text.parse().unwrap()),
            log: None,
            log_format: None,
            check: false,
        }
    }

    #[test]
    fn arguments_win_over_the_file_and_the_file_over_defaults() {
        let settings = read("listen = \"127.0.0.1:1\"\n[log]\nformat = \"json\"").unwrap();
        let settings = settings.with(&args(None));
        assert_eq!(settings.listen.port(), 1);
        assert_eq!(settings.log.format, LogFormat::Json);
        assert_eq!(settings.log.filter, "info");
        assert_eq!(settings.with(&args(Some("127.0.0.1:2"))).listen.port(), 2);
    }

    #[test]
    fn errors_name_the_place_and_what_was_expected() {
        let error = read("listen = \"nowhere\"").unwrap_err();
        assert!(error.contains("deployd.toml") && error.contains("line 1"), "{error}");
        let error = read("public-url = \"ftp://here\"").unwrap_err();
        assert!(error.contains("ftp://here") && error.contains("https://"), "{error}");
        let error = read("lisen = 1").unwrap_err();
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
    }

    #[test]
    fn how_often_may_be_asked_is_bounded_unless_it_is_said_not_to_be() {
        assert_eq!(read("").unwrap().limits.rates(), Rates::default());
        let limits = read("[limits]\nrequests-per-second = 0\ndeliveries-at-once = 7");
        let rates = limits.unwrap().limits.rates();
        assert_eq!(rates.requests, None);
        assert_eq!(rates.deliveries.unwrap().at_once, 7);
        let error = read("[limits]\nrequests-per-second = -1").unwrap_err();
        assert!(error.contains("deployd.toml") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn the_sandbox_is_on_unless_it_is_turned_off() {
        assert!(read("").unwrap().sandbox.enabled);
        let settings = read("[sandbox]\nenabled = false\nwrite = ['/var/backups']").unwrap();
        assert!(!settings.sandbox.enabled);
        assert_eq!(settings.sandbox.write, [PathBuf::from("/var/backups")]);
        let compiler = read("[compiler]\nmemory-mib = 512").unwrap().compiler.limits();
        assert_eq!(compiler.memory_bytes, 512 * MIB);
        assert_eq!(compiler.cpu, limits::COMPILE_CPU);
    }
}
