//! Environments that are pulled from a Git repository by somebody else.
//!
//! Everything but the way to the cluster is as it is for those that are pushed: what
//! would be applied is committed, and what is waited for is waited for once it was
//! pulled.

pub mod delegation;
mod files;
mod markdown;
mod message;
mod place;
mod preview;
mod proposal;
mod published;
pub mod puller;

pub use files::{Direct, PathInvalid, direct, path_of, paths, stays};
pub use message::{SUBJECT_CHARS_MAX, commit_message, subject};
pub use place::{PlaceInvalid, placed};
pub use preview::{PullPreview, Stepping, preview};
pub use proposal::{Proposed, body};
pub use published::{Files, Published};
