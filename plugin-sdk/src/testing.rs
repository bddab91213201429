//! A host to run plugins against in native tests.
//!
//! ```
//! # use deployd_plugin_sdk::{Host, Log};
//! use deployd_plugin_sdk::testing::FakeHost;
//!
//! let host = FakeHost::new().grant_secret("token", "s3cr3t");
//! host.info("hello");
//! assert_eq!(host.lines(), ["info: hello"]);
//! assert!(host.open_secret("other").is_err());
//! ```

use crate::driver::{Driver, RawRequest, Request};
use crate::templater::{RawInput, Templater};
use crate::{Fault, Host, Level, Log, Recipe, Scope, Secret, secret, strategy, templater};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A host that grants what a test says and remembers what a plugin did.
#[derive(Debug, Default)]
pub struct FakeHost {
    now_ms: u64,
    granted: BTreeMap<String, String>,
    generated: RefCell<BTreeMap<String, Recipe>>,
    lines: RefCell<Vec<String>>,
}

impl FakeHost {
    /// A host that grants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants a secret, `reveal` included.
    #[must_use]
    pub fn grant_secret(mut self, name: &str, value: &str) -> Self {
        self.granted.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn at_ms(mut self, now_ms: u64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// What was logged, as `level: message`.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The secrets that were generated, by name.
    pub fn generated(&self) -> BTreeMap<String, Recipe> {
        self.generated.borrow().clone()
    }
}

impl Log for FakeHost {
    fn line(&self, level: Level, message: &str) {
        let level = format!("{level:?}").to_lowercase();
        self.lines.borrow_mut().push(format!("{level}: {message}"));
    }
}

impl Host for FakeHost {
    type Secret = FakeSecret;

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn generate_secret(&self, name: &str, recipe: &Recipe) -> Result<String, Fault> {
        if !(8..=256).contains(&recipe.length) {
            return Err(Fault::invalid("/length", "8 to 256 characters"));
        }
        // The first recipe stays, as with the real host.
        self.generated.borrow_mut().entry(name.to_owned()).or_insert_with(|| recipe.clone());
        Ok(format!("{}generated/{name}{}", secret::OPEN, secret::CLOSE))
    }

    fn open_secret(&self, name: &str) -> Result<FakeSecret, Fault> {
        let value = self
            .granted
            .get(name)
            .ok_or_else(|| Fault::denied(format!("the grant names no secret {name:?}")))?;
        Ok(FakeSecret { name: name.to_owned(), value: value.clone() })
    }
}

/// A secret of a [`FakeHost`].
#[derive(Debug, Clone)]
pub struct FakeSecret {
    name: String,
    value: String,
}

impl Secret for FakeSecret {
    fn reference(&self) -> String {
        format!("{}granted/{}{}", secret::OPEN, self.name, secret::CLOSE)
    }

    fn reveal(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.value.clone().into_bytes())
    }
}

/// The scope of the requests that this module makes.
pub fn scope() -> Scope {
    Scope {
        application: "shop".to_owned(),
        environment: "staging-1".to_owned(),
        environment_type: "staging".to_owned(),
        deployment: "dep-1".to_owned(),
    }
}

/// A request for a new resource, read as the host's would be.
pub fn request<D: Driver>(params: &Value, inputs: &Value) -> Result<Request<D>, Fault> {
    Request::read(RawRequest {
        uid: "res-0001".to_owned(),
        r#type: "thing".to_owned(),
        class: "default".to_owned(),
        id: "main".to_owned(),
        params: params.to_string(),
        inputs: inputs.to_string(),
        state: None,
        idempotency_key: "key-1".to_owned(),
        scope: scope(),
    })
}

/// What a templater is given, read as the host's would be.
pub fn input<T: Templater>(
    workloads: &[Value],
    values: &Value,
    config: &Value,
    baseline: &str,
) -> Result<templater::Input<T::Config>, Fault> {
    templater::Input::read(RawInput {
        workloads: workloads.iter().map(Value::to_string).collect(),
        values: values.to_string(),
        baseline: baseline.to_owned(),
        config: config.to_string(),
        scope: scope(),
        target: r#"{"namespace": "shop-staging-1"}"#.to_owned(),
    })
}

/// The context of a rollout, read as the host's would be.
pub fn context<C: DeserializeOwned>(
    config: &Value,
    workloads: &Value,
) -> Result<strategy::Context<C>, Fault> {
    strategy::Context::read(&config.to_string(), &workloads.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_secret_stays_the_same() {
        let host = FakeHost::new();
        let first = host.generate_secret("password", &Recipe::default()).unwrap();
        let second = host.generate_secret("password", &Recipe::default()).unwrap();
        assert_eq!(first, second);
        assert!(secret::contains_reference(&first));
    }

    #[test]
    fn what_is_not_granted_is_denied() {
        assert!(matches!(FakeHost::new().open_secret("token"), Err(Fault::Denied(_))));
    }
}
