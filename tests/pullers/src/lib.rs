//! Stand-ins for those who pull what is committed: Argo CD and Flux, of which a test says
//! when they look, what they bring, and what goes wrong.
//!
//! They read a directory at a revision from a repository on disk, by the program `git`;
//! apply it with server-side apply, each under the name of the real controller and with
//! its labels; take away what has gone from the directory; and say so in their objects'
//! status, in the shapes and the order in which the real ones do. Between what a test
//! tells them to do they do nothing.
//!
//! A test that can't go on fails: nothing here returns a fault.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing, // of JSON, where what is not there is null
    clippy::panic,
    clippy::unwrap_used
)]

mod api;
mod argo_cd;
mod bring;
mod definitions;
mod flux;
mod repository;

pub use api::{Api, Id};
pub use argo_cd::ArgoCd;
pub use definitions::{definitions, install};
pub use flux::Flux;
pub use repository::Repository;
