//! Applies, watches and prunes objects in Kubernetes clusters: core's port
//! [`Cluster`](deployd_core::ports::Cluster) over kube's client.
//!
//! What is asked of an API server goes through one place, [`request`], which
//! knows how long to wait and when to try again ([`retry`]); what it answers
//! becomes a fault in one place, [`faults`]. Above these: [`apply`], which passes
//! over what is [`unchanged`], [`wait`], [`prune`], [`logs`]. Whether an object is ready is a pure question
//! ([`readiness`]), and so is what ails it ([`trouble`]).
//!
//! Objects are JSON documents throughout: kinds that nobody here has heard of
//! are found by [`discovery`] and treated like any other.
#![allow(rustdoc::private_intra_doc_links)]

mod access;
mod apply;
mod client;
mod cluster;
mod compare;
mod conflict;
mod diagnose;
mod discovery;
mod events;
mod failure;
mod faults;
mod fields;
mod items;
mod listing;
mod logs;
mod observe;
mod options;
mod order;
mod ownership;
mod prepare;
mod prune;
mod read;
mod request;
mod retry;
mod scrub;
mod secrets;
mod settle;
mod snapshot;
mod tracked;
mod trouble;
mod unchanged;
mod wait;
mod watch;
mod within;

mod quantity;
pub mod readiness;

pub use cluster::KubeCluster;
pub use options::{ClusterOptions, Patience};
pub use secrets::{KubeSecrets, SecretsAccess};

/// The name under which deployd owns fields of objects.
pub const FIELD_MANAGER: &str = "deployd";
