//! Rollouts: tracks beside what runs for everybody, and their traffic.
//!
//! What is rendered is canonical: once a rollout has ended, the cluster has those
//! objects and no others. In between there may be *tracks* beside `stable`: copies
//! of a workload's Deployment, Services, ConfigMaps and Secrets, of the new version
//! or of the current one, which get a part of the traffic. Which tracks there are
//! follows from what the steps of a deployment did ([`Tracks`]); what should be in
//! the cluster follows from these and from what is rendered ([`desired`]). Nothing
//! else is remembered.
//!
//! Whoever performs an action asks for the tracks after it ([`Tracks::applied`] and
//! its like), whether they can be served ([`allowed`]) and have names of their own
//! ([`names_free`]), and applies what is [`desired`] then; a shift goes in the phases
//! that [`shifting`] gives. At the end [`Tracks::missing`] says what was forgotten,
//! and [`copies`] what may be left over.

pub mod checking;
mod copy;
pub mod course;
mod error;
mod footing;
mod ingress;
pub mod jobs;
mod name;
mod overlay;
mod parts;
mod ratio;
mod route;
mod runners;
mod shifting;
mod situation;
pub mod sleeping;
mod tracks;
mod traffic;

pub use error::{Missing, TrackError};
pub use footing::{Footing, Led, Pods, footing};
pub use name::{STABLE, TRACK_LABEL, TRACK_NAME_LENGTH_MAX, copy_name, is_track_name};
pub use overlay::{NameTaken, Overlay, copies, desired, names_free};
pub use runners::{Runner, runners};
pub use shifting::{Phase, shifting};
pub use tracks::{
    HEADERS_MAX, HeaderMatch, Shift, TRACKS_MAX, Track, Tracks, Version, WorkloadTracks,
};
pub use traffic::{Choice, Impossible, NoSuchWay, Via, Way, allowed, ways};

#[cfg(test)]
mod tests;
