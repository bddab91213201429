//! Compares documents with the schema of their kind.

mod describe;
mod explain;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use deployd_core::config::DocumentKind;
use jsonschema::Validator;
use serde_json::Value;

use crate::limits::ERRORS_MAX;
use crate::node::{Data, Node};
use crate::path::Path;
use crate::problem::Problem;
use crate::schema::schemas;

static VALIDATORS: LazyLock<BTreeMap<DocumentKind, Result<Validator, String>>> =
    LazyLock::new(|| {
        let build = |schema| jsonschema::draft202012::new(schema).map_err(|e| e.to_string());
        schemas().iter().map(|(kind, schema)| (*kind, build(schema))).collect()
    });

/// Everything in which a document differs from its kind's schema.
pub(crate) fn validate(kind: DocumentKind, root: &Node, value: &Value) -> Vec<Problem> {
    let (Some(Ok(validator)), Some(schema)) = (VALIDATORS.get(&kind), schemas().get(&kind)) else {
        // A test compiles every schema; this can't be reached with those it knows.
        let found = format!("a document of kind {kind}, whose schema can't be used");
        return vec![Problem::at_value(Path::default(), found, "a schema")];
    };
    let mut problems = Vec::new();
    for error in validator.iter_errors(value) {
        problems.extend(explain::explain(schema, root, &error));
        if problems.len() >= ERRORS_MAX {
            break;
        }
    }
    points(schema, root, &mut Path::default(), &mut problems);
    explain::without_consequences(problems)
}

/// To JSON Schema 80.0 is an integer; to the types it is not.
fn points(schema: &Value, node: &Node, path: &mut Path, problems: &mut Vec<Problem>) {
    match &node.data {
        Data::Scalar { value: Value::Number(number), written } if number.is_f64() => {
            let Some(wanted) = describe::at(schema, path) else { return };
            let whole = number.as_f64().is_some_and(|number| number.fract() == 0.0);
            if whole && wanted.get("type").and_then(Value::as_str) == Some("integer") {
                let found = crate::shown::value(&Value::Number(number.clone()), written.as_deref());
                let expected = describe::describe(schema, wanted);
                problems.push(Problem::at_value(path.clone(), found, expected));
            }
        }
        Data::Scalar { .. } => {}
        Data::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index);
                points(schema, item, path, problems);
                path.pop();
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                path.push(&entry.key);
                points(schema, &entry.value, path, problems);
                path.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests;
