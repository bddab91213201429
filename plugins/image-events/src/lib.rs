//! What receivers have in common: how names of images, commits and times are read
//! that a delivery has.
//!
//! A delivery was written by others. What is made of it is compared and looked up,
//! and stands in manifests in the end, so that each part is checked here before it
//! becomes one of an [`Artifact`](deployd_plugin_sdk::receiver::Artifact). `at` is
//! always the JSON pointer of the place that the text is from, for the fault.

mod configured;
mod delivery;
mod image;
mod placeholders;
mod push;
mod source;
#[cfg(feature = "testing")]
pub mod testing;

pub use configured::{Build, ConfiguredImage};
pub use delivery::{body, header, wanted};
pub use image::{digest, is_of_another_image, registry, repository, tag, without_version};
pub use placeholders::expand;
pub use push::{Push, PushedCommit};
pub use source::{build_url, commit, git_ref, millis, ref_slug, seconds_to_millis, timestamp};

use deployd_plugin_sdk::{Fault, shown};

/// The fault of a text that is not what it should be.
fn unexpected(at: &str, found: &str, expected: &str) -> Fault {
    Fault::invalid(at, format!("found {:?}, expected {expected}", shown(found)))
}
