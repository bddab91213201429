//! Workloads: Score v1b1 documents (score.dev), closed as the specification's
//! schema has them (`score-spec/spec`, `score-v1b1.json`).

mod placeholder;
mod workload;

pub use placeholder::{Expand, PlaceholderError, Reference, Segment, expand, parse, references};
pub use workload::{
    Before, BeforeReady, ComputeResources, Container, Exec, File, HttpGet, HttpHeader, Port, Probe,
    Protocol, Quantities, Resource, ResourceMetadata, SCORE_VERSION, Scheme, Service, Volume,
    Workload, WorkloadMetadata,
};
