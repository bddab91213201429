//! What a schema asks for, in words.

use serde_json::Value;

use crate::path::Path;
use crate::shown;

/// Patterns of the core's types, and what they mean to a person.
pub(super) const PATTERNS: [(&str, &str); 19] = [
    (
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "1 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit",
    ),
    (
        "^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$",
        "2 to 63 of a-z, 0-9 and \"-\", beginning and ending with a letter or digit",
    ),
    (
        "^[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]$",
        "2 to 63 letters, digits and \"-\", beginning and ending with a letter or digit",
    ),
    (
        r"^[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9][A-Za-z0-9-]*)*$",
        "letters, digits and \"-\", in parts that are separated by dots",
    ),
    (
        "^(never|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d)$",
        "minutes, hours or days, like 90m, 48h or 14d, or never",
    ),
    (
        "^(forever|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d)$",
        "minutes, hours or days, like 90m, 48h or 14d, or forever",
    ),
    (
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:.{1,255})?$",
        "a name, or an issuer's name and what it calls them, like corp:ada@example.org",
    ),
    (
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?:.{1,255}$",
        "an issuer's name and what it calls the group, like corp:platform-team",
    ),
    ("^[a-z0-9*-]{1,63}$", "a name, in which \"*\" is any run of characters"),
    ("^[A-Za-z0-9_-]+$", "letters, digits, \"-\" and \"_\""),
    (
        "^([1-9][0-9]{0,3}m|[1-9][0-9]?h|[1-7]d)$",
        "minutes, hours or days, a week at most, like \"10m\", \"1h\" or \"1d\"",
    ),
    (
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$",
        "a local time to the minute, like 2026-12-19T00:00",
    ),
    (
        "^([1-9][0-9]?d)?([1-9][0-9]?h)?([1-9][0-9]{0,2}m)?$",
        "days, hours and minutes, 31 days at most, like 8h, 90m or 2d15h",
    ),
    ("^[^=]+$", "text without \"=\""),
    ("^0?[0-7]{3}$", "an octal mode such as \"0644\""),
    (r"^\d+(?:m|\.\d+)?$", "processor time such as \"250m\", \"1\" or \"1.5\""),
    (
        r"^(?:0\.\d+|[1-9]\d*(?:\.\d+)?)(?:K|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        "an amount of memory such as \"128Mi\" or \"1G\"",
    ),
    (
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "the names of an application and its environment: \"application/environment\"",
    ),
    ("^sha256:[0-9a-f]{64}$", "\"sha256:\" and 64 hex digits"),
];

/// A pattern in words.
pub(super) fn pattern(pattern: &str) -> String {
    match PATTERNS.iter().find(|(known, _)| *known == pattern) {
        Some((_, words)) => (*words).to_owned(),
        None => format!("text that matches {pattern}"),
    }
}

/// What a schema asks for.
pub(super) fn describe(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(choices) = choices(root, schema) {
        return match choices.as_slice() {
            [only] => only.clone(),
            _ => format!("one of {}", shown::list(choices.iter().map(String::as_str))),
        };
    }
    if let Some(text) = schema.get("pattern").and_then(Value::as_str) {
        return pattern(text);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => {
            let limit = |name| schema.get(name).map(Value::to_string);
            match (limit("minimum"), limit("maximum")) {
                (Some(least), Some(most)) => format!("an integer from {least} to {most}"),
                (Some(least), None) if least != "0" => format!("an integer from {least} on"),
                _ => "an integer".to_owned(),
            }
        }
        Some("number") => "a number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("string") => "a string".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => "a map".to_owned(),
        _ => "a value".to_owned(),
    }
}

/// The values that a schema names, if it names all.
pub(super) fn choices(root: &Value, schema: &Value) -> Option<Vec<String>> {
    let schema = resolve(root, schema);
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some(only) = schema.get("const") {
        return Some(vec![shown(only)]);
    }
    if let Some(Value::Array(options)) = schema.get("enum") {
        return Some(options.iter().map(shown).collect());
    }
    let branches = ["oneOf", "anyOf"].iter().find_map(|name| schema.get(name)?.as_array())?;
    let nested: Option<Vec<Vec<String>>> =
        branches.iter().map(|branch| choices(root, branch)).collect();
    Some(nested?.concat())
}

/// The names of which branches of a `oneOf` need one each, if that is all they do.
pub(super) fn alternatives(schema: &Value) -> Option<Vec<&str>> {
    let branches = schema.get("oneOf")?.as_array()?;
    branches
        .iter()
        .map(|branch| match branch.get("required")?.as_array()?.as_slice() {
            [name] => name.as_str(),
            _ => None,
        })
        .collect()
}

/// Follows `$ref` within the schema.
pub(super) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    // References of generated schemas are one step long, and never to themselves.
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// The schema of the value at the end of a path, as far as there is one.
pub(super) fn at<'a>(root: &'a Value, path: &Path) -> Option<&'a Value> {
    let mut schema = root;
    for step in path.steps() {
        schema = resolve(root, schema);
        let field = schema.get("properties").and_then(|fields| fields.get(step));
        schema =
            field.or_else(|| schema.get("additionalProperties")).or_else(|| schema.get("items"))?;
    }
    Some(resolve(root, schema))
}
