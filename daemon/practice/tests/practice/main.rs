//! The practice cluster, seen through the real client.

mod admission;
mod apply;
mod custom;
mod discovery;
mod faults;
mod gateway;
mod objects;
mod pods;
mod rollout;
mod stage;
mod watching;
