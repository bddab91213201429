//! The annotation of client-side apply, for objects that move from it to
//! server-side apply: kubectl may change what it applied itself before.

use serde_json::Value;

use super::Writer;
use super::fieldset::FieldSet;
use super::walk;
use crate::json;
use crate::schema::Type;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The only manager that this is for.
const KUBECTL: &str = "kubectl";

fn recorded(object: &Value) -> Option<&str> {
    json::object(object, "/metadata/annotations")?.get(ANNOTATION)?.as_str()
}

/// The fields that kubectl last applied from its side, which it may take over.
pub(super) fn fields(live: &Value, ty: &Type, writer: Writer<'_>) -> FieldSet {
    if writer.manager != KUBECTL {
        return FieldSet::default();
    }
    recorded(live)
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .map(|config| walk::fields_of(&config, ty))
        .unwrap_or_default()
}

/// Brings the annotation up to date where there is one, so that a later
/// client-side apply begins from what was applied now.
pub(super) fn renew(live: &Value, merged: &mut Value, config: &Value, writer: Writer<'_>) {
    if writer.manager != KUBECTL || !writer.subresource.is_empty() || recorded(live).is_none() {
        return;
    }
    let mut config = config.clone();
    json::take(&mut config, &["metadata", "annotations", ANNOTATION]);
    json::put(merged, &["metadata", "annotations", ANNOTATION], format!("{config}\n"));
}
