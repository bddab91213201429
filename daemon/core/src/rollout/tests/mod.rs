//! Rollouts, over manifests as the default baseline makes them.

mod course;
mod jobs;
mod objects;
mod overlay;
mod properties;
mod routes;
mod tracks;
mod ways;
