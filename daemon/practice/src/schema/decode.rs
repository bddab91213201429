//! Turning what a client sent into an object of its type: unknown fields are
//! dropped and told, wrong types are refused, empty optional fields vanish.

use serde_json::{Map, Value};

use super::{Scalar, Struct, Type};

/// Fields whose empty text means something else than their absence.
const EMPTY_TEXT_MATTERS: [&str; 4] =
    ["storageClassName", "ingressClassName", "volumeAttributesClassName", "apiGroup"];

/// What decoding found.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Paths of fields that the type does not have, in the API's notation.
    pub(crate) unknown: Vec<String>,
    /// Fields of the wrong type: what was found, where, and what it should be.
    pub(crate) mismatches: Vec<Mismatch>,
}

/// A field of the wrong type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// What was found: `string`, `number`, `bool`, `object`, `array`.
    pub(crate) found: &'static str,
    /// The struct and path, as the API server names them.
    pub(crate) place: String,
    /// What it should have been.
    pub(crate) wanted: &'static str,
    /// The path with its list indexes, as validation names it.
    pub(crate) path: String,
}

/// Checks a value against its type, dropping what the type does not have.
pub(crate) fn decode(value: &mut Value, ty: &Type) -> Decoded {
    let mut found = Decoded::default();
    walk(value, ty, Place { above: None, step: Step::Root, owner: "" }, &mut found);
    found
}

/// Where a value is. It is put into words only when there is something to tell.
#[derive(Clone, Copy)]
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
    owner: &'a str,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    fn field(&'a self, name: &'a str, owner: &'a str) -> Self {
        let owner = if owner.is_empty() { self.owner } else { owner };
        Self { above: Some(self), step: Step::Field(name), owner }
    }

    fn item(&'a self, index: usize) -> Self {
        Self { above: Some(self), step: Step::Item(index), owner: self.owner }
    }

    /// `spec.containers[0].image`, or without the indexes.
    fn path(&self, with_indexes: bool) -> String {
        let mut path = self.above.map(|above| above.path(with_indexes)).unwrap_or_default();
        match self.step {
            Step::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Item(index) if with_indexes => path.push_str(&format!("[{index}]")),
            Step::Item(_) | Step::Root => {}
        }
        path
    }
}

fn walk(value: &mut Value, ty: &Type, at: Place<'_>, found: &mut Decoded) {
    match ty {
        Type::Any => {}
        Type::Scalar(scalar) => {
            if let Some(wanted) = mismatch(value, *scalar) {
                found.refuse(value, at, wanted);
            } else if *scalar == Scalar::Quantity
                && let Some(text) = crate::quantity::canonical(value)
            {
                *value = Value::from(text);
            }
        }
        Type::List { of, .. } => match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    walk(item, of, at.item(index), found);
                }
            }
            Value::Null => {}
            other => found.refuse(other, at, "[]"),
        },
        Type::Map { of, .. } => match value {
            Value::Object(entries) => {
                entries.retain(|_, v| !v.is_null() || matches!(**of, Type::Any));
                for (key, item) in entries.iter_mut() {
                    walk(item, of, at.field(key, ""), found);
                }
            }
            Value::Null => {}
            other => found.refuse(other, at, "map[string]"),
        },
        Type::Named(_) | Type::Struct(_) => match (ty.as_struct(), value) {
            (Some(known), Value::Object(fields)) => {
                fields_of(fields, known, matches!(ty, Type::Named(_)), at, found);
            }
            (None, _) | (_, Value::Null) => {}
            (Some(_), other) => found.refuse(other, at, "object"),
        },
    }
}

fn fields_of(
    fields: &mut Map<String, Value>,
    known: &Struct,
    builtin: bool,
    at: Place<'_>,
    found: &mut Decoded,
) {
    fields.retain(|name, _| {
        let keep = known.fields.contains_key(name) || known.others.is_some();
        if !keep {
            found.unknown.push(at.field(name, "").path(true));
        }
        keep
    });
    for (name, value) in fields.iter_mut() {
        let ty = match known.fields.get(name) {
            Some(field) => &field.ty,
            None => known.others.as_ref().unwrap_or(&Type::Any),
        };
        walk(value, ty, at.field(name, &known.name), found);
    }
    if builtin {
        fields.retain(|name, value| !is_absent(name, value, known));
    } else {
        fields.retain(|name, value| {
            !value.is_null() || known.fields.get(name).is_none_or(|field| field.nullable)
        });
    }
}

/// Whether the API server would leave the field out of its answer.
fn is_absent(name: &str, value: &Value, known: &Struct) -> bool {
    let Some(field) = known.fields.get(name) else {
        return false;
    };
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty() && !field.required,
        Value::Object(entries) => {
            entries.is_empty() && !field.required && matches!(field.ty, Type::Map { .. })
        }
        Value::String(text) => {
            text.is_empty() && !field.required && !EMPTY_TEXT_MATTERS.contains(&name)
        }
        Value::Bool(false) => field.zero_is_absent,
        Value::Number(number) => field.zero_is_absent && number.as_i64() == Some(0),
        _ => false,
    }
}

fn mismatch(value: &Value, scalar: Scalar) -> Option<&'static str> {
    let (fits, wanted) = match scalar {
        Scalar::Bool => (value.is_boolean(), "bool"),
        Scalar::Text => (value.is_string(), "string"),
        Scalar::Int => (value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()), "int32"),
        Scalar::Long => (value.is_i64() || whole(value), "int64"),
        Scalar::Number => (value.is_number(), "float64"),
        Scalar::IntOrText => (value.is_i64() || value.is_string(), "int or string"),
        Scalar::Quantity => (is_quantity(value), "resource.Quantity"),
        Scalar::Time => (value.is_string(), "v1.Time"),
        Scalar::Bytes => (is_base64(value), "[]uint8"),
    };
    (!fits && !value.is_null()).then_some(wanted)
}

fn is_quantity(value: &Value) -> bool {
    value.is_number()
        || value
            .as_str()
            .is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)))
}

fn is_base64(value: &Value) -> bool {
    use base64::Engine as _;
    value
        .as_str()
        .is_some_and(|text| base64::engine::general_purpose::STANDARD.decode(text).is_ok())
}

fn whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// The name of a JSON value's kind, as Go's decoder tells it.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Decoded {
    fn refuse(&mut self, value: &Value, at: Place<'_>, wanted: &'static str) {
        self.mismatches.push(Mismatch {
            found: kind_of(value),
            place: format!("{}.{}", at.owner, at.path(false)),
            wanted,
            path: at.path(true),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_dropped_and_told() {
        let mut value = json!({"spec": {"replicas": 1, "replica": 2, "template": {"spec":
            {"containers": [{"name": "a", "imagee": "x", "env": []}]}}}, "foo": 1});
        let found = decode(&mut value, &Type::Named("Deployment"));
        assert_eq!(
            found.unknown,
            ["foo", "spec.replica", "spec.template.spec.containers[0].imagee"]
        );
        assert_eq!(
            value,
            json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "a"}]}}}})
        );
    }

    #[test]
    fn a_wrong_type_is_told_with_its_place() {
        let mut value = json!({"spec": {"replicas": "2"}});
        let found = decode(&mut value, &Type::Named("Deployment"));
        let first = &found.mismatches[0];
        assert_eq!(
            (first.found, first.place.as_str(), first.wanted),
            ("string", "DeploymentSpec.spec.replicas", "int32")
        );
    }
}
