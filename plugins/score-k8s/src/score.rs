//! Score v1b1, as the host hands it over: placeholders replaced, deprecated
//! forms rewritten, files read.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Workload {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) service: Service,
    pub(crate) containers: BTreeMap<String, Container>,
    #[serde(default)]
    pub(crate) resources: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    /// The rest of an open map.
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    #[serde(default)]
    pub(crate) ports: BTreeMap<String, Port>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Port {
    pub(crate) port: u16,
    pub(crate) protocol: Option<String>,
    pub(crate) target_port: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Container {
    pub(crate) image: String,
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) files: BTreeMap<String, File>,
    #[serde(default)]
    pub(crate) volumes: BTreeMap<String, Volume>,
    #[serde(default)]
    pub(crate) before: BTreeMap<String, Before>,
    #[serde(default)]
    pub(crate) resources: Resources,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) mode: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) binary_content: Option<String>,
    /// The host has done it.
    #[serde(rename = "noExpand")]
    _no_expand: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Volume {
    /// A text, or an object where a resource gave one.
    pub(crate) source: Value,
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) read_only: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    pub(crate) ready: Ready,
}

/// How far a container must be before another starts; later ones ask for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ready {
    Started,
    Healthy,
    Complete,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Resources {
    pub(crate) limits: Map<String, Value>,
    pub(crate) requests: Map<String, Value>,
}

/// Has the same form in Kubernetes.
pub(crate) type Probe = Map<String, Value>;
