//! What a definition's inputs say, and what they become.

use crate::{Rendered, Template, tree};
use deployd_plugin_sdk::driver::Request;
use deployd_plugin_sdk::{Fault, Recipe, name};
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

/// What a generated secret is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecretInput {
    length: u32,
    alphabet: String,
}

impl Default for SecretInput {
    fn default() -> Self {
        let Recipe { length, alphabet } = Recipe::default();
        Self { length, alphabet }
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
