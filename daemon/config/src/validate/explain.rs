//! Turns what the validator says into what a person can act on.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::describe::{alternatives, choices, describe, pattern, resolve};
use crate::limits::ERRORS_MAX;
use crate::node::{Data, Node};
use crate::path::Path;
use crate::problem::{NONE_OF_THEM, Problem};
use crate::shown;

/// The problems that an error of the validator stands for.
pub(super) fn explain(schema: &Value, root: &Node, error: &ValidationError<'_>) -> Vec<Problem> {
    let path = Path::from_pointer(error.instance_path().as_str());
    let within = keyword_parent(schema, error.schema_path().as_str());
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let unexpected = unexpected.iter().take(ERRORS_MAX);
            unexpected.map(|name| unknown_field(within, &path, name, error.instance())).collect()
        }
        Kind::PropertyNames { error } => {
            let name = error.instance().as_str().unwrap_or_default();
            let expected = format!("as a name {}", expectation(schema, within, error.kind()));
            vec![Problem::at_key(path.then(name), shown::quoted(name), expected)]
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let expected = field(within, name)
                .map_or_else(|| "a value".to_owned(), |field| describe(schema, field));
            vec![Problem::at_value(path.then(name), "nothing", expected)]
        }
        Kind::OneOfNotValid { .. } | Kind::OneOfMultipleValid { .. } | Kind::AnyOf { .. } => {
            vec![alternative(schema, root, within, path, error.instance())]
        }
        Kind::MinProperties { limit: 1 } | Kind::MaxProperties { limit: 1 }
            if exactly_one(within) =>
        {
            let names: Vec<&str> = fields(within).collect();
            vec![one_of(path, &names, error.instance())]
        }
        kind => {
            let expected = expectation(schema, within, kind);
            let at = root.at_path(&path);
            let written = match at.map(|node| &node.data) {
                Some(Data::Scalar { written, .. }) => written.as_deref(),
                _ => None,
            };
            let found = shown::value(error.instance(), written);
            let hint = quotes(error.instance(), written, &expected);
            vec![Problem::at_value(path, found, expected).hint(hint)]
        }
    }
}

/// Drops what only follows from something else that is reported: a field that
/// is missing because its name was misspelt, and what is reported twice.
pub(super) fn without_consequences(problems: Vec<Problem>) -> Vec<Problem> {
    let misspelt: Vec<Path> = problems.iter().filter_map(Problem::meant).collect();
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        let path = problem.path();
        let consequence = misspelt.iter().any(|field| {
            (problem.is_missing() && field == path)
                || (problem.lacks_alternative() && field.is_child_of(path))
        });
        if !consequence {
            kept.push(problem);
        }
    }
    kept
}

/// The schema that holds the keyword which failed.
fn keyword_parent<'a>(schema: &'a Value, pointer: &str) -> &'a Value {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    schema.pointer(parent).unwrap_or(&Value::Null)
}

fn fields(schema: &Value) -> impl Iterator<Item = &str> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, _)| k.as_str())
}

fn field<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(name)
}

fn unknown_field(within: &Value, path: &Path, name: &str, instance: &Value) -> Problem {
    let known: Vec<&str> = fields(within).collect();
    let expected = match known.as_slice() {
        [] => "no fields at all".to_owned(),
        _ => format!("one of {}", shown::list(known.iter().copied())),
    };
    // A field that is given already was not meant.
    let free = known.iter().copied().filter(|known| instance.get(known).is_none());
    let meant = shown::nearest(name, free);
    Problem::at_key(path.then(name), "an unknown field", expected)
        .hint(meant.map(|meant| format!("did you mean `{meant}`?")))
        .meaning(meant.map(|meant| path.then(meant)))
}

fn exactly_one(schema: &Value) -> bool {
    let is_one = |name| schema.get(name).and_then(Value::as_u64) == Some(1);
    is_one("minProperties") && is_one("maxProperties")
}

/// A map that needs exactly one of some fields.
fn one_of(path: Path, names: &[&str], instance: &Value) -> Problem {
    let given = |name: &&&str| instance.get(**name).is_some();
    let given: Vec<&str> = names.iter().filter(given).copied().collect();
    let found = match given.as_slice() {
        [] => NONE_OF_THEM.to_owned(),
        given => given.join(" and "),
    };
    Problem::at_key(path, found, format!("exactly one of {}", shown::list(names.iter().copied())))
}

fn alternative(
    schema: &Value,
    root: &Node,
    within: &Value,
    path: Path,
    instance: &Value,
) -> Problem {
    if let Some(names) = alternatives(within) {
        return one_of(path, &names, instance);
    }
    let written = match root.at_path(&path).map(|node| &node.data) {
        Some(Data::Scalar { written, .. }) => written.as_deref(),
        _ => None,
    };
    let found = shown::value(instance, written);
    let names = choices(schema, within).unwrap_or_default();
    let hint = instance
        .as_str()
        .and_then(|text| shown::did_you_mean(text, names.iter().map(String::as_str)));
    Problem::at_value(path, found, describe(schema, within)).hint(hint)
}

/// What the keyword that failed asks for.
fn expectation(schema: &Value, within: &Value, kind: &Kind) -> String {
    match kind {
        Kind::Pattern { pattern: text } => pattern(text),
        Kind::MinLength { limit: 1 } => "a string that is not empty".to_owned(),
        Kind::MinLength { limit } => format!("at least {limit} characters"),
        Kind::MaxLength { limit } => format!("at most {limit} characters"),
        Kind::MinItems { limit: 1 } => "a list that is not empty".to_owned(),
        Kind::MinItems { limit } => format!("at least {limit} items"),
        Kind::MaxItems { limit } => format!("at most {limit} items"),
        Kind::MinProperties { limit: 1 } => match fields(within).count() {
            0 => "a map that is not empty".to_owned(),
            _ => format!("at least one of {}", shown::list(fields(within))),
        },
        Kind::MinProperties { limit } => format!("at least {limit} fields"),
        Kind::MaxProperties { limit } => format!("at most {limit} fields"),
        Kind::UniqueItems => "every item once".to_owned(),
        _ => describe(schema, resolve(schema, within)),
    }
}

/// Advice where only the quotes are wrong.
fn quotes(found: &Value, written: Option<&str>, expected: &str) -> Option<String> {
    let wants_text = !["an integer", "a number", "true or false", "a list", "a map"]
        .iter()
        .any(|other| expected.starts_with(other));
    match (found, written) {
        (Value::Null, _) => Some("give it a value, or leave the field out".to_owned()),
        (Value::Number(_) | Value::Bool(_), Some(written)) if wants_text => {
            Some(format!("put it in quotes: \"{}\"", shown::shorten(written)))
        }
        (Value::String(text), _) if expected.starts_with("an integer") => {
            text.parse::<i64>().is_ok().then(|| format!("without the quotes: {text}"))
        }
        (Value::String(text), _) if expected == "true or false" => match text.as_str() {
            "true" | "false" => Some(format!("without the quotes: {text}")),
            "yes" | "on" => Some("write true".to_owned()),
            "no" | "off" => Some("write false".to_owned()),
            _ => None,
        },
        _ => None,
    }
}
