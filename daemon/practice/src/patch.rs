//! JSON patch, merge patch and strategic merge patch.

use serde_json::{Map, Value};

use crate::schema::{ListMerge, Type};

/// A JSON patch has at most this many operations, as on a real server.
const MOST_OPERATIONS: usize = 10_000;

/// Why a patch was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not a patch.
    Malformed(String),
    /// It does not fit the object.
    Inapplicable(String),
}

/// Applies an RFC 6902 patch.
pub(crate) fn json_patch(object: &Value, patch: &Value) -> Result<Value, Refusal> {
    if patch.as_array().is_some_and(|ops| ops.len() > MOST_OPERATIONS) {
        return Err(Refusal::Malformed(format!(
            "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}"
        )));
    }
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| Refusal::Malformed(format!("error decoding patch: {error}")))?;
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch)
        .map_err(|error| Refusal::Inapplicable(error.to_string()))?;
    Ok(patched)
}

/// Applies an RFC 7396 merge patch.
pub(crate) fn merge_patch(object: &Value, patch: &Value) -> Value {
    let mut patched = object.clone();
    json_patch::merge(&mut patched, patch);
    patched
}

/// Applies a strategic merge patch.
pub(crate) fn strategic(object: &Value, patch: &Value, ty: &Type) -> Result<Value, Refusal> {
    match (object, patch) {
        (Value::Object(before), Value::Object(changes)) => {
            Ok(Value::Object(strategic_object(before, changes, ty)?))
        }
        _ => Ok(without_directives(patch)),
    }
}

fn strategic_object(
    before: &Map<String, Value>,
    changes: &Map<String, Value>,
    ty: &Type,
) -> Result<Map<String, Value>, Refusal> {
    match changes.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut fresh = changes.clone();
            fresh.remove("$patch");
            return Ok(fresh);
        }
        Some("delete") => return Ok(Map::new()),
        Some("merge") | None => {}
        Some(other) => {
            return Err(Refusal::Malformed(format!(
                "unknown patch type: {other} in map: {}",
                Value::Object(changes.clone())
            )));
        }
    }
    let mut after = before.clone();
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = change.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(items)) = after.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        let of = ty.field(name).unwrap_or(&Type::Any);
        let changed = match (after.get(name), change) {
            (_, Value::Null) => {
                after.remove(name);
                continue;
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                Value::Object(strategic_object(old, new, of)?)
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Value::Array(strategic_list(old, new, of, merge_key(ty, name))?)
            }
            (None, Value::Array(new)) => {
                Value::Array(strategic_list(&[], new, of, merge_key(ty, name))?)
            }
            (_, new) => without_directives(new),
        };
        after.insert(name.clone(), changed);
    }
    if let Some(Value::Array(keep)) = changes.get("$retainKeys") {
        after.retain(|name, _| keep.iter().any(|k| k.as_str() == Some(name)));
    }
    for (name, order) in changes {
        if let (Some(list), Value::Array(order)) = (name.strip_prefix("$setElementOrder/"), order) {
            let old = before.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            if let Some(Value::Array(items)) = after.get_mut(list) {
                *items = ordered(std::mem::take(items), order, old, merge_key(ty, list));
            }
        }
    }
    Ok(after)
}

/// The key that a strategic merge tells the items of a field apart by.
fn merge_key<'a>(ty: &'a Type, field: &str) -> Option<&'a str> {
    let field = ty.entry(field)?;
    match &field.ty {
        Type::List { merge: ListMerge::Keys(keys), .. } => keys.first().map(String::as_str),
        _ => field.patch_key,
    }
}

fn strategic_list(
    old: &[Value],
    new: &[Value],
    of: &Type,
    key: Option<&str>,
) -> Result<Vec<Value>, Refusal> {
    if new.iter().any(|item| item.get("$patch") == Some(&"replace".into())) {
        return Ok(new.iter().filter(|item| item.get("$patch").is_none()).cloned().collect());
    }
    let Type::List { of: item_ty, merge } = of else {
        return Ok(new.to_vec());
    };
    if *merge == ListMerge::Set {
        let mut merged = old.to_vec();
        merged.extend(new.iter().filter(|item| !old.contains(item)).cloned());
        return Ok(merged);
    }
    let Some(key) = key else {
        return Ok(new.iter().map(without_directives).collect());
    };
    let mut merged = old.to_vec();
    for change in new {
        let Some(id) = change.get(key) else {
            return Err(Refusal::Inapplicable(format!(
                "map: {change} does not contain declared merge key: {key}"
            )));
        };
        let place = merged.iter().position(|item| item.get(key) == Some(id));
        let is_delete = change.get("$patch").and_then(Value::as_str) == Some("delete");
        match (place, is_delete) {
            (Some(index), true) => {
                merged.remove(index);
            }
            (None, true) => {}
            (Some(index), false) => {
                if let Some(item) = merged.get_mut(index) {
                    *item = strategic(item, change, item_ty)?;
                }
            }
            (None, false) => merged.push(without_directives(change)),
        }
    }
    Ok(ordered(merged, new, old, Some(key)))
}

/// Puts the items of a merged list in order: those that `order` names as it
/// has them, and between them the others, each where it was before among those
/// that were there as well. What is new comes before what only the server has.
fn ordered(merged: Vec<Value>, order: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| {
        list.iter().position(|other| match key {
            Some(key) => other.get(key) == item.get(key),
            None => other == item,
        })
    };
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        let at = place(before, &item);
        while let Some(other) = others.next_if(
            |other| matches!((place(before, other), at), (Some(other), Some(at)) if other < at),
        ) {
            out.push(other);
        }
        out.push(item);
    }
    out.extend(others);
    out
}

fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(entries) => Value::Object(
            entries
                .iter()
                .filter(|(name, value)| !name.starts_with("$patch") && !value.is_null())
                .filter(|(name, _)| !name.starts_with("$setElementOrder/"))
                .filter(|(name, _)| *name != "$retainKeys")
                .map(|(name, value)| (name.clone(), without_directives(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_directives).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_strategic_merge_tells_containers_apart_by_name() {
        let object = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "image": "x:1", "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "y:1"}]}}}});
        let patch = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "image": "x:2"}, {"name": "b", "$patch": "delete"},
            {"name": "c", "image": "z"}]}}}});
        assert_eq!(
            strategic(&object, &patch, &Type::Named("Deployment")).unwrap(),
            json!({"spec": {"template": {"spec": {"containers": [
                {"name": "a", "image": "x:2", "ports": [{"containerPort": 80}]},
                {"name": "c", "image": "z"}]}}}})
        );
    }

    #[test]
    fn atomic_lists_and_nulls_in_a_strategic_merge() {
        let object = json!({"spec": {"replicas": 2, "template": {"spec": {
            "tolerations": [{"key": "a"}]}}}});
        let patch = json!({"spec": {"replicas": null, "template": {"spec": {
            "tolerations": [{"key": "b"}]}}}});
        assert_eq!(
            strategic(&object, &patch, &Type::Named("Deployment")).unwrap(),
            json!({"spec": {"template": {"spec": {"tolerations": [{"key": "b"}]}}}})
        );
    }
}
