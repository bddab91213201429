//! What a definition's inputs say, and what they become.

use crate::{NOT_GENERATED, Rendered, Template, tree};
use deployd_plugin_sdk::driver::Request;
use deployd_plugin_sdk::{Fault, Host, Recipe, Secret as _, name};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The inputs of a definition.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Inputs {
    values: Value,
    outputs: Map<String, Value>,
    pub(crate) secrets: BTreeMap<String, SecretInput>,
    manifests: Vec<Value>,
}

/// A secret: generated, of so many characters, or one that the operator has set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecretInput {
    length: u32,
    alphabet: String,
    /// The name that the grant gives an operator's secret.
    granted: Option<String>,
}

impl SecretInput {
    /// Its reference: of the operator's secret, or of one that is generated for this
    /// resource and stays. Fails where the grant has no secret of that name.
    pub(crate) fn reference(&self, name: &str, host: &impl Host) -> Result<String, Fault> {
        match &self.granted {
            Some(granted) => Ok(host.open_secret(granted)?.reference()),
            None => host.generate_secret(name, &self.into()),
        }
    }

    /// What stands for it in a plan, which opens and generates nothing.
    pub(crate) fn planned(&self, name: &str) -> String {
        match &self.granted {
            Some(granted) => format!("{NOT_GENERATED}granted-{granted}\u{27e7}"),
            None => format!("{NOT_GENERATED}{name}\u{27e7}"),
        }
    }
}

impl Default for SecretInput {
    fn default() -> Self {
        let Recipe { length, alphabet } = Recipe::default();
        Self { length, alphabet, granted: None }
    }
}

impl From<&SecretInput> for Recipe {
    fn from(input: &SecretInput) -> Self {
        Self { length: input.length, alphabet: input.alphabet.clone() }
    }
}

/// Renders outputs first, because manifests may refer to them.
pub(crate) fn render(
    request: &Request<Template>,
    secrets: &BTreeMap<String, String>,
) -> Result<Rendered, Fault> {
    let mut context = json!({
        "params": request.params,
        "values": request.inputs.values,
        "type": request.r#type,
        "class": request.class,
        "id": request.id,
        "uid": request.uid,
        "short": name::short(&request.uid),
        "application": request.scope.application,
        "environment": request.scope.environment,
        "environment_type": request.scope.environment_type,
        "secrets": secrets,
    });
    let renderer = tree::Renderer::new();
    let mut outputs = Map::new();
    for (name, output) in &request.inputs.outputs {
        let path = format!("/inputs/outputs/{}", tree::step(name));
        outputs.insert(name.clone(), renderer.render(&path, output, &context)?);
    }
    if let Some(context) = context.as_object_mut() {
        context.insert("outputs".to_owned(), Value::Object(outputs.clone()));
    }
    let mut manifests = Vec::new();
    for (index, manifest) in request.inputs.manifests.iter().enumerate() {
        let path = format!("/inputs/manifests/{index}");
        let manifest = renderer.render(&path, manifest, &context)?;
        if !manifest.is_null() {
            check_object(&path, &manifest)?;
            manifests.push(manifest);
        }
    }
    Ok(Rendered { outputs, manifests })
}

/// Says so here what the cluster would refuse only in the middle of a deployment.
fn check_object(path: &str, manifest: &Value) -> Result<(), Fault> {
    for pointer in ["/apiVersion", "/kind", "/metadata/name"] {
        let text = manifest.pointer(pointer).and_then(Value::as_str);
        if text.is_none_or(str::is_empty) {
            let path = format!("{path}{pointer}");
            return Err(Fault::invalid(path, "a Kubernetes object needs this"));
        }
    }
    Ok(())
}
