//! Issuers of identities, asked for the keys that their tokens are signed with.

use async_trait::async_trait;
use serde_json::Value;

use crate::Fault;
use crate::config::IssuerSpec;

/// Verifies what issuers have signed.
#[async_trait]
pub trait Issuers: Send + Sync + 'static {
    /// The claims of a token, if a key of the issuer has signed it in a way that the
    /// issuer's document allows. What they say has still to be judged.
    ///
    /// Fails with a fault that is `denied` where the token is not good, and transient
    /// where the issuer's keys can't be had.
    async fn claims(&self, issuer: &IssuerSpec, token: &str) -> Result<Value, Fault>;
}
