//! Hooks: deliveries of forges and registries, how they are verified, and what reads
//! them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::glob_matches;
use crate::Name;

/// Secrets of one hook: the one in use, the next one, and room.
const SECRETS_MAX: usize = 4;

/// An address at which a forge or a registry tells what happened there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookSpec {
    /// What reads its deliveries.
    pub receiver: ReceiverChoice,
    /// How it is known who sent them.
    pub verify: Verification,
    /// Repositories whose artifacts count when they come by this hook; `*` is any
    /// run of characters. All when not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// How the registry is asked what a tag means, where a delivery names no digest:
    /// over HTTPS, at a public address, as anybody, when not given.
    #[serde(default, skip_serializing_if = "RegistryChoice::is_plain")]
    pub registry: RegistryChoice,
}

/// How a registry is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryChoice {
    /// The operator's secret with `user:password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Name>,
    /// Whether its address may be loopback, link-local or private.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_address: bool,
    /// Whether it is spoken to without TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
}

impl RegistryChoice {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A receiver and its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiverChoice {
    /// The name of its `Plugin` document.
    pub plugin: Name,
    /// Its configuration, as its schema has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
}

/// How deliveries are verified, over the body as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verification {
    /// The sender's way.
    pub scheme: VerificationScheme,
    /// The operator's secrets, any of which counts: two while one is exchanged.
    #[schemars(length(min = 1, max = SECRETS_MAX))]
    pub secrets: Vec<Name>,
    /// The header that holds the secret; for the scheme `header`, and
    /// `authorization` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub header: Option<String>,
}

/// How a sender proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationScheme {
    /// `X-Hub-Signature-256`: `sha256=` and the HMAC in hexadecimal.
    Github,
    /// `X-Gitea-Signature`: the HMAC-SHA256 in hexadecimal. Forgejo and Gogs, too.
    Gitea,
    /// `X-Gitlab-Token`: the secret itself.
    Gitlab,
    /// Standard Webhooks: id, time and signature.
    StandardWebhooks,
    /// A header that holds the secret itself: Harbor, Distribution.
    Header,
    /// The secret is in the address, `/v1/hooks/NAME?key=SECRET`: for who can
    /// neither sign nor send headers, Docker Hub and Quay among them.
    Address,
}

impl Verification {
    /// The header that holds the secret, where one does; in lower case.
    pub fn token_header(&self) -> Option<String> {
        match self.scheme {
            VerificationScheme::Gitlab => Some("x-gitlab-token".to_owned()),
            VerificationScheme::Header => {
                let header = self.header.as_deref().unwrap_or("authorization");
                Some(header.to_ascii_lowercase())
            }
            _ => None,
        }
    }
}

impl HookSpec {
    /// Whether artifacts of a repository count when they come by it.
    pub fn takes(&self, repository: &str) -> bool {
        self.repositories.is_empty()
            || self.repositories.iter().any(|pattern| glob_matches(pattern, repository))
    }
}
