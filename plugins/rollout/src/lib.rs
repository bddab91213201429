//! What the strategies have in common.
//!
//! A strategy makes a [`Program`] of its configuration and the workloads: the
//! actions of a rollout in which all goes well, in their order. This crate goes
//! through it ([`start`], [`next`]), and keeps no more than the place where it
//! is: the program is made again in each call, and comes out the same, because
//! it is made of nothing else. When something fails, what has to be taken back is
//! told by the part of the program that was done.
//!
//! ```text
//! forward:  prepare tracks -> shift, check, wait ... -> promote -> complete
//! back:     scale the old up -> shift to it -> retire tracks -> roll back
//! ```
//!
//! Only workloads that changed, that run already, and whose traffic can be
//! divided have tracks ([`Parts`]); the others are applied in place.

mod back;
mod duration;
mod order;
mod parts;
mod program;
mod run;
mod split;
mod standing;
mod switch;

pub use duration::Millis;
pub use order::batches;
pub use parts::{Parts, Role};
pub use program::{Checked, Deadlines, Program, Step};
pub use run::{OnFailure, OnInconclusive, Programmed, State, next, start};
pub use split::{Level, Split, unreachable};

pub use switch::{Batch, Mirror, Switch};
