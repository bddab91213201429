//! Between the JSON documents of the contracts and a plugin's own types.

use crate::{Fault, FieldFault};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Reads a document; `name` is what the fault's path starts with.
pub(crate) fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Fault> {
    // Every call does this: documents that fit are read once, and only those that
    // do not a second time, for the place.
    if let Ok(fitting) = serde_json::from_str(text) {
        return Ok(fitting);
    }
    let value = serde_json::from_str(text)
        .map_err(|error| Fault::invalid(format!("/{name}"), format!("not JSON: {error}")))?;
    fit(name, value)
}

/// Fits a document to a type. What does not fit becomes [`Fault::Invalid`] with
/// the JSON pointer of the place, `/name/…`.
pub fn fit<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        Fault::Invalid(vec![FieldFault {
            path: format!("/{name}{}", pointer(error.path())),
            message: error.inner().to_string(),
        }])
    })
}

/// Writes a document. A type that has no JSON form is a bug of the plugin, but
/// no reason to trap.
// Without any kind, nothing is written.
#[cfg_attr(
    not(any(
        feature = "driver",
        feature = "notifier",
        feature = "strategy",
        feature = "templater"
    )),
    allow(dead_code)
)]
pub(crate) fn write<T: Serialize>(name: &str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| Fault::permanent(format!("{name} can't be written as JSON: {error}")))
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&escape(key));
            }
            // An enum's variant is no place in the document.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// A key as one step of a JSON pointer (RFC 6901).
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Shape {
        ports: BTreeMap<String, Vec<u16>>,
    }

    #[test]
    fn a_misfit_is_named_by_its_json_pointer() {
        let fault = read::<Shape>("inputs", r#"{"ports": {"a/b": [1, "x"]}}"#).unwrap_err();
        let Fault::Invalid(fields) = fault else { panic!("{fault}") };
        assert_eq!(fields[0].path, "/inputs/ports/a~1b/1");
        assert!(fields[0].message.contains("expected u16"), "{fields:?}");
    }

    #[test]
    fn text_that_is_not_json_is_invalid() {
        let fault = read::<Shape>("params", "{").unwrap_err();
        assert!(matches!(fault, Fault::Invalid(fields) if fields[0].path == "/params"));
    }
}
