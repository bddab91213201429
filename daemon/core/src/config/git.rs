//! Environments that are pulled from a Git repository, by somebody else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugin::HostGrant;
use crate::Name;
use crate::ports::{CommitAuthor, ForgeKind};

/// The most hosts that a repository, its forge and their like can be at.
const HOSTS_MAX: usize = 10;

/// The most keys of a host that are trusted: one of each algorithm, and the same again
/// while they are exchanged.
const HOST_KEYS_MAX: usize = 10;

/// By which way deployments come to environments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryTarget {
    /// deployd applies them to the cluster.
    #[default]
    Cluster,
    /// deployd commits them to a Git repository, and a puller brings them to the
    /// cluster: Argo CD, Flux, or another.
    Git,
}

impl DeliveryTarget {
    /// Whether it is the default.
    pub fn is_cluster(&self) -> bool {
        *self == Self::Cluster
    }
}

/// Where an environment is pulled from, and by whom. Of `branch`, `path`, and the names
/// of the puller, `{application}`, `{environment}` and `{type}` stand for their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSpec {
    /// The repository: `https://host/path.git`, or `ssh://user@host/path.git`; without a
    /// password.
    #[schemars(length(min = 1, max = 1000))]
    pub repository: String,
    /// The branch.
    #[serde(default = "main", skip_serializing_if = "is_main")]
    #[schemars(length(min = 1, max = 200))]
    pub branch: String,
    /// The directory of the environment's manifests. What others have there beside
    /// them is left alone.
    #[schemars(length(min = 1, max = 400))]
    pub path: String,
    /// Where requests may go to, and with which credential: the host of the repository,
    /// and of the forge's API. Public hosts over HTTPS need no mention, if there is no
    /// credential for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = HOSTS_MAX))]
    pub hosts: Vec<HostGrant>,
    /// How to log in over SSH; needed for `ssh://` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshSpec>,
    /// Whom commits are by; deployd when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<CommitAuthor>,
    /// The operator's secret that commits are signed with: a private key, as OpenSSH
    /// writes it. They are not signed when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_secret: Option<Name>,
    /// Commits come to the branch by pull requests, which others merge; directly, when
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestSpec>,
    /// Who brings what is on the branch to the cluster, and is watched. Without it, the
    /// objects in the cluster alone tell what has come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub puller: Option<PullerSpec>,
}

/// How to log in over SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SshSpec {
    /// The operator's secret with the private key, as OpenSSH writes it, without a
    /// passphrase.
    pub key_secret: Name,
    /// Keys of the host, as `ssh-keyscan` shows them: `ssh-ed25519 AAAA…`. No other is
    /// trusted.
    #[schemars(length(min = 1, max = HOST_KEYS_MAX))]
    pub host_keys: Vec<String>,
}

/// At which forge pull requests are opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullRequestSpec {
    /// Whose API it has.
    pub forge: ForgeKind,
    /// The API's address: `https://api.github.com`, `https://gitlab.example/api/v4`,
    /// `https://gitea.example/api/v1`.
    #[schemars(length(min = 1, max = 1000))]
    pub api: String,
    /// The repository there: `owner/name`, of GitLab with all its groups.
    #[schemars(length(min = 1, max = 400))]
    pub project: String,
}

/// What brings a branch to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullerKind {
    /// An `Application` of Argo CD.
    ArgoCd,
    /// A `Kustomization` of Flux.
    FluxKustomization,
    /// A `HelmRelease` of Flux, whose chart is in the repository.
    FluxHelmRelease,
}

/// Who brings what is on a branch to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullerSpec {
    /// What it is.
    pub kind: PullerKind,
    /// The name of its object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of its object.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The operator's secret with a kubeconfig of the cluster in which that object is,
    /// where it is another than the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret: Option<Name>,
}

fn main() -> String {
    "main".to_owned()
}

fn is_main(branch: &str) -> bool {
    branch == "main"
}
