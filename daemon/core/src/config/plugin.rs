//! Plugins and what the operator grants them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;

/// An extension point.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Provisions resources.
    Driver,
    /// Makes manifests.
    Templater,
    /// Decides how a rollout goes on.
    Strategy,
    /// Tells others.
    Notifier,
    /// Reads deliveries of forges and registries.
    Receiver,
    /// Measures whether what is rolled out is as it should be.
    Check,
    /// Says what deployments may not be like.
    Policy,
}

impl std::fmt::Display for PluginKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Driver => "driver",
            Self::Templater => "templater",
            Self::Strategy => "strategy",
            Self::Notifier => "notifier",
            Self::Receiver => "receiver",
            Self::Check => "check",
            Self::Policy => "policy",
        })
    }
}

/// How safe it is to repeat what a driver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EffectLevel {
    /// The system behind it compares fences.
    Fenced,
    /// The system behind it knows a repeated key.
    Keyed,
    /// Setting to a value: a repeat changes nothing.
    Idempotent,
    /// A repeat may do it twice: an unknown outcome needs an operator.
    Unsafe,
}

/// A plugin: where it comes from, and what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginSpec {
    /// The extension point that it must be for.
    pub kind: PluginKind,
    /// Where its component comes from.
    pub source: PluginSource,
    /// The component must have this digest. Needed for all but what is shipped
    /// with the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What the operator allows it; nothing when not given.
    #[serde(default)]
    pub grant: Grant,
    /// Its configuration, as its schema has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
}

/// Where a plugin's component comes from. Exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct PluginSource {
    /// Shipped with the daemon, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped: Option<String>,
    /// Uploaded before with `deployd plugin push`; found by `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<String>,
}

/// What the operator allows a plugin. What it may do is what it asks for and is
/// granted, both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// Where it may connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostGrant>,
    /// Secrets that it may place in outputs and manifests: the name that it
    /// uses -> the operator's secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Which of these it may read the value of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reveal: Vec<String>,
    /// Whether it is told how the pods are of what it checks: their states,
    /// restarts, and what they use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pods: bool,
    /// Whether it may have the host generate secrets for its resources.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generate_secrets: bool,
    /// Other limits than the host's own.
    #[serde(default)]
    pub limits: LimitOverrides,
}

/// A place to connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostGrant {
    /// The host name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `tcp`, `tls`, `http` or `https`.
    pub scheme: String,
    /// HTTP methods; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Whether the name may resolve to a loopback, link-local or private address.
    /// A metadata service has to be the host itself, by its address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_address: bool,
    /// Who signs the server's certificate: this authority, and none of those that
    /// the system trusts. Whoever uses the grant may say which name the certificate
    /// is to have, and for some name everybody has one that the public trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSource>,
    /// Whether those that the system trusts are trusted beside `ca`. Without `ca`,
    /// they are in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system_roots: bool,
    /// The operator's secret with the certificate that is shown to the server,
    /// its chain and its key, all in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// What the host adds to each HTTP request that this grant allows, and the
    /// plugin never sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<HttpCredential>,
}

/// A header with a secret in it. Goes to the host of its grant and to nobody
/// else: redirects are not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCredential {
    /// The operator's secret.
    pub secret: String,
    /// How the header is made of it.
    #[serde(default)]
    pub form: CredentialForm,
    /// Whose password the secret is, for the form `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What stands before the secret, for the form `raw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The header; `authorization` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Whether it may go out in plain text, where everybody on the way can read
    /// it. Without it, it does so only to this machine itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// How a header is made of a secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialForm {
    /// `Bearer SECRET`.
    #[default]
    Bearer,
    /// `Basic`, with a user (RFC 7617).
    Basic,
    /// The secret itself, after a prefix if there is one.
    Raw,
}

/// Where the certificates of an authority come from. Exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct CaSource {
    /// The certificates themselves, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// The operator's secret that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Limits that the operator changes for one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitOverrides {
    /// Linear memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub memory_mib: Option<u32>,
    /// Processor time of a call, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60000))]
    pub cpu_ms: Option<u32>,
    /// Time of a call by the clock, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300000))]
    pub wall_ms: Option<u32>,
    /// Calls at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: Option<u32>,
}
