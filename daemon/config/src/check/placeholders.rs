//! Placeholders in Score documents: `${metadata.x}` and `${resources.x.y}`.

use deployd_core::score::{Reference, references};
use serde_json::Value;

use super::order::Edges;
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// How a text that only looks like a placeholder is written.
pub(super) const ESCAPE: &str = "for the text itself, write `$${...}`";

/// What placeholders can refer to.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) metadata: &'a Value,
    /// Names of resources, if they are known.
    pub(super) resources: Option<&'a [&'a str]>,
    /// Whose they are.
    pub(super) owner: &'a str,
}

/// Checks the placeholders of a text.
pub(super) fn check(scope: &Scope<'_>, path: &Path, text: &str, problems: &mut Vec<Problem>) {
    for reference in references(text) {
        problems.extend(wrong(scope, path, &reference));
    }
}

fn wrong(scope: &Scope<'_>, path: &Path, reference: &Reference) -> Option<Problem> {
    let found = placeholder(reference);
    let problem = |expected: String| Some(Problem::at_value(path.clone(), found.clone(), expected));
    match reference.root() {
        ("metadata", []) => problem("a field of the metadata: `${metadata.name}`".to_owned()),
        ("metadata", keys) => {
            let mut value = scope.metadata;
            for key in keys {
                match value.get(key) {
                    Some(next) => value = next,
                    None => {
                        let known: Vec<&str> = super::fields(Some(value)).map(|(k, _)| k).collect();
                        let hint = shown::did_you_mean(key, known.iter().copied());
                        let list = match known.as_slice() {
                            [] => "there is none".to_owned(),
                            known => shown::list(known.iter().copied()),
                        };
                        return problem(format!(
                            "a field of the {}'s metadata: {list}",
                            scope.owner
                        ))
                        .map(|problem| problem.hint(hint));
                    }
                }
            }
            None
        }
        ("resources", []) => {
            problem("an output of a resource: `${resources.NAME.OUTPUT}`".to_owned())
        }
        ("resources", [name, ..]) => {
            let known = scope.resources.filter(|known| !known.contains(&name.as_str()))?;
            let hint = shown::did_you_mean(name, known.iter().copied());
            let list = match known {
                [] => "there is none".to_owned(),
                names => shown::list(names.iter().copied()),
            };
            problem(format!("one of the {}'s resources: {list}", scope.owner))
                .map(|problem| problem.hint(hint))
        }
        (root, _) => {
            let roots = ["metadata", "resources"];
            let hint = shown::did_you_mean(root, roots).unwrap_or_else(|| ESCAPE.to_owned());
            problem("`${metadata...}` or `${resources...}`".to_owned())
                .map(|problem| problem.hint(Some(hint)))
        }
    }
}

/// A placeholder as it was written.
pub(super) fn placeholder(reference: &Reference) -> String {
    format!("${{{}}}", shown::shorten(&reference.text))
}

/// Calls back for every string of a value.
pub(super) fn strings(path: &Path, value: &Value, see: &mut dyn FnMut(&Path, &str)) {
    match value {
        Value::String(text) => see(path, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                strings(&path.then(index), item, see);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                strings(&path.then(key), item, see);
            }
        }
        _ => {}
    }
}

/// Checks the placeholders of every string of a value.
pub(super) fn check_all(
    scope: &Scope<'_>,
    path: &Path,
    value: Option<&Value>,
    problems: &mut Vec<Problem>,
) {
    if let Some(value) = value {
        strings(path, value, &mut |path, text| check(scope, path, text, problems));
    }
}

/// Adds what the params of a resource refer to.
pub(super) fn edges(name: &str, path: &Path, params: Option<&Value>, edges: &mut Edges) {
    let Some(params) = params else { return };
    strings(path, params, &mut |path, text| {
        for reference in references(text) {
            if let ("resources", [target, ..]) = reference.root() {
                let targets = edges.entry(name.to_owned()).or_default();
                targets.entry(target.clone()).or_insert_with(|| path.clone());
            }
        }
    });
}
