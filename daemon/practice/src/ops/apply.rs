//! Server-side apply.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::create::create_in;
use super::update::{as_version, update_in};
use super::{Change, WriteOptions, Written};
use crate::apply::{self, Refusal};
use crate::cluster::Cluster;
use crate::json;
use crate::status::{ApiError, ApiResult};

impl Cluster {
    /// Applies a configuration; an object that is not there is created.
    pub(crate) fn apply(
        &self,
        at: Change<'_>,
        mut config: Value,
        options: &WriteOptions,
    ) -> ApiResult<Written> {
        checked(&mut config, at)?;
        let api_version = at.resource.api_version();
        let now = crate::time::now();
        let writer = options.writer(at.resource, &api_version, at.subresource, &now);
        self.write(|store| {
            let old = store.get(&at.resource.storage, at.namespace, at.name);
            let live = match &old {
                Some(old) => as_version(old, at.resource),
                None if at.subresource.is_empty() => Cow::Owned(json!({})),
                None => return Err(ApiError::not_found(at.resource.named(), at.name)),
            };
            if old.is_none() && json::has(&config, "/metadata/uid") {
                return Err(ApiError::conflict(
                    at.resource.named(),
                    at.name,
                    &format!(
                        "uid mismatch: the provided object specified uid {}, and no existing object was found",
                        json::uid(&config)
                    ),
                ));
            }
            let merged = apply::apply(&live, config, &at.resource.ty, writer, options.force)
                .map_err(|refusal| refused(refusal, at))?;
            match old {
                Some(_) => update_in(self, store, at, &live, merged, options, true),
                None => {
                    create_in(self, store, at.resource, at.namespace, merged, options, true)
                }
            }
        })
    }
}

fn checked(config: &mut Value, at: Change<'_>) -> ApiResult<()> {
    let resource = at.resource;
    if !config.is_object() {
        return Err(ApiError::bad_request(
            "error decoding YAML: error unmarshaling JSON: the configuration is not an object",
        ));
    }
    if !json::items(config, "/metadata/managedFields").is_empty() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let (version, kind) = (json::text(config, "/apiVersion"), json::text(config, "/kind"));
    if kind.is_empty() || version.is_empty() {
        let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
        return Err(ApiError::bad_request(format!(
            "invalid object type: {missing} must be set in the configuration"
        )));
    }
    let wanted = resource.api_version();
    if kind != resource.kind || version != wanted {
        return Err(ApiError::bad_request(format!(
            "invalid object type: {version}, Kind={kind}; expected {wanted}, Kind={}",
            resource.kind
        )));
    }
    let name = json::name(config);
    if !name.is_empty() && name != at.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            at.name
        )));
    }
    let namespace = json::namespace(config);
    if !namespace.is_empty() && namespace != at.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    json::put(config, &["metadata", "name"], at.name);
    if resource.namespaced {
        json::put(config, &["metadata", "namespace"], at.namespace);
    }
    // Times an author's tool left behind, as nulls mostly.
    json::take(config, &["metadata", "creationTimestamp"]);
    Ok(())
}

fn refused(refusal: Refusal, at: Change<'_>) -> ApiError {
    match refusal {
        Refusal::Malformed(message) => ApiError::unclassified(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): {message}",
            at.namespace,
            at.name,
            at.resource.api_version(),
            at.resource.kind
        )),
        Refusal::Conflicts { message, causes } => ApiError::apply_conflict(message, &causes),
    }
}
