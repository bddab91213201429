//! The interface as its clients see it, over a real engine.

mod access;
mod admitting;
mod archiving;
mod bad_input;
mod calendar;
mod comparing;
mod contract;
mod deploying;
mod fakes;
mod hooks;
mod idempotent;
mod inventory;
mod limiting;
mod managing;
mod repeating;
mod serving;
mod slots;
mod stage;
