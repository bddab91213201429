//! Where reveals of secrets are recorded.

use async_trait::async_trait;
use deployd_core::ports::{PluginRef, Scope};
use deployd_core::secret::SecretRef;

/// A plugin is about to read the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reveal {
    /// Which plugin.
    pub plugin: PluginRef,
    /// In which call.
    pub scope: Scope,
    /// The uid of the resource that the call is about.
    pub resource: Option<String>,
    /// The name that the plugin uses.
    pub name: String,
    /// The secret behind it.
    pub secret: SecretRef,
}

/// Records reveals. The value is handed over only after this has succeeded.
#[async_trait]
pub trait Audit: Send + Sync + 'static {
    /// Records one; an error, said in a few words, refuses it.
    async fn revealed(&self, reveal: &Reveal) -> Result<(), String>;
}
