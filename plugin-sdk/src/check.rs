//! Checks measure once whether something is as it should be. When, how often, and
//! how many failures there may be, decides the engine.

mod fill;
mod observed;

pub use observed::{Condition, Container, Object, Observed, Pod};

pub use fill::{Escape, WORKLOADS_MAX, fill, track_suffix};

use crate::{Fault, Host, Pending, Scope, document};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Measures once.
///
/// A plugin keeps nothing between calls. What takes long returns
/// [`Outcome::Pending`], and the host calls again with its token. A [`Fault`]
/// says that nothing could be measured, because a server is away for example: it
/// is no verdict, and the engine bears some of them.
pub trait Check: Sized {
    /// The check's configuration, from the environment type.
    type Config: DeserializeOwned;

    /// Measures once. Repeating a call with the same idempotency key must not
    /// start anything twice.
    fn run(request: &Request<Self::Config>, host: &impl Host) -> Result<Outcome, Fault>;
}

/// What a check is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<C> {
    /// The check's configuration.
    pub config: C,
    /// Where the call belongs.
    pub scope: Scope,
    /// What is checked.
    pub input: Input,
    /// That of the last [`Outcome::Pending`] about this measurement.
    pub token: Option<String>,
}

/// What is checked. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// The deployment.
    #[serde(default)]
    pub deployment: String,
    /// The namespace that it runs in.
    #[serde(default)]
    pub namespace: String,
    /// The workloads.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// What of them: `stable`, or another track.
    #[serde(default = "stable")]
    pub track: String,
    /// The track to compare it with.
    #[serde(default)]
    pub baseline: Option<String>,
    /// When the track began to get what is checked.
    #[serde(default)]
    pub since_ms: u64,
    /// When this measurement is made.
    #[serde(default)]
    pub now_ms: u64,
    /// The same for every repeat of this measurement.
    #[serde(default)]
    pub idempotency_key: String,
    /// Where others can answer a check that waits for them.
    #[serde(default)]
    pub callback: Option<Callback>,
    /// How the pods are of the track's workloads; none for a plugin that does not
    /// ask for it (`asks.pods` in its `plugin.toml`).
    #[serde(default)]
    pub observed: Option<Vec<Observed>>,
}

/// The track that everybody gets.
pub const STABLE: &str = "stable";

fn stable() -> String {
    STABLE.to_owned()
}

/// Where others can answer a check that waits for them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Callback {
    /// Takes a POST, in the form of Standard Webhooks.
    pub url: String,
    /// What has arrived there, oldest first, as it came: the host checks none of it.
    #[serde(default)]
    pub answers: Vec<Answer>,
}

/// A POST in the form of Standard Webhooks, as it came.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The header `webhook-id`.
    #[serde(default)]
    pub id: String,
    /// The header `webhook-timestamp`: seconds.
    #[serde(default)]
    pub timestamp: String,
    /// The header `webhook-signature`.
    #[serde(default)]
    pub signature: String,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// When it arrived.
    #[serde(default)]
    pub received_ms: u64,
}

/// A value that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Of what.
    pub name: String,
    /// How much; may be infinite or not a number.
    pub value: f64,
    /// In which unit; empty for a bare number.
    pub unit: String,
}

/// What a measurement has shown, beside whether that is good.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// One line for a person: what was measured, what was expected.
    pub message: String,
    /// The values that it follows from.
    pub measurements: Vec<Measurement>,
}

impl Verdict {
    /// Without any values.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), measurements: Vec::new() }
    }

    /// Adds a value. The host takes 32.
    #[must_use]
    pub fn value(mut self, name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        self.measurements.push(Measurement { name: name.into(), value, unit: unit.into() });
        self
    }

    /// It is as it should be.
    pub fn passed(self) -> Outcome {
        Outcome::Passed(self)
    }

    /// It is not.
    pub fn failed(self) -> Outcome {
        Outcome::Failed(self)
    }

    /// It can't be told. No data is this, never a pass.
    pub fn inconclusive(self) -> Outcome {
        Outcome::Inconclusive(self)
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is as it should be.
    Passed(Verdict),
    /// It is not.
    Failed(Verdict),
    /// It can't be told.
    Inconclusive(Verdict),
    /// What was started is not done: call again later.
    Pending(Pending),
}

impl<C: DeserializeOwned> Request<C> {
    pub(crate) fn read(
        config: &str,
        scope: Scope,
        input: &str,
        token: Option<String>,
    ) -> Result<Self, Fault> {
        Ok(Self {
            config: document::read("config", config)?,
            scope,
            input: document::read("input", input)?,
            token,
        })
    }
}

/// Makes a [`Check`] the plugin's export.
#[macro_export]
macro_rules! export_check {
    ($check:ty) => {
        const _: () = {
            const fn assert_check<C: $crate::check::Check>() {}
            assert_check::<$check>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::check::Exported<$check>;
            $crate::guest::check::bindings::__export_check!(Exported with_types_in $crate::guest::check::bindings);
        };
    };
}
