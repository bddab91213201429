//! Which form of an object a client wants.

use serde_json::{Value, json};

use crate::status::{ApiError, ApiResult};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object itself.
    Whole,
    /// Only its metadata.
    Metadata,
    /// A table of lists, as `kubectl get` prints.
    Table,
    /// Discovery of everything at once.
    Discovery,
}

/// Reads an `Accept` header; the first form that is known is taken.
pub(crate) fn form(accept: &str) -> ApiResult<Form> {
    if accept.trim().is_empty() {
        return Ok(Form::Whole);
    }
    for choice in accept.split(',') {
        let mut parts = choice.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if !matches!(media, "application/json" | "application/*" | "*/*") {
            continue;
        }
        let mut of = (String::new(), String::new(), String::new());
        for part in parts {
            match part.split_once('=') {
                Some(("as", value)) => value.clone_into(&mut of.0),
                Some(("g", value)) => value.clone_into(&mut of.1),
                Some(("v", value)) => value.clone_into(&mut of.2),
                _ => {}
            }
        }
        match (of.0.as_str(), of.1.as_str(), of.2.as_str()) {
            ("", ..) => return Ok(Form::Whole),
            ("Table", "meta.k8s.io", "v1") => return Ok(Form::Table),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
                return Ok(Form::Metadata);
            }
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => return Ok(Form::Discovery),
            _ => {}
        }
    }
    Err(ApiError::not_acceptable())
}

/// An object reduced to its metadata.
pub(crate) fn metadata_of(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_default(),
    })
}
