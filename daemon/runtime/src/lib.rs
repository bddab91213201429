//! Settings, wiring, signals, shutdown: the only crate that knows all the others.

mod adopt;
mod attestations;
mod audit;
mod catalog;
mod confinement;
#[cfg(feature = "crash-points")]
mod crash;
mod daemon;
mod demo;
mod doctor;
mod hook_test;
mod issuers;
mod logging;
mod metrics;
mod offline;
mod policy_test;
mod references;
mod registries;
mod rehearsal;
mod run;
mod sample;
mod sandbox;
mod secrets;
mod sender;
mod settings;
mod world;

pub use daemon::{Daemon, StartError};
pub use run::run;
pub use settings::{
    KubernetesSecrets, LogFormat, LogSettings, SecretsSettings, Settings, SettingsError,
    VaultSecrets,
};
