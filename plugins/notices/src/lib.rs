//! What notifiers for people have in common: what an event means, in words.
//!
//! The words are plain text. Whoever puts them into a message escapes them for it:
//! comments, names of images and faults are written by others.

mod data;
mod images;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
mod words;

pub use data::{Condition, Data, Fault, Gate, Origin, Several, Summary};
pub use images::{commit_of, short_commit, version_of};
pub use words::{GROUP, Mood, Notice, clipped};
