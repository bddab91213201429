//! What all documents share.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApplicationSpec, CalendarSpec, EnvironmentSpec, EnvironmentTypeSpec, GroupSpec, HookSpec,
    IssuerSpec, PluginSpec, PolicySpec, ResourceDefinitionSpec, RoleBindingSpec, RoleSpec,
    SubscriptionSpec,
};
use crate::Name;
use crate::score::Workload;

/// The version of all kinds but Score's.
pub const API_VERSION: &str = "deployd.dev/v1";

/// A document's kind. `Workload` is a Score document.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum DocumentKind {
    /// A set of workloads and their flow.
    Application,
    /// What environments of a kind share.
    EnvironmentType,
    /// A place that an application runs.
    Environment,
    /// Which driver provisions what.
    ResourceDefinition,
    /// A plugin and its grant.
    Plugin,
    /// Whom to tell of what.
    Subscription,
    /// Who tells of what, and how that is verified.
    Hook,
    /// When it may be deployed, and when not.
    Calendar,
    /// Who belongs together.
    Group,
    /// What deployments may not be like.
    Policy,
    /// What somebody may do who has it.
    Role,
    /// Who has a role, and where.
    RoleBinding,
    /// Who says who somebody is.
    Issuer,
    /// A Score document.
    Workload,
}

impl DocumentKind {
    /// All kinds, in the order in which documents of them are applied.
    pub const ALL: [Self; 14] = [
        Self::Plugin,
        Self::EnvironmentType,
        Self::ResourceDefinition,
        Self::Workload,
        Self::Application,
        Self::Environment,
        Self::Subscription,
        Self::Hook,
        Self::Calendar,
        Self::Group,
        Self::Policy,
        Self::Role,
        Self::RoleBinding,
        Self::Issuer,
    ];
}

impl DocumentKind {
    /// Whether documents of it decide who may do what: whoever changes them could
    /// otherwise allow themselves everything.
    pub fn is_about_access(self) -> bool {
        matches!(self, Self::Group | Self::Role | Self::RoleBinding | Self::Issuer)
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Names a document. Environments and workloads belong to an application;
/// everything else is named by kind and name alone.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct DocumentKey {
    /// Its kind.
    pub kind: DocumentKind,
    /// The application it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Name>,
    /// Its name.
    pub name: Name,
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.application {
            Some(application) => write!(f, "{} {application}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Metadata of all kinds but Score's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name.
    pub name: Name,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Anything, for other tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A document of a kind that has the spec `S`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope<S> {
    /// `deployd.dev/v1`.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// The kind.
    pub kind: DocumentKind,
    /// Name and such.
    pub metadata: Metadata,
    /// What it says.
    pub spec: S,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Document {
    /// A set of workloads and their flow.
    Application(Envelope<ApplicationSpec>),
    /// What environments of a kind share.
    EnvironmentType(Envelope<EnvironmentTypeSpec>),
    /// A place that an application runs.
    Environment(Envelope<EnvironmentSpec>),
    /// Which driver provisions what.
    ResourceDefinition(Envelope<ResourceDefinitionSpec>),
    /// A plugin and its grant.
    Plugin(Envelope<PluginSpec>),
    /// Whom to tell of what.
    Subscription(Envelope<SubscriptionSpec>),
    /// Who tells of what, and how that is verified.
    Hook(Envelope<HookSpec>),
    /// When it may be deployed, and when not.
    Calendar(Envelope<CalendarSpec>),
    /// Who belongs together.
    Group(Envelope<GroupSpec>),
    /// What deployments may not be like.
    Policy(Envelope<PolicySpec>),
    /// What somebody may do who has it.
    Role(Envelope<RoleSpec>),
    /// Who has a role, and where.
    RoleBinding(Envelope<RoleBindingSpec>),
    /// Who says who somebody is.
    Issuer(Envelope<IssuerSpec>),
    /// A Score document of an application.
    Workload(ApplicationWorkload),
}

/// A Score document and the application that lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationWorkload {
    /// Whose workload it is.
    pub application: Name,
    /// The name, as the document's metadata has it.
    pub name: Name,
    /// The document.
    pub workload: Workload,
}

impl Document {
    /// Its key.
    pub fn key(&self) -> DocumentKey {
        let (kind, application, name) = match self {
            Self::Application(d) => (DocumentKind::Application, None, &d.metadata.name),
            Self::EnvironmentType(d) => (DocumentKind::EnvironmentType, None, &d.metadata.name),
            Self::Environment(d) => {
                (DocumentKind::Environment, Some(&d.spec.application), &d.metadata.name)
            }
            Self::ResourceDefinition(d) => {
                (DocumentKind::ResourceDefinition, None, &d.metadata.name)
            }
            Self::Plugin(d) => (DocumentKind::Plugin, None, &d.metadata.name),
            Self::Subscription(d) => (DocumentKind::Subscription, None, &d.metadata.name),
            Self::Hook(d) => (DocumentKind::Hook, None, &d.metadata.name),
            Self::Calendar(d) => (DocumentKind::Calendar, None, &d.metadata.name),
            Self::Group(d) => (DocumentKind::Group, None, &d.metadata.name),
            Self::Policy(d) => (DocumentKind::Policy, None, &d.metadata.name),
            Self::Role(d) => (DocumentKind::Role, None, &d.metadata.name),
            Self::RoleBinding(d) => (DocumentKind::RoleBinding, None, &d.metadata.name),
            Self::Issuer(d) => (DocumentKind::Issuer, None, &d.metadata.name),
            Self::Workload(d) => (DocumentKind::Workload, Some(&d.application), &d.name),
        };
        DocumentKey { kind, application: application.cloned(), name: name.clone() }
    }

    /// Reads a stored document of a known kind.
    pub fn from_stored(kind: DocumentKind, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            DocumentKind::Application => Self::Application(serde_json::from_slice(bytes)?),
            DocumentKind::EnvironmentType => Self::EnvironmentType(serde_json::from_slice(bytes)?),
            DocumentKind::Environment => Self::Environment(serde_json::from_slice(bytes)?),
            DocumentKind::ResourceDefinition => {
                Self::ResourceDefinition(serde_json::from_slice(bytes)?)
            }
            DocumentKind::Plugin => Self::Plugin(serde_json::from_slice(bytes)?),
            DocumentKind::Subscription => Self::Subscription(serde_json::from_slice(bytes)?),
            DocumentKind::Hook => Self::Hook(serde_json::from_slice(bytes)?),
            DocumentKind::Calendar => Self::Calendar(serde_json::from_slice(bytes)?),
            DocumentKind::Group => Self::Group(serde_json::from_slice(bytes)?),
            DocumentKind::Policy => Self::Policy(serde_json::from_slice(bytes)?),
            DocumentKind::Role => Self::Role(serde_json::from_slice(bytes)?),
            DocumentKind::RoleBinding => Self::RoleBinding(serde_json::from_slice(bytes)?),
            DocumentKind::Issuer => Self::Issuer(serde_json::from_slice(bytes)?),
            DocumentKind::Workload => Self::Workload(serde_json::from_slice(bytes)?),
        })
    }
}
