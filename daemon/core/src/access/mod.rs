//! Who somebody is, and what they may do.
//!
//! Names of different sources never meet, so that nobody can be taken for somebody
//! else:
//!
//! | who | is named |
//! | --- | --- |
//! | the holder of a token | the token's name, which has no `:` |
//! | an identity of an issuer | the issuer's name, `:`, and what the issuer calls it |
//! | a group of an issuer | the issuer's name, `:`, and what the issuer calls it; only ever a group |
//! | a `Group` document | its name, which has no `:` |
//! | a delivery to a hook | `hook:` and the hook's name; no issuer is called `hook` |
//! | deployd itself, and nobody | [`RESERVED`], which no token or issuer is called |

mod action;
mod claims;
#[cfg(test)]
mod claims_tests;
mod decide;
mod groups;
#[cfg(test)]
mod tests;
mod who;

pub use action::Action;
pub use claims::{Identified, LEEWAY_MS, NotIdentified, identify};
pub use decide::{AllowedBy, Identity, Narrowed, Reach, Resource, Rules, built_in, roles_with};
pub use groups::groups_of;
pub use who::{CanView, Permitted, SubjectKind, WhoCanView, who_can};

/// Names of those who are nobody: what a token of such a name did would be told as
/// done by deployd itself, by a delivery, or by somebody unknown.
pub const RESERVED: [&str; 4] = ["deployd", "unknown", "anonymous", "hook"];
