//! What a plugin can ask of the daemon.
//!
//! Plugins take the host as `&impl Host`, not as a trait object: a function
//! that a plugin never calls then does not become an import of its component,
//! so the imports tell what a plugin can do.

use crate::Fault;
use crate::http;
use crate::net::{Connection, Security};
use std::time::Duration;

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For who writes the plugin.
    Debug,
    /// For who watches a deployment.
    Info,
    /// Something that may need attention.
    Warn,
    /// Something that went wrong.
    Error,
}

/// Lines that are recorded on the step that caused the call. All that a pure
/// plugin gets.
pub trait Log {
    /// Records one line. The host limits size and number.
    fn line(&self, level: Level, message: &str);

    /// For who writes the plugin.
    fn debug(&self, message: &str) {
        self.line(Level::Debug, message);
    }

    /// For who watches a deployment.
    fn info(&self, message: &str) {
        self.line(Level::Info, message);
    }

    /// Something that may need attention.
    fn warn(&self, message: &str) {
        self.line(Level::Warn, message);
    }

    /// Something that went wrong.
    fn error(&self, message: &str) {
        self.line(Level::Error, message);
    }
}

/// What a generated secret is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Characters, 8 to 256.
    pub length: u32,
    /// The characters to choose from; empty for A-Z, a-z and 0-9.
    pub alphabet: String,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { length: 32, alphabet: String::new() }
    }
}

/// What a driver or a check can ask of the daemon, as far as its grant goes.
pub trait Host: Log {
    /// A secret of the operator's grant.
    type Secret: Secret;
    /// A byte stream to a granted host.
    type Connection: Connection;

    /// Milliseconds since 1970-01-01 UTC, fixed for the length of one call.
    fn now_ms(&self) -> u64;

    /// The time since some point in the past, by a clock that is never set: for
    /// measuring how long something takes.
    fn elapsed(&self) -> Duration;

    /// Makes sure that this resource has a random secret of this name, and
    /// returns a reference to it. Asking again returns the same.
    fn generate_secret(&self, name: &str, recipe: &Recipe) -> Result<String, Fault>;

    /// Looks a granted secret up by the name that the configuration gives it.
    fn open_secret(&self, name: &str) -> Result<Self::Secret, Fault>;

    /// The value of a granted secret as a text, without the blanks and line breaks
    /// that files and copying leave around it. `path` is where its name stands in
    /// the request. Needs what [`Secret::reveal`] needs.
    fn reveal_text(&self, path: &str, name: &str) -> Result<String, Fault> {
        let value = String::from_utf8(self.open_secret(name)?.reveal()?).unwrap_or_default();
        match value.trim() {
            "" => {
                let message = format!("the value of the secret {name:?} is empty, or no text");
                Err(Fault::invalid(path, message))
            }
            text => Ok(text.to_owned()),
        }
    }

    /// Opens a byte stream to a host and port that the grant names.
    fn connect(
        &self,
        host: &str,
        port: u16,
        security: &Security,
    ) -> Result<Self::Connection, Fault>;

    /// Makes one HTTP request to a host that the grant names, and returns the
    /// whole answer, whatever its status. Follows no redirects.
    fn http(&self, request: &http::Request) -> Result<http::Response, Fault>;

    /// So many bytes that nobody can guess.
    fn random(&self, count: usize) -> Vec<u8>;
}

/// A secret that stays in the host.
pub trait Secret {
    /// A reference, to be placed in outputs or in the `stringData` of a
    /// Kubernetes Secret.
    fn reference(&self) -> String;

    /// The value. Needs the grant `reveal`, and every use is journalled.
    fn reveal(&self) -> Result<Vec<u8>, Fault>;
}
