//! Where references to secrets become values: only here, only in the
//! `stringData` of Secrets, and only on the way to a cluster.

use deployd_core::Fault;
use deployd_core::graph::{CLUSTER, ResourceKey};
use deployd_core::plan::Plan;
use deployd_core::ports::{ClusterAccess, Provisioned, SensitiveObjects, Target, Vault};
use deployd_core::secret::{Part, SecretValue, misplaced, parts};
use serde_json::Value;

use crate::{EngineError, Inner};

/// A text with its references replaced.
pub(super) async fn reveal(vault: &dyn Vault, text: &str) -> Result<Vec<u8>, EngineError> {
    let mut revealed = Vec::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Text(text) => revealed.extend_from_slice(text.as_bytes()),
            Part::Secret(reference) => {
                revealed.extend_from_slice(vault.get(&reference).await?.expose());
            }
        }
    }
    Ok(revealed)
}

/// Objects with the values of their secrets.
pub(crate) async fn objects(
    vault: &dyn Vault,
    objects: Vec<Value>,
) -> Result<SensitiveObjects, EngineError> {
    let mut revealed = Vec::with_capacity(objects.len());
    for mut object in objects {
        if let Some(path) = misplaced(&object).first() {
            return Err(Fault::denied("secret-misplaced", misplaced_message(&object, path)).into());
        }
        if let Some(Value::Object(data)) = object.get_mut("stringData") {
            for (key, value) in data.iter_mut() {
                let Value::String(text) = value else { continue };
                let bytes = reveal(vault, text).await?;
                *text = String::from_utf8(bytes).map_err(|_| {
                    let message = format!("the secret for stringData.{key} is not UTF-8");
                    EngineError::from(Fault::invalid("secret-not-text", message))
                })?;
            }
        }
        revealed.push(object);
    }
    Ok(SensitiveObjects::new(revealed))
}

/// What to say of a reference in a wrong place.
pub(super) fn misplaced_message(object: &Value, path: &str) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    format!(
        "{} {}: a secret stands at {path}; secrets may stand only in the stringData of a Secret",
        text("/kind"),
        text("/metadata/name"),
    )
}

impl Inner {
    /// Where the objects of a plan go, by what is known of its cluster.
    pub(crate) async fn target(
        &self,
        plan: &Plan,
        cluster: &Provisioned,
        namespace: String,
    ) -> Result<Target, EngineError> {
        let output = |name: &str| cluster.outputs.get(name).and_then(Value::as_str);
        let access = match (output("kubeconfig"), output("mode")) {
            (Some(kubeconfig), _) => {
                let text = reveal(&*self.ports.vault, kubeconfig).await?;
                ClusterAccess::Kubeconfig(SecretValue::new(text))
            }
            (None, Some("in-cluster")) => ClusterAccess::InCluster,
            _ => {
                let message =
                    "its driver returned neither an output `kubeconfig` nor `mode: in-cluster`";
                let key = ResourceKey::of_environment(CLUSTER);
                return Err(EngineError::invalid(key.to_string(), message));
            }
        };
        let name = output("name").unwrap_or(plan.environment.application.as_str());
        Ok(Target { name: name.to_owned(), access, namespace })
    }
}
