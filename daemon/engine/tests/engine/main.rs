//! The engine against a world of fakes: what it does when all goes well, and
//! what it does when anything else happens, at any moment.
//!
//! Time is tokio's paused time: it jumps to the next moment at which anything
//! happens, so that a day of retries takes milliseconds.

// Of clippy's exceptions for tests, code shared by several tests gets none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::print_stdout)]
// Modules of one test binary: what they share is `pub` among them.
#![allow(unreachable_pub)]
// `json!({...})` reads better as an argument than a reference to it.
#![allow(clippy::needless_pass_by_value)]

mod answers;
mod approvals;
mod archives;
mod attestations;
mod audit;
mod calendars;
mod cancel;
mod checks;
mod commits;
mod compare;
mod crashes;
mod details;
mod documents;
mod dora;
mod drafts;
mod drift;
mod exact;
mod expiry;
mod fakes;
mod flow;
mod found;
mod going_back;
mod groups;
mod guards;
mod healing;
mod history;
mod hooks;
mod inventory;
mod isolation;
mod job;
mod jobs;
mod large;
mod lending;
mod notifications;
mod pods;
mod policies;
mod pulled;
mod pulled_tracks;
mod reach;
mod references;
mod rehearsing;
mod repeats;
mod replacing;
mod replay;
mod requests;
mod resources;
mod rollback;
mod rollout_model;
mod rollouts;
mod sboms;
mod secrets;
mod sessions;
mod setbacks;
mod simulation;
mod slots;
mod sources;
mod subjects;
mod teardown;
mod threads;
mod time;
mod together;
mod unfinished;
mod watching;
mod world;
mod yielding;
