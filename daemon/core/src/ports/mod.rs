//! What the domain needs from the outside, as traits. Each is implemented by
//! one crate, and joined with the others in `runtime`.

mod attestations;
mod catalog;
mod checks;
mod cluster;
mod egress;
mod forges;
mod issuers;
mod no_git;
mod observed;
mod plugins;
mod references;
mod registries;
mod rehearsals;
mod repositories;
mod store;
mod vault;
mod world;

pub use attestations::Attestations;
pub use catalog::{PluginCatalog, PluginInfo};
pub use checks::{CheckAnswer, CheckOutcome, CheckRequest, Checks, Measurement, Verdict};
pub use cluster::{
    Applier, ApplyRequest, Cluster, ClusterAccess, LogLines, ObjectRef, Readiness,
    SensitiveObjects, Snapshot, Target, UNAUTHORIZED, WorkloadFault,
};
pub use egress::{
    Access, Connection, Destination, Egress, EgressError, EgressLimits, Exchange, Exchanged,
    Scheme, Security, TlsOptions, Use, UseOutcome, Uses,
};
pub use forges::{Forge, ForgeKind, Forges, Proposal, PullRequest, PullRequestState};
pub use issuers::Issuers;
pub use no_git::NoGit;
pub use observed::{
    ObservedCondition, ObservedContainer, ObservedPod, ObservedWorkload, all_there,
};
pub use plugins::{
    Call, CallLog, Decision, Delivery, DriverAction, DriverPlan, DriverRequest, Drivers, LogLevel,
    LogLine, NotifierRequest, Notifiers, PLUGIN_BUSY, PluginRef, Policies, Progress, Provisioned,
    Receivers, Removal, RenderInput, Scope, Strategies, StrategyContext, Telling, TellingStep,
    Templaters,
};
pub use references::References;
pub use registries::{Registries, RegistryAccess};
pub use rehearsals::{Rehearsals, Rehearsed, Staged};
pub use repositories::{
    BlobId, Branch, CommitAuthor, CommitId, CommitRequest, CommitSummary, Committed, EDITED,
    FilesAt, ForeignChange, ForeignEdit, KEY_TRAILER, Repositories, Revision, SshLogin,
};
pub use store::{
    Accepted, Append, Batch, Claim, FeedItem, FeedPosition, Fence, IdempotencyKey, Index, KeyRange,
    Object, Order, Page, Put, Store, StoreError, VerifyReport, WorkerId,
};
pub use vault::{Recipe, SecretSource, Vault, VaultAdmin, VaultError};
pub use world::{ANSWER_BYTES, Answer, Clock, Outgoing, Random, Sender};
