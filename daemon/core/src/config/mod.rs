//! Configuration documents: what a platform team applies.
//!
//! `apiVersion: deployd.dev/v1`, a kind, `metadata.name`, and a `spec`. Every
//! object is closed: an unknown field is an error. JSON Schemas are generated
//! from these types.

mod afterwards;
mod application;
mod approval;
mod attestation;
mod calendar;
mod check;
mod details;
mod document;
mod drift;
mod environment;
mod git;
mod group;
mod hook;
mod issuer;
mod plugin;
mod policy;
mod resource_definition;
mod role;
mod selector;
mod start_rule;
mod subscription;
mod time_to_live;

pub use afterwards::{AfterwardsSpec, OnDegradation};
pub use application::{ApplicationSpec, ArtifactRule, Batching, Promotion, Stage, StageBefore};
pub use approval::{ApprovalRule, Exclusion};
pub use attestation::{AttestationRule, SignedBy, SignerIdentity, Trust};
pub use calendar::{CalendarFreeze, CalendarSpec, CalendarWindow, RollbackRule, WindowEffect};
pub use check::{CheckChoice, CheckTiming};
pub use details::{DetailsSpec, InvalidRetention, Retention};
pub use document::{
    API_VERSION, ApplicationWorkload, Document, DocumentKey, DocumentKind, Envelope, Metadata,
};
pub use drift::{DriftSpec, Every, Heal, InvalidEvery};
pub use environment::{
    DRAIN_MS_DEFAULT, EnvironmentSpec, EnvironmentTypeSpec, StrategyChoice, TemplaterChoice,
};
pub(crate) use environment::{drain_ms_default, is_drain_ms_default};
pub use git::{DeliveryTarget, GitSpec, PullRequestSpec, PullerKind, PullerSpec, SshSpec};
pub use group::GroupSpec;
pub use hook::{HookSpec, ReceiverChoice, RegistryChoice, Verification, VerificationScheme};
pub use issuer::{ClaimValues, IdentityRule, IssuerSpec, LoginSpec, TokenAlgorithm};
pub use plugin::{
    CaSource, CredentialForm, EffectLevel, Grant, HostGrant, HttpCredential, LimitOverrides,
    PluginKind, PluginSource, PluginSpec,
};
pub use policy::{Exemption, PolicySpec, RULE_CHARS_MAX};
pub use resource_definition::{Criteria, Provider, ResourceDefinitionSpec, WhenUnused};
pub use role::{Place, RoleBindingSpec, RoleSpec, Subjects};
pub use selector::EnvironmentSelector;
pub(crate) use start_rule::is_relative;
pub use start_rule::{StartRule, StartRuleFault};
pub use subscription::{GROUP_WAIT_MS_MAX, GroupBy, Grouping, SubscriptionSpec, glob_matches};
pub use time_to_live::{InvalidTimeToLive, TimeToLive};
