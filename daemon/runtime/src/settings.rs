//! The daemon's settings: a TOML file, then the environment, then arguments;
//! later ones win. Unknown keys are errors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where the daemon listens unless told otherwise: nobody but this machine.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the daemon keeps everything; made if it is not there.
    pub data_dir: PathBuf,
    /// Where it listens. `DEPLOYD_LISTEN`.
    pub listen: SocketAddr,
    /// How it logs.
    pub log: LogSettings,
    /// Whether `/metrics` needs no token.
    pub open_metrics: bool,
}

/// How the daemon logs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogSettings {
    /// `text` for people, `json` for programs. `DEPLOYD_LOG_FORMAT`.
    pub format: LogFormat,
    /// Which lines: `info`, `deployd_engine=debug,warn`. `DEPLOYD_LOG`.
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
            log: LogSettings::default(),
            open_metrics: false,
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
    /// A variable of the environment is wrong.
    #[error("the environment's {name}: found {found:?}, expected {expected}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Settings {
    /// Reads the file, if one is named, and then the environment.
    pub fn read(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let mut settings = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SettingsError::Io { path: path.to_owned(), source })?;
                toml::from_str(&text).map_err(|source| SettingsError::File {
                    path: path.to_owned(),
                    source: Box::new(source),
                })?
            }
            None => Self::default(),
        };
        if let Some(text) = variable("DEPLOYD_DATA_DIR") {
            settings.data_dir = PathBuf::from(text);
        }
        if let Some(found) = variable("DEPLOYD_LISTEN") {
            settings.listen = found.parse().map_err(|_| SettingsError::Variable {
                name: "DEPLOYD_LISTEN",
                found,
                expected: "an address and a port, as 127.0.0.1:7070",
            })?;
        }
        if let Some(text) = variable("DEPLOYD_LOG") {
            settings.log.filter = text;
        }
        if let Some(found) = variable("DEPLOYD_LOG_FORMAT") {
            settings.log.format = match found.as_str() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => {
                    return Err(SettingsError::Variable {
                        name: "DEPLOYD_LOG_FORMAT",
                        found,
                        expected: "text or json",
                    });
                }
            };
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deployd.toml");
        std::fs::write(&file, text).unwrap();
        Settings::read(Some(&file), |name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
        let settings = read("listen = \"127.0.0.1:1\"\n[log]\nformat = \"json\"", &[]).unwrap();
        assert_eq!(settings.listen.port(), 1);
        assert_eq!(settings.log.format, LogFormat::Json);
        assert_eq!(settings.log.filter, "info");
        let settings =
            read("listen = \"127.0.0.1:1\"", &[("DEPLOYD_LISTEN", "127.0.0.1:2")]).unwrap();
        assert_eq!(settings.listen.port(), 2);
    }

    #[test]
    fn errors_name_the_place_and_what_was_expected() {
        let error = read("listen = \"nowhere\"", &[]).unwrap_err();
        assert!(error.contains("deployd.toml") && error.contains("line 1"), "{error}");
        let error = read("lisen = 1", &[]).unwrap_err();
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
        let error = read("", &[("DEPLOYD_LISTEN", "x")]).unwrap_err();
        assert!(error.contains("127.0.0.1:7070"), "{error}");
    }
}
