//! `metadata.managedFields`: who owns which fields.

use serde_json::{Value, json};

use super::fieldset::FieldSet;
use crate::json;

/// How an owner came by its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

/// An owner of fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owner {
    /// The field manager's name.
    pub(crate) manager: String,
    /// Apply or anything else.
    pub(crate) operation: Operation,
    /// The API version it wrote.
    pub(crate) api_version: String,
    /// The subresource it wrote through, empty for the object itself.
    pub(crate) subresource: String,
    /// When it last changed something.
    pub(crate) time: String,
    /// What it owns.
    pub(crate) fields: FieldSet,
}

impl Owner {
    /// Whether both stand for the same writer.
    pub(crate) fn is_same(&self, other: &Owner) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.api_version == other.api_version
            && self.subresource == other.subresource
    }

    /// The owner as a conflict's message names it.
    pub(crate) fn shown(&self) -> String {
        let mut text = Value::from(self.manager.as_str()).to_string();
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// The owners that an object records; none if what it records is malformed.
pub(crate) fn read(object: &Value) -> Vec<Owner> {
    json::items(object, "/metadata/managedFields")
        .iter()
        .filter_map(|entry| {
            let operation = match json::text(entry, "/operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            Some(Owner {
                manager: json::text(entry, "/manager").to_owned(),
                operation,
                api_version: json::text(entry, "/apiVersion").to_owned(),
                subresource: json::text(entry, "/subresource").to_owned(),
                time: json::text(entry, "/time").to_owned(),
                fields: FieldSet::from_json(entry.get("fieldsV1")?),
            })
        })
        .collect()
}

/// Records the owners in an object.
pub(crate) fn write(object: &mut Value, mut owners: Vec<Owner>) {
    owners.retain(|owner| !owner.fields.is_empty());
    if owners.is_empty() {
        json::take(object, &["metadata", "managedFields"]);
        return;
    }
    owners.sort_by(|a, b| {
        (a.operation, &a.time, &a.manager, &a.api_version, &a.subresource).cmp(&(
            b.operation,
            &b.time,
            &b.manager,
            &b.api_version,
            &b.subresource,
        ))
    });
    let entries: Vec<Value> = owners
        .into_iter()
        .map(|owner| {
            let mut entry = json!({
                "manager": owner.manager,
                "operation": match owner.operation {
                    Operation::Apply => "Apply",
                    Operation::Update => "Update",
                },
                "apiVersion": owner.api_version,
                "time": owner.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": owner.fields.into_json(),
            });
            if !owner.subresource.is_empty() {
                json::put(&mut entry, &["subresource"], owner.subresource.as_str());
            }
            entry
        })
        .collect();
    json::put(object, &["metadata", "managedFields"], entries);
}
