//! Driver `template`: a resource that is a few Kubernetes objects, or only a few
//! values, without a line of code.
//!
//! ```yaml
//! kind: ResourceDefinition
//! spec:
//!   type: redis
//!   driver: template
//!   inputs:
//!     values: { image: "redis:7.4" }
//!     secrets:
//!       password: { length: 32 }
//!     outputs:
//!       host: "redis-{{ short }}"
//!       port: 6379
//!       password: "{{ secrets.password }}"
//!     manifests:
//!       - apiVersion: v1
//!         kind: Secret
//!         metadata: { name: "redis-{{ short }}" }
//!         stringData: { password: "{{ secrets.password }}" }
//! ```
//!
//! Every string in `outputs` and `manifests` is a template (Jinja2, as minijinja
//! has it). A string that is exactly one `{{ expression }}` keeps the type of its
//! value, so `"{{ params.size }}"` is a number if `size` is one; a manifest that
//! becomes null is left out. What is undefined is an error that names the place.
//!
//! Templates see: `params` (of the workload), `values`, `type`, `class`, `id`,
//! `uid`, `short` (8 characters that stand for the uid, for names),
//! `application`, `environment`, `environment_type`, `secrets.NAME` (a reference)
//! and, in manifests, `outputs.NAME`. Filters beside minijinja's own:
//! `dns_label`, `short`, `b64encode`.
//!
//! A secret is generated once and stays, or is one that the operator has set:
//! `secrets: { password: { granted: shop-db } }`, where `shop-db` is the name that the
//! grant of the plugin's document gives it. Its value is never seen here.

mod definition;
mod tree;

use definition::Inputs;
use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::{Fault, Host, export_driver, name};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

struct Template;

export_driver!(Template);

/// What was rendered last, so that a plan can tell whether anything changes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    fingerprint: String,
}

/// Stands for a secret that a plan must not generate yet.
const NOT_GENERATED: &str = "\u{27e6}secret:planned/";

impl Driver for Template {
    type Params = Value;
    type Inputs = Inputs;
    type State = State;

    fn plan(request: &Request<Self>, _: &impl Host) -> Result<Planned, Fault> {
        let rendered = definition::render(request, &planned_secrets(&request.inputs))?;
        let action = match &request.state {
            None => Action::Create,
            Some(state) if state.fingerprint == rendered.fingerprint() => Action::None,
            Some(_) => Action::Update,
        };
        let mut planned = Planned::new(action);
        if action != Action::None {
            planned.summary = rendered.manifests.iter().map(title).collect();
        }
        // What holds a secret is known only after provisioning.
        planned.outputs = rendered
            .outputs
            .into_iter()
            .filter(|(_, output)| !output.to_string().contains(NOT_GENERATED))
            .collect();
        Ok(planned)
    }

    fn provision(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<State>, Fault> {
        let fingerprint =
            definition::render(request, &planned_secrets(&request.inputs))?.fingerprint();
        let mut secrets = BTreeMap::new();
        for (name, recipe) in &request.inputs.secrets {
            secrets.insert(name.clone(), recipe.reference(name, host)?);
        }
        let rendered = definition::render(request, &secrets)?;
        let mut provisioned = Provisioned::new(State { fingerprint });
        provisioned.outputs = rendered.outputs;
        provisioned.manifests = rendered.manifests;
        Ok(provisioned.into())
    }

    /// All there is are the manifests, which the daemon watches itself.
    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        if request.state.is_none() {
            return Ok(None);
        }
        let planned = Self::plan(request, host)?;
        Ok(Some(Value::Object(planned.outputs)))
    }

    /// The daemon prunes the manifests and drops the secrets.
    fn destroy(_: &Request<Self>, _: Option<&str>, _: &impl Host) -> Result<Removal, Fault> {
        Ok(Removal::Done)
    }
}

fn planned_secrets(inputs: &Inputs) -> BTreeMap<String, String> {
    inputs.secrets.iter().map(|(name, secret)| (name.clone(), secret.planned(name))).collect()
}

/// `Secret redis-k3j2n5xq`.
fn title(manifest: &Value) -> String {
    let text = |pointer: &str| {
        let value = manifest.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or("?").to_owned()
    };
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

/// What a definition becomes.
struct Rendered {
    outputs: Map<String, Value>,
    manifests: Vec<Value>,
}

impl Rendered {
    fn fingerprint(&self) -> String {
        let outputs = Value::Object(self.outputs.clone());
        let manifests = Value::Array(self.manifests.clone());
        name::short(&format!("{outputs}{manifests}"))
    }
}

#[cfg(test)]
mod tests;
