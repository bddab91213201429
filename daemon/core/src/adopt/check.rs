//! Whether what is rendered is what there was.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::object::{is, key};
use super::{Adoption, Options, Place, quiet};
use crate::compare::{FieldChange, OWN, fields};
use crate::ports::ObjectRef;

/// What stands where the value of a secret is.
const HIDDEN: &str = "(secret)";

/// An object, and how it is rendered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// The object.
    pub object: ObjectRef,
    /// Where it was found; empty for one that is new.
    pub place: String,
    /// How it is rendered.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How an object is rendered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// As it was, but for labels that say whose it is.
    Identical,
    /// Differently: from what was, to what will be.
    Differs {
        /// The fields.
        fields: Vec<FieldChange>,
    },
    /// Not at all: it stays as it is.
    NotCarriedOver {
        /// Why.
        why: String,
    },
    /// It was not there before.
    Added,
}

/// Compares what a proposal renders with what it was made from, object by object:
/// without what servers add, the labels that say whose an object is, and the values of
/// secrets, of which only the keys count.
pub fn check(adoption: &Adoption, rendered: &[Value], options: &Options) -> Vec<Compared> {
    let mut found: BTreeMap<_, &Value> =
        rendered.iter().map(|object| (key(object, &options.namespace), object)).collect();
    let mut compared = Vec::new();
    for source in &adoption.expected {
        let Some(object) = ObjectRef::of(&source.object) else { continue };
        let outcome = match found.remove(&key(&source.object, &options.namespace)) {
            Some(rendered) => {
                let before = comparable(&source.object, options);
                let fields = fields(&before, &comparable(rendered, options));
                match fields.is_empty() {
                    true => Outcome::Identical,
                    false => Outcome::Differs { fields },
                }
            }
            None => Outcome::NotCarriedOver { why: why(adoption, &object) },
        };
        compared.push(Compared { object, place: source.place.clone(), outcome });
    }
    let added = found.into_values().filter_map(ObjectRef::of);
    compared.extend(added.map(|object| Compared {
        object,
        place: String::new(),
        outcome: Outcome::Added,
    }));
    compared
}

fn why(adoption: &Adoption, object: &ObjectRef) -> String {
    let placed = adoption.placed.iter().find(|placed| placed.object == *object);
    match placed.map(|placed| &placed.to) {
        Some(Place::NotCarriedOver { why, .. }) => why.clone(),
        _ => "it is not rendered".to_owned(),
    }
}

/// What of an object is compared.
fn comparable(object: &Value, options: &Options) -> Value {
    let mut object = quiet::quieted(object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if metadata.get("namespace") == Some(&json!(options.namespace)) {
            metadata.remove("namespace");
        }
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|label, _| !OWN.contains(&label.as_str()));
        }
        if metadata.get("labels") == Some(&json!({})) {
            metadata.remove("labels");
        }
    }
    if is(&object, "", "Secret") {
        for field in ["data", "stringData"] {
            let values = object.get_mut(field).and_then(Value::as_object_mut);
            for value in values.into_iter().flat_map(|values| values.values_mut()) {
                *value = HIDDEN.into();
            }
        }
        if object.get("data") == Some(&json!({}))
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("data");
        }
    }
    object
}
