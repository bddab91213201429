//! Compares documents with the schema of their kind.

mod describe;
mod explain;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use deployd_core::config::DocumentKind;
use jsonschema::Validator;
use serde_json::Value;

use crate::limits::ERRORS_MAX;
use crate::node::Node;
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
    explain::without_consequences(problems)
}

#[cfg(test)]
mod tests;
