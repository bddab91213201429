//! Policy `cel`: rules for deployments in the Common Expression Language.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Policy
//! metadata: { name: images }
//! spec:
//!   environmentTypes: [production]
//!   plugin: cel
//!   params:
//!     constants:
//!       registries: [registry.example.com/]
//!     rules:
//!       - name: allowed-registries
//!         each: container
//!         expression: constants.registries.exists(registry, container.image.startsWith(registry))
//!         message: images come from registry.example.com
//!         path: /image
//!       - name: two-replicas
//!         each: object
//!         when: object.kind == 'Deployment'
//!         expression: object.spec.replicas >= 2
//!         message: at least two replicas
//!         path: /spec/replicas
//!         severity: warn
//! ```
//!
//! # What an expression knows
//!
//! What the rule is asked for, by its name: `container` (with the `pod` and the
//! `object` that it is in), `pod` (its spec, with its `object`), `object`,
//! `artifact`, `resource`, `plugin`, `workload`. And always `input`, all of it;
//! `environment`; `now`, for `timestamp(now)`; `constants`.
//!
//! # What does not hold
//!
//! An expression that is false; and one that can't be told, because a field is not
//! there or of another type: a rule on requests is broken by a container that has
//! none. An expression that is none, or is of no truth value, is a fault: no
//! deployment could mend it.

mod asked;
mod evaluate;
mod expression;
mod params;
mod patterns;
#[cfg(test)]
mod tests;

use deployd_plugin_sdk::policy::{Policy, Violation};
use deployd_plugin_sdk::{Fault, Log};
use params::Params;
use serde_json::Value;

/// The plugin.
pub struct Cel;

impl Policy for Cel {
    type Params = Params;
    type Input = Value;

    fn evaluate(input: &Value, params: &Params, _: &impl Log) -> Result<Vec<Violation>, Fault> {
        evaluate::evaluate(input, params)
    }
}

deployd_plugin_sdk::export_policy!(Cel);
