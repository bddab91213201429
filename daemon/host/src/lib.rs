//! Hosts plugins: WebAssembly components on wasmtime, with grants and limits.
//!
//! [`PluginHost`] loads plugins and implements core's ports `Drivers`,
//! `Templaters`, `Strategies`, `Notifiers` and `Checks` by calling them. Every
//! call has a store of its own, made for it and dropped with it: a plugin keeps
//! nothing between calls, and one that traps, loops or grows harms nobody but
//! itself.
//!
//! Where to look:
//!
//! | file | about |
//! | --- | --- |
//! | `limits` | every limit, with its reason |
//! | `load`, `manifest`, `contract`, `grants` | from bytes to a plugin |
//! | `compiler` | compiling in a process of its own |
//! | `session`, `store`, `lanes` | one call, and where it runs |
//! | `interfaces/` | what plugins can import, one file each |
//! | `bindings/` | the contracts of `wit/`, one file per kind and track |
//! | `document`, `failure` | what is made of answers, and of their absence |
//! | `health`, `stats` | strikes, quarantine, counters |
//!
//! With a [`compiler::Supervisor`], a plugin is compiled in a process of its own,
//! bounded in time and memory. Without one, a compilation is bounded by the size,
//! validity and number of modules of what is compiled, and in time only by
//! nobody waiting for it any more.

mod audit;
mod bindings;
pub mod compiler;
mod config_schema;
mod contract;
mod document;
mod engine;
mod failure;
mod grants;
mod health;
mod host;
mod interfaces;
mod lanes;
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
