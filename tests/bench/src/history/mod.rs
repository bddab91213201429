//! A long history of deployments, as a daemon would have written it.
//!
//! The events of deployments that a daemon has made are taken for [`template`]s,
//! and get other names and times; what is kept beside them comes from the
//! functions of `deployd-core` that the engine calls, too ([`past`]). A test of
//! `tests/it` makes deployments by a daemon and has them made here once more, and
//! compares all that is kept of both.

pub mod grow;
pub mod names;
pub mod past;
pub mod template;
mod text;
