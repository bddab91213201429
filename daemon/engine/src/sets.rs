//! Sets that are kept: every one that was ever asked to be deployed, or made of
//! another one.

use deployd_core::ports::Index;

/// Sets: hex digits of the digest -> what is known of it.
pub(crate) const SETS: Index = Index("sets");
