//! A cluster without time and pods, against which tests drive strategies.
//!
//! [`drive`] has a strategy decide, does what it says to a [`Cluster`], tells it
//! what came of it (drawn beforehand: most is done, some fails, a person promotes or
//! wants things tried again), and so on until it completes or rolls back. Whatever
//! must never happen on the way is an error:
//!
//! - a decision that no engine could carry out: unknown workloads, weights that do
//!   not add up to 100 or can't be reached, traffic to a track that is not ready,
//!   a track taken away that has traffic;
//! - fewer ready replicas behind a workload's traffic than are wanted, or fewer
//!   behind a track's part of it than that part needs;
//! - a workload of the new version whose predecessor is not;
//! - an end in between: completed with a track left or a workload of the old
//!   version, rolled back with traffic on a track of a workload whose old version
//!   could still take it;
//! - a state that does not survive being written and read, or grows;
//! - no end.

mod chance;
mod cluster;
mod drive;
mod ratio;
mod worlds;

pub use chance::Came;
pub use cluster::Cluster;
pub use drive::{End, Rules, Run, drive};
pub use worlds::{chances, traffic, worlds};
