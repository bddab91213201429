//! Branches of Git repositories, read and written over HTTP and SSH.
//!
//! No program is started and no library in C is called: the daemon executes nobody, and
//! what a repository has in it must have no effect. Nothing is checked out either. A commit
//! is made of the contents of files, the trees along their paths, and itself; all else in
//! those trees is copied bit for bit.
//!
//! Objects, packs and the lines of the protocol are read by small files of this crate, and
//! not by the crates of gitoxide, but for its rules for names (`gix-validate`). Its packs
//! are files with an index, mapped into memory, of servers that are trusted, and its limits
//! are not ours: here a pack is some bytes in memory, of which most objects are thrown away
//! while they are decompressed. Its trees know the modes that Git knows today, and would
//! write others anew. And pushing it does not have.
//!
//! - `protocol`, `packet`, `pack`, `tree`, `commit`: formats, without connections;
//! - `order`, `edit`, `chain`: what a request means for some trees, without connections;
//! - `transport`, `repository`, `history`, `foreign`: what is asked of servers;
//! - `lanes`, `group`: who is served when, and what is tried again.

mod address;
mod cache;
mod chain;
mod commit;
mod edit;
mod fault;
mod foreign;
mod group;
mod history;
mod id;
mod lanes;
mod order;
mod pack;
mod packet;
mod path;
mod protocol;
mod removal;
mod repositories;
mod repository;
mod signature;
mod snapshot;
mod transport;
mod tree;

pub use repositories::GitRepositories;
