//! Which file an object is in, and which objects are in none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::plan::{Manifest, Manifests};
use crate::ports::ObjectRef;
use crate::secret::{Part, parts};

/// Why an object has no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathInvalid {
    /// It names no kind, or has no name.
    #[error("an object without apiVersion, kind or name can't be a file")]
    Nameless,
    /// Two would be in the same file.
    #[error("{} and {} would be the same file, {path}", of.0, of.1)]
    Twice {
        /// The two.
        of: Box<(ObjectRef, ObjectRef)>,
        /// The file.
        path: String,
    },
}

/// Why deployd applies an object itself, although its environment is pulled.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Direct {
    /// Values of secrets are in it, which must be in no repository.
    Secret,
}

/// Whether an object can't be committed, and why: deployd applies it itself.
pub fn direct(object: &Value) -> Option<Direct> {
    has_secrets(object).then_some(Direct::Secret)
}

fn has_secrets(value: &Value) -> bool {
    match value {
        Value::String(text) => parts(text).iter().any(|part| matches!(part, Part::Secret(_))),
        Value::Array(list) => list.iter().any(has_secrets),
        Value::Object(map) => map.values().any(has_secrets),
        _ => false,
    }
}

/// The annotation that says what happens to an object that nobody wants any more.
const PRUNE: &str = "/metadata/annotations/deployd.dev~1prune";

/// Whether an object stays in the cluster when nobody asks for it any more: its
/// annotation says so, or it is a claim with data whose annotation does not let it go.
pub fn stays(object: &Value) -> bool {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let is_claim =
        text("/kind") == Some("PersistentVolumeClaim") && text("/apiVersion") == Some("v1");
    match text(PRUNE) {
        Some("keep") => true,
        Some("delete") => false,
        _ => is_claim,
    }
}

/// The file of an object within a directory: `deployment-web.yaml`; of another namespace
/// than the environment's, `role-other.reader.yaml`; of a kind that is not Kubernetes'
/// own, with its group, `rollout.argoproj.io-web.yaml`. The same object has the same file,
/// whatever else there is.
pub fn path_of(directory: &str, namespace: &str, object: &Value) -> Result<String, PathInvalid> {
    let of = ObjectRef::of(object).ok_or(PathInvalid::Nameless)?;
    let group = of.api_version.split_once('/').map_or("", |(group, _)| group);
    let is_own = !group.contains('.') || group.ends_with(".k8s.io");
    let mut name = of.kind.to_ascii_lowercase();
    if !is_own {
        name.push('.');
        name.push_str(group);
    }
    name.push('-');
    if let Some(other) = of.namespace.filter(|other| other != namespace) {
        name.push_str(&other);
        name.push('.');
    }
    name.push_str(&of.name);
    Ok(format!("{directory}/{}.yaml", plain(&name)))
}

/// Letters that some file system has none of are written as URLs write them: names of
/// RBAC's objects have colons.
fn plain(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let mut plain = String::with_capacity(name.len());
    for byte in name.bytes() {
        match is_plain(byte) {
            true => plain.push(char::from(byte)),
            false => plain.push_str(&format!("%{byte:02X}")),
        }
    }
    plain
}

/// The files of all objects that are committed, by their paths, each with the namespace
/// that it belongs to where it has none itself and its kind has one.
pub fn paths<'m>(
    directory: &str,
    namespace: &str,
    manifests: impl Iterator<Item = &'m Manifest>,
) -> Result<BTreeMap<String, Value>, PathInvalid> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for manifest in manifests.filter(|manifest| direct(&manifest.object).is_none()) {
        let path = path_of(directory, namespace, &manifest.object)?;
        let mut object = manifest.object.clone();
        settle(&mut object, namespace);
        if let Some(other) = found.insert(path.clone(), object)
            && let (Some(one), Some(other)) =
                (ObjectRef::of(&manifest.object), ObjectRef::of(&other))
        {
            return Err(PathInvalid::Twice { of: Box::new((one, other)), path });
        }
    }
    Ok(found)
}

/// Kinds of Kubernetes' own groups that are in no namespace.
const CLUSTER_WIDE: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Whoever pulls it may have another namespace in mind. Of a kind that is not
/// Kubernetes' own it is not known whether it is in one.
fn settle(object: &mut Value, namespace: &str) {
    let Some(of) = ObjectRef::of(object) else { return };
    let group = of.api_version.split_once('/').map_or("", |(group, _)| group);
    let is_own =
        !group.contains('.') || [".k8s.io", "apps", "batch"].iter().any(|own| group.ends_with(own));
    let is_wide = CLUSTER_WIDE.contains(&of.kind.as_str()) || group == "gateway.networking.k8s.io";
    if of.namespace.is_none()
        && is_own
        && (!is_wide || of.kind.ends_with("Route"))
        && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    }
}

impl Manifests {
    /// The objects that deployd applies itself, although their environment is pulled.
    pub fn direct(&self) -> impl Iterator<Item = &Manifest> {
        self.objects.iter().filter(|manifest| direct(&manifest.object).is_some())
    }

    /// The namespaces of those that are committed, too, and so may not be there yet when
    /// deployd needs them. They are bare: what they have comes with the commit, and is
    /// its alone.
    pub fn namespaces_of_direct(&self) -> Vec<Value> {
        let needed: BTreeSet<String> =
            self.direct().filter_map(|it| self.reference(&it.object)?.namespace).collect();
        let committed = self.objects.iter().filter_map(|it| ObjectRef::of(&it.object));
        committed
            .filter(|it| it.kind == "Namespace" && it.api_version == "v1")
            .filter(|it| needed.contains(&it.name))
            .map(|it| {
                json!({"apiVersion": it.api_version, "kind": it.kind,
                    "metadata": {"name": it.name}})
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ObjectOwner;

    fn object(api_version: &str, kind: &str, name: &str, namespace: Option<&str>) -> Value {
        let mut object =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    }

    #[test]
    fn an_object_has_one_file_whatever_else_there_is() {
        for (object, file) in [
            (object("apps/v1", "Deployment", "web", None), "deployment-web.yaml"),
            (object("apps/v1", "Deployment", "web", Some("shop")), "deployment-web.yaml"),
            (object("v1", "ConfigMap", "web", Some("other")), "configmap-other.web.yaml"),
            (
                object("argoproj.io/v1alpha1", "Rollout", "web", None),
                "rollout.argoproj.io-web.yaml",
            ),
            (
                object("gateway.networking.k8s.io/v1", "HTTPRoute", "web", None),
                "httproute-web.yaml",
            ),
            (
                object("rbac.authorization.k8s.io/v1", "Role", "system:../x", None),
                "role-system%3A..%2Fx.yaml",
            ),
        ] {
            assert_eq!(path_of("a/b", "shop", &object).unwrap(), format!("a/b/{file}"));
        }
        assert_eq!(path_of("a", "shop", &json!({"kind": "X"})), Err(PathInvalid::Nameless));
    }

    #[test]
    fn what_has_secrets_is_in_no_file_and_what_needs_one_has_its_namespace() {
        let mut secret = object("v1", "Secret", "db", None);
        secret["stringData"] = json!({"url": "postgres://⟦secret:u1/password⟧@db"});
        let mut labelled = object("v1", "Namespace", "shop", None);
        labelled["metadata"]["labels"] = json!({"team": "shop"});
        let all = [
            secret,
            object("v1", "Secret", "plain", None),
            labelled,
            object("apps/v1", "Deployment", "web", None),
            object("example.com/v1", "Widget", "w", None),
        ];
        let all: Vec<Manifest> = all
            .into_iter()
            .map(|object| Manifest { owner: ObjectOwner::Environment, object })
            .collect();
        let found = paths("d", "shop", all.iter()).unwrap();
        let namespaces: Vec<(&str, Option<&str>)> = found
            .iter()
            .map(|(path, object)| {
                (path.as_str(), object.pointer("/metadata/namespace").and_then(Value::as_str))
            })
            .collect();
        assert_eq!(
            namespaces,
            [
                ("d/deployment-web.yaml", Some("shop")),
                ("d/namespace-shop.yaml", None),
                ("d/secret-plain.yaml", Some("shop")),
                ("d/widget.example.com-w.yaml", None),
            ]
        );
        let manifests = Manifests {
            namespace: "shop".to_owned(),
            objects: all.clone(),
            ..Manifests::default()
        };
        let bare = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        assert_eq!(manifests.namespaces_of_direct(), [bare]);
        let without = Manifests { objects: all[1..].to_vec(), ..manifests };
        assert_eq!(without.namespaces_of_direct(), Vec::<Value>::new(), "nobody needs one");
        let twice = [all[3].clone(), all[3].clone()];
        assert!(matches!(paths("d", "shop", twice.iter()), Err(PathInvalid::Twice { .. })));
    }
}
