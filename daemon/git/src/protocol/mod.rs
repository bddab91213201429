//! What is said to a Git server, and what it answers: plain data, and no connections.

mod fetch;
mod push;
mod side_band;

pub(crate) use fetch::{Capabilities, Fetch, Filter, head_request, read_fetched, read_heads};
pub(crate) use push::{Advertisement, Refusal, Report, push_request, read_report};

/// Who asks.
const AGENT: &str = concat!("deployd/", env!("CARGO_PKG_VERSION"));
