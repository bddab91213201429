//! Where secrets are.
//!
//! Values that are set or generated are in the store, encrypted in two layers:
//! each value with a data key of its own, and the data key with a key that is
//! not in the store, from a file or a variable of the environment. So a new key
//! means that data keys are wrapped anew, and no value is decrypted.
//!
//! An operator's secret can also be a link to where its value is kept: a file, a
//! variable, a Kubernetes Secret, Vault. It is looked up each time when it is
//! used, and stored nowhere.
//!
//! | module | what it is about |
//! | --- | --- |
//! | [`keys`] | keys: where they come from, which of them are known |
//! | [`progress`] | how far it is with wrapping all secrets with the newest key |
//! | [`record`] | how a secret is written in the store |
//! | [`vault`] | the port `Vault` over a store |
//! | [`rewrap`] | from older keys and formats to the newest |
//! | [`sources`] | the places that links lead to |

mod fingerprints;
mod generate;
mod keys;
mod progress;
mod record;
mod rewrap;
mod sources;
mod vault;

pub use keys::{Environment, KeyError, KeySettings};
pub use sources::{EnvSource, FileSource, KvAddress, KvError, KvSource, KvToken, Sources};
pub use vault::StoreVault;

#[cfg(test)]
mod tests;
