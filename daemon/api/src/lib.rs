//! The HTTP interface: JSON under `/v1`, live progress as server-sent events,
//! an OpenAPI 3.1 document of all of it, and a page for people.
//!
//! ```text
//!   connection ─► observe ─────► admit ──────────────► handler ─► Engine
//!                 request id     declared? token? how often? scope?
//!                 span, metrics  body and its limits
//!                 headers        idempotency, time
//! ```
//!
//! An operation is declared once, with the scope it needs; route and
//! documentation both come from that declaration and from the types of its
//! handler. What is not declared is not admitted.

mod access;
mod admission;
mod answer;
mod api;
mod asked;
mod body;
mod closing;
mod dora_metrics;
mod idempotency;
pub mod limits;
mod observe;
mod openapi;
mod operation;
mod page;
mod problem;
pub mod rates;
mod refusals;
mod request_id;
mod request_metrics;
mod routes;
mod serve;
mod source;
mod target;
mod turns;

pub use api::{Api, MetricsSource, Options};
pub use limits::Limits;
pub use openapi::document as openapi;
pub use problem::{Code, Problem, ProblemItem};
pub use routes::router;
pub use serve::serve;

#[cfg(test)]
mod tests;
