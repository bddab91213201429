//! The embedded store behind core's port.
//!
//! [`RedbStore`] keeps everything in one file; [`MemoryStore`] is the model of
//! the same promises, for tests. Both pass the same conformance suite.
//!
//! How a write travels through `RedbStore`:
//!
//! ```text
//!   caller ──check, compress──▶ queue (bounded) ──▶ writer thread
//!                                                     │ takes what waits: a group
//!                                                     │ one transaction: check, apply, next ...
//!                                                     │ what has changed into the log (one sync)
//!                                                     │ commit, in memory
//!   caller ◀──────────────── answer ◀─────────────────┘ only now
//!                                                     │ log full, or nobody there:
//!                                                     │ commit to the file (two syncs)
//! ```
//!
//! Nothing is answered before it is on stable storage, and nothing is read before.
//! The first write, commit or sync that fails ends all acceptance: what the
//! kernel still has after a failed sync can't be known, so trying again would
//! be lying. The process ends, and opening the file again recovers.

mod apply;
mod at_once;
mod backup;
mod claims;
mod encode;
mod error;
mod events;
mod heads;
mod idempotency;
pub mod limits;
mod memory;
mod metered;
mod migrate;
mod objects;
mod open;
mod outbox;
mod packed;
mod parts;
mod readers;
mod reads;
mod request;
mod room;
mod sealed;
mod store;
mod tables;
mod values;
mod verify;
mod wal;
mod watermark;
mod writer;

#[doc(hidden)]
pub use backup::records_of;
pub use backup::{restore, verify_file};
pub use error::{OpenError, RestoreError};
pub use memory::MemoryStore;
pub use migrate::SCHEMA;
pub use open::StoreOptions;
#[doc(hidden)]
pub use open::{Entries, database_of, indexes_of};
pub use store::{RedbStore, StoreStats};
