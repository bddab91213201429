//! How the keys are that secrets are encrypted with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys that data keys of secrets are wrapped with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyReport {
    /// Whether every secret that can be read is wrapped with the newest key.
    pub settled: bool,
    /// The newest first.
    pub keys: Vec<KeyView>,
    /// Secrets (`owner/name`) that no key opens, the first thousand; they stay as
    /// they are. Known since secrets were last wrapped anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// One key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    /// Made of the key; tells nothing about it.
    pub id: String,
    /// Where it comes from: a file, or a variable of the environment.
    pub from: String,
    /// What it is needed for.
    #[serde(rename = "use")]
    pub used: KeyUse,
}

/// What a key is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUse {
    /// It wraps all that is written.
    Newest,
    /// There may be secrets that only it opens; so also as long as there are any
    /// that can't be read.
    Needed,
    /// No secret in the store needs it; backups from before may.
    Removable,
}
