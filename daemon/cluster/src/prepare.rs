//! Manifests made ready to be sent: lists opened, namespaces filled in, marked
//! as ours, duplicates refused.

use std::collections::{BTreeSet, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::Fault;
use deployd_core::ports::ObjectRef;
use serde_json::{Map, Value, json};

use crate::FIELD_MANAGER;
use crate::discovery::Resource;
use crate::fields::{group_of, items, text, text_or_empty};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The selector of objects that are marked as ours.
pub(crate) fn ours() -> String {
    format!("{MANAGED_BY}={FIELD_MANAGER}")
}

/// An object and its name; the namespace is as given until it is prepared.
pub(crate) struct Draft {
    pub(crate) reference: ObjectRef,
    pub(crate) object: Value,
}

/// Opens lists and checks that each object can be named.
pub(crate) fn drafts(objects: &[Value]) -> Result<Vec<Draft>, Fault> {
    let mut drafts = Vec::with_capacity(objects.len());
    for (index, object) in objects.iter().enumerate() {
        open(object, &format!("object {}", index + 1), &mut drafts)?;
    }
    Ok(drafts)
}

fn open(object: &Value, place: &str, drafts: &mut Vec<Draft>) -> Result<(), Fault> {
    let is_list =
        text(object, "/apiVersion") == Some("v1") && text(object, "/kind") == Some("List");
    if is_list {
        for (index, item) in items(object, "/items").iter().enumerate() {
            open(item, &format!("{place}, item {}", index + 1), drafts)?;
        }
        return Ok(());
    }
    let named = ObjectRef::of(object)
        .filter(|r| !r.api_version.is_empty() && !r.kind.is_empty() && !r.name.is_empty());
    let Some(reference) = named else {
        let missing: Vec<&str> = ["/apiVersion", "/kind", "/metadata/name"]
            .into_iter()
            .filter(|pointer| text_or_empty(object, pointer).is_empty())
            .collect();
        // Not the object itself: it may be a Secret that lost its kind.
        return Err(Fault::invalid(
            "object-unnamed",
            format!(
                "The {place} of the manifests ({} {}) lacks {}.",
                text(object, "/kind").unwrap_or("of no kind"),
                text(object, "/metadata/name").unwrap_or("without a name"),
                missing.join(", ").replace('/', "."),
            ),
        )
        .with_detail(json!({ "place": place, "missing": missing })));
    };
    drafts.push(Draft { reference, object: object.clone() });
    Ok(())
}

impl Draft {
    /// Fills in what the kind and the target say, and marks the object as ours.
    pub(crate) fn prepared(self, resource: &Resource, namespace: &str) -> Self {
        let mut draft = self.placed(resource, namespace);
        if let Some(metadata) = draft.object.get_mut("metadata").and_then(Value::as_object_mut) {
            label(metadata);
        }
        draft
    }

    /// Fills in what the kind and the target say.
    pub(crate) fn placed(mut self, resource: &Resource, namespace: &str) -> Self {
        if resource.namespaced {
            self.reference.namespace.get_or_insert_with(|| namespace.to_owned());
        } else {
            self.reference.namespace = None;
        }
        if let Some(metadata) = self.object.get_mut("metadata").and_then(Value::as_object_mut) {
            match &self.reference.namespace {
                Some(namespace) => metadata.insert("namespace".to_owned(), json!(namespace)),
                None => metadata.remove("namespace"),
            };
            // What only the server may say; manifests taken from a cluster have it.
            for field in ["managedFields", "resourceVersion", "uid", "generation", "selfLink"] {
                metadata.remove(field);
            }
            metadata.remove("creationTimestamp");
        }
        if self.reference.kind == "Secret" && self.reference.api_version == "v1" {
            encode(&mut self.object);
        }
        self
    }
}

/// Moves a Secret's `stringData` to `data`, as the API server does: nobody owns
/// `stringData`, so that a key which is left out of it would stay for ever.
/// What is no text is left for the server to refuse.
fn encode(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else { return };
    let are_texts = fields
        .get("stringData")
        .and_then(Value::as_object)
        .is_some_and(|texts| texts.values().all(Value::is_string));
    let can_take = fields.get("data").is_none_or(|data| data.is_object() || data.is_null());
    if !are_texts || !can_take {
        return;
    }
    let Some(Value::Object(texts)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    if let Some(data) = data.as_object_mut() {
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            data.insert(key, Value::String(STANDARD.encode(text)));
        }
    }
}

fn label(metadata: &mut Map<String, Value>) {
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    // What is no object is left for the server to refuse, with its own words.
    if let Some(labels) = labels.as_object_mut() {
        labels.entry(MANAGED_BY).or_insert_with(|| json!(FIELD_MANAGER));
    }
}

/// Refuses manifests that name an object twice: the last to arrive would win.
pub(crate) fn refuse_duplicates(drafts: &[Draft]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    let twice: BTreeSet<String> = drafts
        .iter()
        .map(|draft| &draft.reference)
        .filter(|r| !seen.insert((group_of(&r.api_version), &r.kind, &r.namespace, &r.name)))
        .map(ToString::to_string)
        .collect();
    if twice.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = twice.iter().map(String::as_str).collect();
    Err(Fault::invalid(
        "duplicate-object",
        format!("The manifests have these objects more than once: {}.", names.join(", ")),
    )
    .with_detail(json!({ "objects": names })))
}

/// Kinds that definitions among the objects will add: (apiVersion, kind).
pub(crate) fn defined_kinds(object: &Value) -> Vec<(String, String)> {
    let is_definition = text(object, "/kind") == Some("CustomResourceDefinition")
        && group_of(text_or_empty(object, "/apiVersion")) == "apiextensions.k8s.io";
    if !is_definition {
        return Vec::new();
    }
    let group = text_or_empty(object, "/spec/group");
    let kind = text_or_empty(object, "/spec/names/kind");
    items(object, "/spec/versions")
        .iter()
        .filter(|version| version.get("served") != Some(&Value::Bool(false)))
        .filter_map(|version| {
            Some((format!("{group}/{}", text(version, "/name")?), kind.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map() -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "a", "creationTimestamp": null, "managedFields": [], "resourceVersion": "1"
        }})
    }

    #[test]
    fn lists_are_opened() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [config_map()]});
        let found = drafts(&[list, config_map()]).unwrap();
        assert_eq!(found.len(), 2);
        assert!(refuse_duplicates(&found).unwrap_err().message.contains("ConfigMap a"));
    }

    #[test]
    fn nameless_objects_are_refused_without_their_content() {
        let secret = json!({"metadata": {"name": "x"}, "stringData": {"a": "hunter2"}});
        let fault = drafts(&[config_map(), secret]).err().unwrap();
        assert!(fault.message.contains("object 2"), "{}", fault.message);
        assert!(fault.message.contains("lacks .apiVersion, .kind"), "{}", fault.message);
        assert!(!fault.message.contains("hunter2"));
    }

    #[test]
    fn objects_are_completed() {
        let draft = drafts(&[config_map()]).unwrap().remove(0);
        let ready = draft.prepared(&Resource::core("ConfigMap", "configmaps"), "shop");
        assert_eq!(ready.reference.namespace.as_deref(), Some("shop"));
        assert_eq!(
            ready.object["metadata"],
            json!({"name": "a", "namespace": "shop", "labels": {MANAGED_BY: "deployd"}})
        );
        let mut mine = config_map();
        mine["metadata"]["labels"] = json!({MANAGED_BY: "Helm"});
        mine["metadata"]["namespace"] = json!("other");
        let draft = drafts(&[mine]).unwrap().remove(0);
        let ready = draft.prepared(&Resource::core("ConfigMap", "configmaps"), "shop");
        assert_eq!(ready.reference.namespace.as_deref(), Some("other"));
        assert_eq!(ready.object["metadata"]["labels"][MANAGED_BY], "Helm");
    }

    #[test]
    fn texts_of_secrets_are_encoded() {
        let secret = |fields: Value| {
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "a"}});
            secret.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let resource = Resource::core("Secret", "secrets");
            let object = drafts(&[secret]).unwrap().remove(0).prepared(&resource, "shop").object;
            (object["data"].clone(), object["stringData"].clone())
        };
        assert_eq!(
            secret(json!({"data": {"a": "MQ==", "b": "MQ=="}, "stringData": {"b": "2"}})),
            (json!({"a": "MQ==", "b": "Mg=="}), Value::Null)
        );
        let wrong = json!({"stringData": {"a": 1}});
        assert_eq!(secret(wrong.clone()), (Value::Null, wrong["stringData"].clone()));
    }

    #[test]
    fn what_has_no_namespace_gets_none() {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "a", "namespace": "oops"}});
        let resource =
            Resource { namespaced: false, ..Resource::core("ClusterRole", "clusterroles") };
        let ready = drafts(&[role]).unwrap().remove(0).prepared(&resource, "shop");
        assert_eq!(ready.reference.namespace, None);
        assert!(ready.object["metadata"].get("namespace").is_none());
    }

    #[test]
    fn definitions_name_their_kinds() {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {"group": "example.com", "names": {"kind": "Widget"}, "versions": [
                {"name": "v1", "served": true}, {"name": "v0", "served": false}
            ]},
        });
        assert_eq!(defined_kinds(&definition), [("example.com/v1".into(), "Widget".into())]);
        assert!(defined_kinds(&config_map()).is_empty());
    }
}
