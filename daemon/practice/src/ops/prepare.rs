//! What creating and updating have in common: decoding, defaults, validation.

use serde_json::Value;

use super::{Unknown, WriteOptions};
use crate::defaults;
use crate::json;
use crate::resources::Resource;
use crate::schema::decode;
use crate::status::{ApiError, ApiResult};
use crate::validation;

/// Kinds whose objects count the changes of their spec.
const WITH_GENERATION: [&str; 13] = [
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Ingress",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "CustomResourceDefinition",
    "EndpointSlice",
    "ReplicationController",
    "Pod",
];

/// Checks what a client sent against the type, and drops what does not belong.
pub(super) fn decoded(
    object: &mut Value,
    resource: &Resource,
    options: &WriteOptions,
    warnings: &mut Vec<String>,
) -> ApiResult<()> {
    let kind = &resource.kind;
    if !object.is_object() {
        return Err(ApiError::bad_request(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            crate::schema::kind_of(object)
        )));
    }
    head(object, resource)?;
    let found = decode(object, &resource.ty);
    let prefix =
        format!("{kind} in version \"{}\" cannot be handled as a {kind}: ", resource.version);
    if let Some(first) = found.mismatches.first()
        && (resource.builtin || first.path.starts_with("metadata"))
    {
        let text = match (first.wanted, first.found) {
            ("[]uint8", "string") => "illegal base64 data at input byte 0".to_owned(),
            ("resource.Quantity", "string") => "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned(),
            (wanted, found) => format!(
                "json: cannot unmarshal {found} into Go struct field {} of type {wanted}",
                first.place
            ),
        };
        return Err(ApiError::bad_request(format!("{prefix}{text}")));
    }
    if !found.unknown.is_empty() {
        let told: Vec<String> =
            found.unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        match options.unknown {
            Unknown::Refuse => {
                return Err(ApiError::bad_request(format!(
                    "{prefix}strict decoding error: {}",
                    told.join(", ")
                )));
            }
            Unknown::Warn => warnings.extend(told),
            Unknown::Drop => {}
        }
    }
    Ok(())
}

/// Kind and version must be those of the path, where they are said at all.
fn head(object: &mut Value, resource: &Resource) -> ApiResult<()> {
    let wanted = resource.api_version();
    let (version, kind) =
        (json::text(object, "/apiVersion").to_owned(), json::text(object, "/kind").to_owned());
    if !kind.is_empty() && kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: converting ({version}, Kind={kind}) to ({wanted}, Kind={}): unknown conversion",
            version.rsplit('/').next().unwrap_or_default(),
            resource.kind,
            resource.kind,
        )));
    }
    if !version.is_empty() && version != wanted {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({wanted})"
        )));
    }
    json::put(object, &["apiVersion"], wanted);
    json::put(object, &["kind"], resource.kind.as_str());
    json::object_mut(object, &["metadata"]);
    Ok(())
}

/// Fills in defaults and refuses what is not valid.
pub(super) fn defaulted_and_valid(
    object: &mut Value,
    old: Option<&Value>,
    resource: &Resource,
) -> ApiResult<()> {
    defaults::fill(object, resource);
    let complaints = validation::complaints(object, old, resource);
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(resource.named(), json::name(object), &complaints))
    }
}

/// Whether an object counts the changes of its spec.
pub(super) fn has_generation(resource: &Resource) -> bool {
    !resource.builtin || WITH_GENERATION.contains(&resource.kind.as_str())
}
