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

/// What the text begins with that stands for an output which is not there yet.
const KNOWN_LATER: &str = "(known after provisioning";

/// Whether a text has something in it that is known only later: an output of a
/// resource that is still to be made.
///
/// Before a first deployment, a plan is asked for when the resources that inputs
/// refer to are not there. In the place of their outputs stands
/// `(known after provisioning: resources.NAME.OUTPUT)`, alone or inside a longer
/// text. Such a text is no address and no name: a plan that meets one says what it
/// can, and asks no server. It stands in plans only.
/// [`Request::is_preview`](crate::driver::Request::is_preview) says it of all
/// that a request asks for.
pub fn is_known_later(text: &str) -> bool {
    text.contains(KNOWN_LATER)
}

/// Writes a document. A type that has no JSON form is a bug of the plugin, but
/// no reason to trap.
// Without any kind, nothing is written.
#[cfg_attr(
    not(any(
        feature = "driver",
        feature = "check",
        feature = "notifier",
        feature = "policy",
        feature = "receiver",
        feature = "strategy",
        feature = "teller",
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
    fn what_is_known_later_is_known_by_its_text() {
        let later = "(known after provisioning: resources.db.host)";
        assert!(is_known_later(later) && is_known_later(&format!("https://{later}:443/")));
        assert!(!is_known_later("db.example (known after a call)") && !is_known_later(""));
    }

    #[test]
    fn text_that_is_not_json_is_invalid() {
        let fault = read::<Shape>("params", "{").unwrap_err();
        assert!(matches!(fault, Fault::Invalid(fields) if fields[0].path == "/params"));
    }
}
