//! The domain of deployd: plain data and pure decisions.
//!
//! This crate knows serde and small value crates and nothing else: no runtime,
//! no store, no network, no cluster. What it needs from the outside it asks for
//! through the traits in [`ports`]; everybody else depends on this crate, and
//! it depends on nobody.

pub mod access;
pub mod adopt;
pub mod advice;
pub mod announcement;
pub mod approval;
pub mod archive;
pub mod artifact;
pub mod attestation;
pub mod audit;
pub mod calendar;
pub mod commit;
pub mod compare;
pub mod config;
pub mod debug;
pub mod delivery;
pub mod deployment;
pub mod details;
pub mod digest;
pub mod dora;
pub mod draft;
pub mod drift;
pub mod egress;
pub mod environment_report;
pub mod exact;
pub mod fault;
pub mod flow;
pub mod found;
pub mod graph;
pub mod ids;
pub mod image;
pub mod inventory;
pub mod journal;
pub mod matching;
pub mod notice;
pub mod outbox;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod pull;
pub mod quarantine;
pub mod rate;
pub mod reference;
pub mod rehearsal;
pub mod replay;
pub mod resolve;
pub mod rollout;
pub mod sbom;
pub mod score;
pub mod secret;
pub mod seeded;
pub mod set;
pub mod steering;
pub mod subject;
pub mod time;
pub mod views;

pub use digest::Digest;
pub use fault::{Fault, FaultClass};
pub use ids::{Actor, DeploymentId, EnvironmentId, Name, SlotId};
pub use time::Timestamp;
