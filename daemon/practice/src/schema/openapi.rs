//! Types from the structural schema of a custom resource definition.

use std::sync::Arc;

use serde_json::Value;

use super::{Field, ListMerge, Scalar, Struct, Type};
use crate::json;

/// Schemas nest as deep as their author likes; a type does not.
const DEEPEST: usize = 64;

/// The type of a whole custom resource.
pub(crate) fn from_open_api(schema: &Value, kind: &str) -> Type {
    let mut top = match convert(schema, 0) {
        Type::Struct(found) => (*found).clone(),
        // No schema worth the name: everything goes.
        _ => Struct { others: Some(Type::Any), ..Struct::default() },
    };
    kind.clone_into(&mut top.name);
    for (field, ty) in [
        ("apiVersion", Type::Scalar(Scalar::Text)),
        ("kind", Type::Scalar(Scalar::Text)),
        ("metadata", Type::Named("ObjectMeta")),
    ] {
        top.fields.insert(field.to_owned(), Field::of(ty));
    }
    Type::Struct(Arc::new(top))
}

fn convert(schema: &Value, depth: usize) -> Type {
    if depth > DEEPEST {
        return Type::Any;
    }
    if json::flag(schema, "/x-kubernetes-int-or-string") {
        return Type::Scalar(Scalar::IntOrText);
    }
    let keeps_unknown = json::flag(schema, "/x-kubernetes-preserve-unknown-fields");
    let atomic = json::text(schema, "/x-kubernetes-map-type") == "atomic";
    match json::text(schema, "/type") {
        "boolean" => Type::Scalar(Scalar::Bool),
        "string" => Type::Scalar(Scalar::Text),
        "integer" => Type::Scalar(Scalar::Long),
        "number" => Type::Scalar(Scalar::Number),
        "array" => Type::List {
            of: Arc::new(schema.get("items").map_or(Type::Any, |s| convert(s, depth + 1))),
            merge: list_merge(schema),
        },
        "object" => {
            let properties = json::object(schema, "/properties");
            let additional = schema.get("additionalProperties");
            if let (None, Some(of)) = (properties, additional.filter(|a| a.is_object())) {
                let of = Arc::new(convert(of, depth + 1));
                return Type::Map { of, atomic };
            }
            if properties.is_none() && (keeps_unknown || additional == Some(&Value::Bool(true))) {
                return Type::Any;
            }
            let required = json::items(schema, "/required");
            let fields = properties
                .into_iter()
                .flatten()
                .map(|(name, of)| {
                    let field = Field {
                        required: required.iter().any(|r| r.as_str() == Some(name)),
                        default: of.get("default").cloned(),
                        nullable: json::flag(of, "/nullable"),
                        rules: rules(of),
                        ..Field::of(convert(of, depth + 1))
                    };
                    (name.clone(), field)
                })
                .collect();
            Type::Struct(Arc::new(Struct {
                name: String::new(),
                fields,
                atomic,
                others: keeps_unknown.then_some(Type::Any),
            }))
        }
        _ => Type::Any,
    }
}

fn list_merge(schema: &Value) -> ListMerge {
    match json::text(schema, "/x-kubernetes-list-type") {
        "set" => ListMerge::Set,
        "map" => ListMerge::Keys(
            json::items(schema, "/x-kubernetes-list-map-keys")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        ),
        _ => ListMerge::Atomic,
    }
}

/// The rules that validation knows, so that a field without any costs nothing.
fn rules(schema: &Value) -> Option<Arc<Value>> {
    const KNOWN: [&str; 10] = [
        "enum",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "pattern",
    ];
    let found: serde_json::Map<String, Value> = KNOWN
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), schema.get(*key)?.clone())))
        .collect();
    (!found.is_empty()).then(|| Arc::new(Value::Object(found)))
}
