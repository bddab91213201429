//! Replacing and patching objects.

use std::borrow::Cow;

use serde_json::Value;

use super::prepare::{decoded, defaulted_and_valid, has_generation};
use super::{WriteOptions, Written, full};
use crate::admission;
use crate::apply;
use crate::cluster::Cluster;
use crate::json;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult, Cause};
use crate::storage::{Key, Store};

/// Fields of metadata that no client changes.
const FIXED: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// What is to be changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The resource.
    pub(crate) resource: &'a Resource,
    /// The namespace, empty for cluster-scoped objects.
    pub(crate) namespace: &'a str,
    /// The name.
    pub(crate) name: &'a str,
    /// The subresource, empty for the object itself.
    pub(crate) subresource: &'a str,
    /// A whole object was sent, not a patch.
    pub(crate) is_put: bool,
}

impl Cluster {
    /// Changes an object by a function of its present state.
    pub(crate) fn update(
        &self,
        at: Change<'_>,
        options: &WriteOptions,
        change: impl FnOnce(&Value) -> ApiResult<Value>,
    ) -> ApiResult<Written> {
        self.write(|store| {
            let old = store
                .get(&at.resource.storage, at.namespace, at.name)
                .ok_or_else(|| ApiError::not_found(at.resource.named(), at.name))?;
            let old = as_version(&old, at.resource);
            let new = change(&old)?;
            update_in(self, store, at, &old, new, options, false)
        })
    }
}

/// The object in the version of its resource.
pub(super) fn as_version<'a>(object: &'a Value, resource: &Resource) -> Cow<'a, Value> {
    let version = resource.api_version();
    if json::text(object, "/apiVersion") == version {
        return Cow::Borrowed(object);
    }
    let mut object = object.clone();
    json::put(&mut object, &["apiVersion"], version);
    Cow::Owned(object)
}

/// Replaces an object in the store.
pub(super) fn update_in(
    cluster: &Cluster,
    store: &mut Store,
    at: Change<'_>,
    old: &Value,
    mut new: Value,
    options: &WriteOptions,
    tracked: bool,
) -> ApiResult<Written> {
    let resource = at.resource;
    let mut warnings = Vec::new();
    if at.is_put {
        same_object(&new, at)?;
    }
    decoded(&mut new, resource, options, &mut warnings)?;
    if !at.is_put {
        same_object(&new, at)?;
    }
    preconditions(&new, old, at)?;
    carry_over(&mut new, old, at);
    admission::carry_over(cluster, store, resource, &mut new, old)?;
    if at.subresource.is_empty() {
        new_finalizers(&new, old, resource)?;
        defaulted_and_valid(&mut new, Some(old), resource)?;
        admission::quota_update(store, resource, &new, old)?;
    }
    if has_generation(resource)
        && matches!(at.subresource, "" | "scale")
        && !wants_the_same(&new, old)
    {
        let generation = json::int(old, "/metadata/generation").unwrap_or_default() + 1;
        json::put(&mut new, &["metadata", "generation"], generation);
    }
    if !tracked {
        let api_version = resource.api_version();
        let now = crate::time::now();
        let writer = options.writer(resource, &api_version, at.subresource, &now);
        apply::track(old, &mut new, &resource.ty, writer);
    }
    let version = old.pointer("/metadata/resourceVersion").cloned();
    json::put(&mut new, &["metadata", "resourceVersion"], version.unwrap_or(Value::Null));
    if new == *old || options.dry_run {
        return Ok(Written { object: new.into(), created: false, warnings });
    }
    let key = Key::new(&resource.storage, at.namespace, at.name);
    let object = if is_finished(&new) {
        let stored = store.put(key.clone(), new).map_err(|_| full())?;
        store.remove(&key).unwrap_or(stored)
    } else {
        store.put(key, new).map_err(|_| full())?
    };
    Ok(Written { object, created: false, warnings })
}

/// Whether a deletion that was held up can be finished.
pub(super) fn is_finished(object: &Value) -> bool {
    json::is_deleting(object)
        && json::items(object, "/metadata/finalizers").is_empty()
        && json::int(object, "/metadata/deletionGracePeriodSeconds").unwrap_or_default() == 0
        && (json::text(object, "/kind") != "Namespace"
            || json::items(object, "/spec/finalizers").is_empty())
}

/// The object of the body must be the one of the path.
fn same_object(new: &Value, at: Change<'_>) -> ApiResult<()> {
    let name = json::name(new);
    if name.is_empty() {
        return Err(ApiError::bad_request("name must be provided"));
    }
    if name != at.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            at.name
        )));
    }
    let namespace = json::namespace(new);
    if !namespace.is_empty() && namespace != at.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn preconditions(new: &Value, old: &Value, at: Change<'_>) -> ApiResult<()> {
    let named = at.resource.named();
    let uid = json::uid(new);
    if !uid.is_empty() && uid != json::uid(old) {
        return Err(ApiError::conflict(
            named,
            at.name,
            &format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                json::uid(old)
            ),
        ));
    }
    let version = json::text(new, "/metadata/resourceVersion");
    if version.is_empty() || version == "0" {
        if at.is_put && !at.resource.builtin {
            let cause = Cause::invalid_whole(
                "metadata.resourceVersion",
                "",
                "must be specified for an update",
            );
            let cause = Cause {
                message: "Invalid value: 0x0: must be specified for an update".to_owned(),
                ..cause
            };
            return Err(ApiError::invalid(named, at.name, &[cause]));
        }
    } else if version != json::text(old, "/metadata/resourceVersion") {
        if version.parse::<u64>().is_err() {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &Value::from(version),
                "must be an integer",
            );
            return Err(ApiError::invalid(named, at.name, &[cause]));
        }
        return Err(ApiError::modified(named, at.name));
    }
    Ok(())
}

/// Puts back what a write through this door does not change.
fn carry_over(new: &mut Value, old: &Value, at: Change<'_>) {
    let is_status = at.subresource == "status";
    if !at.subresource.is_empty() {
        let owners = new.pointer("/metadata/managedFields").cloned();
        let status = new.get("status").cloned();
        let spec = new.get("spec").cloned();
        *new = old.clone();
        if let Some(owners) = owners {
            json::put(new, &["metadata", "managedFields"], owners);
        }
        if is_status {
            set_or_take(new, "status", status);
        } else if let Some(spec) = spec {
            json::put(new, &["spec"], spec);
        }
        return;
    }
    for field in FIXED {
        match old.get("metadata").and_then(|metadata| metadata.get(field)) {
            Some(value) => json::put(new, &["metadata", field], value.clone()),
            None => {
                json::take(new, &["metadata", field]);
            }
        }
    }
    if at.resource.has("status") {
        set_or_take(new, "status", old.get("status").cloned());
    }
}

fn set_or_take(object: &mut Value, field: &str, value: Option<Value>) {
    match value {
        Some(value) => json::put(object, &[field], value),
        None => {
            json::take(object, &[field]);
        }
    }
}

fn new_finalizers(new: &Value, old: &Value, resource: &Resource) -> ApiResult<()> {
    if !json::is_deleting(old) {
        return Ok(());
    }
    let before = json::items(old, "/metadata/finalizers");
    let added: Vec<String> = json::items(new, "/metadata/finalizers")
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(Value::to_string)
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let cause = Cause::forbidden(
        "metadata.finalizers",
        &format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        ),
    );
    Err(ApiError::invalid(resource.named(), json::name(old), &[cause]))
}

/// Whether two objects are the same in the part that a generation stands for.
fn wants_the_same(one: &Value, other: &Value) -> bool {
    desired(one).eq(desired(other))
}

fn desired(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status"))
}
