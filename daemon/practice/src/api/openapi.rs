//! The OpenAPI v3 documents, as far as clients need them to validate.

use std::collections::BTreeSet;

use http::Response;
use serde_json::{Map, Value, json};

use super::answer::{self, Body};
use crate::cluster::Cluster;
use crate::json;
use crate::resources::{Registry, Resource};
use crate::schema::{Field, ListMerge, Scalar, Type, builtin, package};
use crate::status::{ApiError, ApiResult};

/// Answers a request below `/openapi`.
pub(crate) fn answer(cluster: &Cluster, words: &[&str]) -> ApiResult<Response<Body>> {
    let resources = cluster.registry(Registry::all);
    let path_of = |resource: &Resource| match resource.group.as_str() {
        "" => "api/v1".to_owned(),
        group => format!("apis/{group}/{}", resource.version),
    };
    match words {
        // Version 2 is empty: clients look there for what version 3 does not
        // have, and must find that it is nowhere. They read it as a message
        // with its version as the first field.
        ["v2"] => Ok(answer::typed(200, "application/octet-stream", b"\x0a\x032.0".as_slice())),
        ["v3"] => {
            let paths: Map<String, Value> = resources
                .iter()
                .map(|resource| {
                    let path = path_of(resource);
                    let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
                    (path, url)
                })
                .collect();
            Ok(answer::json(200, &json!({"paths": paths})))
        }
        ["v3", rest @ ..] => {
            let wanted = rest.join("/");
            let found: Vec<_> =
                resources.iter().filter(|resource| path_of(resource) == wanted).collect();
            if found.is_empty() {
                return Err(ApiError::no_such_path());
            }
            let mut document = Document::default();
            for resource in found {
                document.add(resource, &wanted);
            }
            Ok(answer::json(200, &document.finish()))
        }
        _ => Err(ApiError::no_such_path()),
    }
}

#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    wanted: Vec<&'static str>,
    seen: BTreeSet<&'static str>,
}

impl Document {
    fn add(&mut self, resource: &Resource, prefix: &str) {
        let kind = json!({"group": resource.group, "version": resource.version,
            "kind": resource.kind});
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("/{prefix}{scope}/{}", resource.plural);
        let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation", "force"]
            .iter()
            .map(|name| {
                let of = if *name == "force" { "boolean" } else { "string" };
                json!({"name": name, "in": "query", "schema": {"type": of, "uniqueItems": true}})
            })
            .collect();
        let operation = |action: &str| {
            json!({"parameters": parameters, "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": kind})
        };
        self.paths.insert(collection.clone(), json!({"post": operation("post")}));
        self.paths.insert(
            format!("{collection}/{{name}}"),
            json!({"patch": operation("patch"), "put": operation("put")}),
        );
        let (name, mut schema) = match (&resource.ty, &resource.schema) {
            (Type::Named(name), _) => {
                self.seen.insert(name);
                (schema_name(name), self.fields(&resource.ty))
            }
            (_, Some(schema)) => (custom_name(resource), self.published(schema)),
            (ty, None) => (custom_name(resource), self.fields(ty)),
        };
        json::put(&mut schema, &["x-kubernetes-group-version-kind"], json!([kind]));
        self.schemas.insert(name, schema);
    }

    /// The schema of a custom resource as its author wrote it, with the fields
    /// that every object has.
    fn published(&mut self, schema: &Value) -> Value {
        let mut schema = schema.clone();
        json::put(&mut schema, &["type"], "object");
        for (field, ty) in [
            ("apiVersion", Type::Scalar(Scalar::Text)),
            ("kind", Type::Scalar(Scalar::Text)),
            ("metadata", Type::Named("ObjectMeta")),
        ] {
            let of = self.schema(&ty);
            json::put(&mut schema, &["properties", field], of);
        }
        schema
    }

    fn finish(mut self) -> Value {
        while let Some(name) = self.wanted.pop() {
            if self.seen.insert(name) {
                let schema = self.fields(&Type::Named(name));
                self.schemas.insert(schema_name(name), schema);
            }
        }
        json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.34.0"},
            "paths": self.paths, "components": {"schemas": self.schemas}})
    }

    /// The schema of a struct with its fields.
    fn fields(&mut self, ty: &Type) -> Value {
        let known = match ty {
            Type::Named(name) => builtin(name),
            Type::Struct(known) => Some(&**known),
            _ => None,
        };
        let Some(known) = known else {
            return json!({"type": "object"});
        };
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, field) in &known.fields {
            let mut schema = self.schema(&field.ty);
            strategy(field, &mut schema);
            properties.insert(name.clone(), schema);
            if field.required {
                required.push(Value::from(name.as_str()));
            }
        }
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            json::put(&mut schema, &["required"], required);
        }
        if known.atomic {
            json::put(&mut schema, &["x-kubernetes-map-type"], "atomic");
        }
        schema
    }

    /// A reference to a type without fields that many others use.
    fn shared(&mut self, name: &str, schema: Value) -> Value {
        let name = format!("io.k8s.apimachinery.pkg.{name}");
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        self.schemas.entry(name).or_insert(schema);
        reference
    }

    fn schema(&mut self, ty: &Type) -> Value {
        match ty {
            Type::Any => json!({"x-kubernetes-preserve-unknown-fields": true}),
            Type::Named(name) => {
                self.wanted.push(name);
                json!({"allOf": [{"$ref": format!("#/components/schemas/{}", schema_name(name))}],
                    "default": {}})
            }
            Type::Struct(_) => self.fields(ty),
            Type::Map { of, .. } => {
                json!({"type": "object", "additionalProperties": self.schema(of)})
            }
            Type::List { of, merge } => {
                let mut schema = json!({"type": "array", "items": self.schema(of)});
                match merge {
                    ListMerge::Atomic => {
                        json::put(&mut schema, &["x-kubernetes-list-type"], "atomic");
                    }
                    ListMerge::Set => json::put(&mut schema, &["x-kubernetes-list-type"], "set"),
                    ListMerge::Keys(keys) => {
                        json::put(&mut schema, &["x-kubernetes-list-type"], "map");
                        json::put(&mut schema, &["x-kubernetes-list-map-keys"], json!(keys));
                    }
                }
                schema
            }
            Type::Scalar(scalar) => match scalar {
                Scalar::Bool => json!({"type": "boolean"}),
                Scalar::Text => json!({"type": "string"}),
                Scalar::Int => json!({"type": "integer", "format": "int32"}),
                Scalar::Long => json!({"type": "integer", "format": "int64"}),
                Scalar::Number => json!({"type": "number", "format": "double"}),
                Scalar::IntOrText => self.shared(
                    "util.intstr.IntOrString",
                    json!({"format": "int-or-string",
                        "oneOf": [{"type": "integer"}, {"type": "string"}]}),
                ),
                Scalar::Quantity => self.shared(
                    "api.resource.Quantity",
                    json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
                ),
                Scalar::Time => self
                    .shared("apis.meta.v1.Time", json!({"type": "string", "format": "date-time"})),
                Scalar::Bytes => json!({"type": "string", "format": "byte"}),
            },
        }
    }
}

/// How a strategic merge patch treats the field.
fn strategy(field: &Field, schema: &mut Value) {
    let key = match (&field.ty, field.patch_key) {
        (_, Some(key)) => Some(key),
        (Type::List { merge: ListMerge::Keys(keys), .. }, None) => keys.first().map(String::as_str),
        _ => None,
    };
    let is_set = matches!(&field.ty, Type::List { merge: ListMerge::Set, .. });
    let strategy = match (key.is_some() || is_set, field.retains_keys) {
        (true, true) => "merge,retainKeys",
        (true, false) => "merge",
        (false, true) => "retainKeys",
        (false, false) => return,
    };
    json::put(schema, &["x-kubernetes-patch-strategy"], strategy);
    if let Some(key) = key {
        json::put(schema, &["x-kubernetes-patch-merge-key"], key);
    }
}

fn schema_name(name: &str) -> String {
    format!("io.k8s.{}.{}", package(name), name.trim_start_matches("Discovery"))
}

/// A custom resource's schema is named by its group, read backwards.
fn custom_name(resource: &Resource) -> String {
    let mut group: Vec<&str> = resource.group.split('.').collect();
    group.reverse();
    format!("{}.{}.{}", group.join("."), resource.version, resource.kind)
}
