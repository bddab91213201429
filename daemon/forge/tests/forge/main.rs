//! Pull requests at servers that answer as GitHub, GitLab and Gitea do, over real
//! branches, through the real way out.

#![allow(unreachable_pub, missing_docs, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may do so at once"
)]

mod answers;
mod closing;
mod ending;
mod proposing;
mod refusals;
mod support;
