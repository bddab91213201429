//! What both do: apply what is there, take away what was and is not any more.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::{Api, Id};

/// Who applies, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    pub(crate) api: Api,
    /// The name under which it owns fields.
    pub(crate) manager: &'static str,
    /// The namespace of objects that name none.
    pub(crate) namespace: String,
    /// What it has applied.
    pub(crate) applied: BTreeSet<Id>,
}

impl Bearer {
    /// Applies all, those first that others need; then takes away what is not among them
    /// any more. What fails is told with its object, and nothing is taken away.
    pub(crate) async fn bring(&mut self, mut objects: Vec<Value>) -> Result<(), (Id, String)> {
        objects.sort_by_key(rank);
        let mut brought = BTreeSet::new();
        for object in &objects {
            let id = Id::of(object, &self.namespace);
            let done = self.api.apply(self.manager, object, &self.namespace).await;
            done.map_err(|message| (id.clone(), message))?;
            brought.insert(id);
        }
        for gone in self.applied.difference(&brought) {
            self.api.delete(gone).await;
        }
        self.applied = brought;
        Ok(())
    }
}

fn rank(object: &Value) -> u8 {
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" | "ConfigMap" | "Secret" => 2,
        _ => 3,
    }
}
