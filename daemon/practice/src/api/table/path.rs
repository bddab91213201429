//! The JSON paths of columns: `.a.b`, `[0]`, `[*]`, `['a']`, and filters for
//! equality such as `[?(@.type=="Ready")]`.

use serde_json::Value;

/// The values at a path; none where it leads nowhere or is of another form.
pub(crate) fn values_at<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut at = vec![object];
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() {
        let step;
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((inside, after)) = split_bracket(inner) else { return Vec::new() };
            (step, rest) = (inside, after);
            at = at.into_iter().flat_map(|value| bracket(value, step)).collect();
        } else {
            let text = rest.strip_prefix('.').unwrap_or(rest);
            let end = text.find(['.', '[']).unwrap_or(text.len());
            (step, rest) = text.split_at(end);
            if !step.is_empty() {
                at = at.into_iter().filter_map(|value| value.get(step)).collect();
            }
        }
    }
    at
}

/// What is inside a bracket, and what is behind it; quotes may hold brackets.
fn split_bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (index, letter) in text.char_indices() {
        match (quote, letter) {
            (None, ']') => return Some((text.get(..index)?, text.get(index + 1..)?)),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if letter == open => quote = None,
            _ => {}
        }
    }
    None
}

fn bracket<'a>(value: &'a Value, inside: &str) -> Vec<&'a Value> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if inside == "*" {
        return match value {
            Value::Object(fields) => fields.values().collect(),
            _ => items.iter().collect(),
        };
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let Some((path, wanted)) = filter.split_once("==") else { return Vec::new() };
        let path = path.trim().trim_start_matches('@');
        let wanted = wanted.trim();
        let plain = wanted.trim_matches(['"', '\'']);
        let fits = |item: &&Value| {
            values_at(item, path).iter().any(|found| match found {
                Value::String(text) => text == plain,
                other => {
                    serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == **other)
                }
            })
        };
        return items.iter().filter(fits).collect();
    }
    match inside.parse::<i64>() {
        Ok(index) => {
            let index = if index < 0 { index + items.len() as i64 } else { index };
            usize::try_from(index).ok().and_then(|index| items.get(index)).into_iter().collect()
        }
        Err(_) => value.get(inside.trim_matches(['"', '\''])).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let object = json!({"spec": {"a.b": 1, "list": [{"n": 1}, {"n": 2}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other"}]}});
        for (path, found) in [
            (".spec.list[0].n", vec![json!(1)]),
            (".spec.list[-1].n", vec![json!(2)]),
            (".spec.list[*].n", vec![json!(1), json!(2)]),
            (".spec['a.b']", vec![json!(1)]),
            (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
            (".status.conditions[?(@.type=='None')].status", vec![]),
            (".nowhere.at.all", vec![]),
            (".spec.list[", vec![]),
        ] {
            assert_eq!(values_at(&object, path).into_iter().cloned().collect::<Vec<_>>(), found);
        }
    }
}
