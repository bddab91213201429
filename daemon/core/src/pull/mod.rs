//! Environments that are pulled from a Git repository by somebody else.
//!
//! Everything but the way to the cluster is as it is for those that are pushed: what
//! would be applied is committed, and what is waited for is waited for once it was
//! pulled.

mod files;
mod place;
mod preview;
mod published;

pub use files::{Direct, PathInvalid, direct, path_of, paths, stays};
pub use place::{PlaceInvalid, placed};
pub use preview::{PullPreview, Stepping, preview};
pub use published::{Files, Published};
