//! Hosts plugins: WebAssembly components on wasmtime, with grants and limits.
//!
//! [`PluginHost`] loads plugins and implements core's ports `Drivers`,
//! `Templaters`, `Strategies` and `Notifiers` by calling them. Every call has a
//! store of its own, made for it and dropped with it: a plugin keeps nothing
//! between calls, and one that traps, loops or grows harms nobody but itself.
//!
//! Where to look:
//!
//! | file | about |
//! | --- | --- |
//! | `limits` | every limit, with its reason |
//! | `load`, `manifest`, `contract`, `grants` | from bytes to a plugin |
//! | `session`, `store` | one call |
//! | `interfaces/` | what plugins can import, one file each |
//! | `bindings/` | the contracts of `wit/`, one file per kind and track |
//! | `document`, `failure` | what is made of answers, and of their absence |
//! | `health`, `stats` | strikes, quarantine, counters |
//!
//! What is not bounded: a compilation's memory, and its time once it has begun
//! (it is given up on, and the next waits until it ends). Size, validity and
//! number of modules are checked before.

mod audit;
mod bindings;
mod config_schema;
mod contract;
mod document;
mod engine;
mod failure;
mod grants;
mod health;
mod host;
mod interfaces;
pub mod limits;
mod load;
mod manifest;
mod plugin;
mod pool;
mod ports;
mod record;
mod session;
mod stats;
mod store;

pub use audit::{Audit, Reveal};
pub use config_schema::ConfigError;
pub use contract::ContractError;
pub use engine::EngineError;
pub use health::Backoff;
pub use host::{HostOptions, PluginHost};
pub use load::{LoadError, Registration};
pub use manifest::{Asks, Manifest, ManifestError};
pub use plugin::LoadedInfo;
pub use stats::{Counts, PluginStatus};
