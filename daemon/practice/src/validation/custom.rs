//! Custom resources against the schema of their definition.

use serde_json::Value;

use crate::schema::{Field, Scalar, Type, kind_of};
use crate::status::Cause;

/// Checks a value against its type.
pub(super) fn check(value: &Value, ty: &Type, at: &str, found: &mut Vec<Cause>) {
    match (ty, value) {
        (Type::Struct(known), Value::Object(entries)) => {
            for (name, field) in &known.fields {
                let place = match at {
                    "" => name.clone(),
                    at => format!("{at}.{name}"),
                };
                match entries.get(name) {
                    None if field.required => found.push(Cause::required(place, "")),
                    None => {}
                    Some(Value::Null) if field.nullable => {}
                    Some(below) => {
                        rules(below, field, &place, found);
                        // Metadata is checked for all objects alike.
                        if at.is_empty() && name == "metadata" {
                            continue;
                        }
                        check(below, &field.ty, &place, found);
                    }
                }
            }
        }
        (Type::Map { of, .. }, Value::Object(entries)) => {
            for (name, below) in entries {
                check(below, of, &format!("{at}.{name}"), found);
            }
        }
        (Type::List { of, .. }, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check(item, of, &format!("{at}[{index}]"), found);
            }
        }
        (Type::Any | Type::Named(_), _) => {}
        (ty, value) => {
            if let Some(wanted) = wanted(ty, value) {
                let kind = match kind_of(value) {
                    "bool" => "boolean",
                    "number" if value.is_i64() => "integer",
                    other => other,
                };
                let detail = format!("{at} in body must be of type {wanted}: \"{kind}\"");
                found.push(Cause::invalid_whole(at, kind, &detail));
            }
        }
    }
}

fn wanted(ty: &Type, value: &Value) -> Option<&'static str> {
    let (fits, wanted) = match ty {
        Type::Struct(_) | Type::Map { .. } => (false, "object"),
        Type::List { .. } => (false, "array"),
        Type::Scalar(Scalar::Bool) => (value.is_boolean(), "boolean"),
        Type::Scalar(Scalar::Text) => (value.is_string(), "string"),
        Type::Scalar(Scalar::Long) => {
            (value.as_f64().is_some_and(|number| number.fract() == 0.0), "integer")
        }
        Type::Scalar(Scalar::Number) => (value.is_number(), "number"),
        Type::Scalar(_) | Type::Any | Type::Named(_) => (true, ""),
    };
    (!fits).then_some(wanted)
}

fn rules(value: &Value, field: &Field, at: &str, found: &mut Vec<Cause>) {
    let Some(rules) = field.rules.as_deref() else {
        return;
    };
    if let Some(allowed) = rules.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let texts: Vec<String> = allowed
            .iter()
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        found.push(Cause::unsupported(at, value, &texts));
    }
    let number = value.as_f64();
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(entries) => entries.len(),
        _ => 0,
    };
    let limit = |name: &str| rules.get(name).and_then(Value::as_f64);
    if let (Some(number), Some(least)) = (number, limit("minimum"))
        && number < least
    {
        let detail = format!("{at} in body should be greater than or equal to {least}");
        found.push(Cause::invalid(at, value, &detail));
    }
    if let (Some(number), Some(most)) = (number, limit("maximum"))
        && number > most
    {
        let detail = format!("{at} in body should be less than or equal to {most}");
        found.push(Cause::invalid(at, value, &detail));
    }
    let (least, most, unit) = match value {
        Value::String(_) => ("minLength", "maxLength", "chars long"),
        Value::Array(_) => ("minItems", "maxItems", "items"),
        Value::Object(_) => ("minProperties", "maxProperties", "properties"),
        _ => return,
    };
    let size = size as f64;
    let verb = if value.is_string() { "be" } else { "have" };
    if let Some(least) = limit(least).filter(|least| size < *least) {
        let detail = format!("{at} in body should {verb} at least {least} {unit}");
        found.push(Cause::invalid(at, value, &detail));
    }
    if let Some(most) = limit(most).filter(|most| size > *most) {
        let detail = format!("{at} in body should {verb} at most {most} {unit}");
        found.push(Cause::invalid(at, value, &detail));
    }
    if let (Some(text), Some(pattern)) = (value.as_str(), rules.get("pattern").and_then(Value::as_str))
        // A pattern that this engine does not know holds for every text.
        && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        let detail = format!("{at} in body should match '{pattern}'");
        found.push(Cause::invalid(at, value, &detail));
    }
}
