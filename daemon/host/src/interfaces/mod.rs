//! What the host offers to plugins, one interface per file.

pub(crate) mod clock;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod net;
pub(crate) mod secrets;
pub(crate) mod wasi;
