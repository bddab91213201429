//! Everything that leaves the daemon, but the cluster client.
//!
//! A name is resolved once, each address is checked, and only a checked one is
//! connected to: a name that resolves differently the second time gains nothing.
//! There are no redirects and no proxies, every phase has its time, every
//! direction its bytes, and every use is recorded. What is allowed is decided
//! in core (`deployd_core::egress`).

mod broker;
mod credential;
mod exchange;
mod network;
mod stream;
mod tls;
mod usage;
mod wire;

pub use broker::Broker;
pub use network::{Network, System};
