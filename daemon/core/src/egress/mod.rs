//! Where the daemon may connect to: pure decisions about hosts, addresses and
//! grants. The broker that connects asks them before it does.

mod address;
mod grant;
mod host;

pub use address::{AddressClass, classify};
pub use grant::{NotGranted, Passage, find, method_allowed};
pub use host::{Host, HostError};
