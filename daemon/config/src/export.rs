//! Values as YAML, for people and for `kubectl apply`.

use serde_json::Value;

/// Why a value can't be written. No value of JSON is known that can't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't be written as YAML: {0}")]
pub struct ExportError(String);

/// Lines are not folded: a diff of manifests should show what has changed, not
/// where a line was broken.
const FOLD_CHARS: usize = usize::MAX;

/// A value as YAML. Strings that a reader of YAML 1.1 or 1.2 could take for
/// something else are in quotes.
pub fn to_yaml(value: &Value) -> Result<String, ExportError> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: FOLD_CHARS };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|error| ExportError(error.to_string()))
}

/// Values as a stream of YAML documents.
pub fn to_yaml_documents(values: &[Value]) -> Result<String, ExportError> {
    let mut text = String::new();
    for value in values {
        text.push_str("---\n");
        text.push_str(&to_yaml(value)?);
    }
    Ok(text)
}
