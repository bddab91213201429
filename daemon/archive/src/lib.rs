//! The bytes of archives: what `deployd_core::archive` describes, written and read.
//!
//! The daemon writes and imports them, and the client verifies them without a
//! daemon. `tar` and `zstd` read them too. Nothing is ever unpacked into files: names
//! of members are compared and lead nowhere.

mod read;
mod tar;
mod write;

pub use read::{Archive, read};
pub use write::{Content, WriteError, write};
