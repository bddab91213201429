//! What was resolved for a set: where its resources come from and what they are
//! like, and what rendered it and rolled it out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Resolved, values};
use crate::config::Provider;
use crate::secret::{Part, parts};

/// What a deployment resolved, by the resources' names.
pub(super) fn documents(side: &Resolved) -> Result<BTreeMap<String, Value>, serde_json::Error> {
    let plan = &side.plan;
    let mut documents = BTreeMap::new();
    for (uid, node) in &plan.graph.nodes {
        let mut document = json!({
            "definition": {"name": node.definition, "digest": node.definition_digest},
            "inputs": node.inputs,
            "whenUnused": node.when_unused,
        });
        let mut add = |field: &str, value: Value| {
            if let Some(fields) = document.as_object_mut() {
                fields.insert(field.to_owned(), value);
            }
        };
        if !node.params.is_empty() {
            add("params", json!(node.params));
        }
        match (&node.provider, plan.resources.get(uid)) {
            (Provider::Driver(_), Some(planned)) => add("driver", json!(planned.driver)),
            (Provider::Driver(name), None) => add("driver", json!({"name": name})),
            (Provider::Lender(lender), _) => add("borrowedFrom", json!(lender)),
        }
        if let Some(outputs) = side.outputs.get(uid) {
            add("outputs", named(side, outputs));
        }
        documents.insert(node.key.to_string(), document);
    }
    documents.insert(
        "environment".to_owned(),
        json!({"type": plan.environment_type, "takeOverFields": plan.take_over_fields}),
    );
    if let Some(templater) = &plan.templater {
        documents.insert("templater".to_owned(), serde_json::to_value(templater)?);
    }
    if let Some(strategy) = &plan.strategy {
        documents.insert("strategy".to_owned(), serde_json::to_value(strategy)?);
    }
    Ok(documents)
}

/// A document whose references to secrets name resources as people do: uids are
/// other ones in every environment, and say nothing.
pub(super) fn named(side: &Resolved, document: &Value) -> Value {
    replaced(document, &|text| in_words(&side.plan, text))
}

pub(super) fn in_words(plan: &crate::plan::Plan, text: &str) -> String {
    if !crate::secret::has_marker(text) {
        return text.to_owned();
    }
    let parts = parts(text).into_iter().map(|part| match part {
        Part::Text(text) => text.to_owned(),
        Part::Secret(secret) => format!("(secret {})", values::name(plan, &secret)),
    });
    parts.collect()
}

pub(super) fn replaced(document: &Value, by: &impl Fn(&str) -> String) -> Value {
    match document {
        Value::String(text) => Value::String(by(text)),
        Value::Array(items) => items.iter().map(|item| replaced(item, by)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, item)| (key.clone(), replaced(item, by)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
