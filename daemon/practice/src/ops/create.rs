//! Creating objects.

use serde_json::{Value, json};

use super::prepare::{decoded, defaulted_and_valid, has_generation};
use super::{WriteOptions, Written, full};
use crate::admission;
use crate::apply;
use crate::cluster::Cluster;
use crate::defaults;
use crate::json;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult};
use crate::storage::{Key, Store};

/// The longest name that a generated suffix is put behind.
const LONGEST_PREFIX: usize = 58;

impl Cluster {
    /// Creates an object.
    pub(crate) fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        object: Value,
        options: &WriteOptions,
    ) -> ApiResult<Written> {
        self.write(|store| create_in(self, store, resource, namespace, object, options, false))
    }
}

/// Creates an object in the store. `tracked` says that the owners of its
/// fields are recorded already, as an apply does.
pub(super) fn create_in(
    cluster: &Cluster,
    store: &mut Store,
    resource: &Resource,
    namespace: &str,
    mut object: Value,
    options: &WriteOptions,
    tracked: bool,
) -> ApiResult<Written> {
    let mut warnings = Vec::new();
    decoded(&mut object, resource, options, &mut warnings)?;
    named(&mut object, store, resource, namespace)?;
    let name = json::name(&object).to_owned();
    if resource.namespaced {
        admission::namespace(store, resource, namespace, &name)?;
    }
    if store.get(&resource.storage, namespace, &name).is_some() {
        return Err(ApiError::already_exists(resource.named(), &name));
    }
    let now = crate::time::now();
    let generated = json::take(&mut object, &["metadata", "managedFields"]);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        json::take(&mut object, &["metadata", field]);
    }
    if !json::text(&object, "/metadata/resourceVersion").is_empty() {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    json::take(&mut object, &["metadata", "resourceVersion"]);
    json::put(&mut object, &["metadata", "uid"], crate::random::uid());
    json::put(&mut object, &["metadata", "creationTimestamp"], now.as_str());
    if has_generation(resource) {
        json::put(&mut object, &["metadata", "generation"], 1);
    }
    // The cluster's own nodes come with their status.
    if resource.has("status") && resource.kind != "Node" {
        json::take(&mut object, &["status"]);
    }
    // Owners are recorded of what was sent and defaulted; what admission and
    // allocation add belongs to nobody.
    let owners = if tracked {
        generated
    } else {
        let mut sent = object.clone();
        defaults::fill(&mut sent, resource);
        let api_version = resource.api_version();
        let writer = options.writer(resource, &api_version, "", &now);
        apply::track(&Value::Null, &mut sent, &resource.ty, writer);
        sent.pointer("/metadata/managedFields").cloned()
    };
    admission::prepare(cluster, store, resource, &mut object)?;
    defaulted_and_valid(&mut object, None, resource)?;
    admission::quota(store, resource, &object)?;
    if let Some(owners) = owners {
        json::put(&mut object, &["metadata", "managedFields"], owners);
    }
    if options.dry_run {
        return Ok(Written { object: object.into(), created: true, warnings });
    }
    let key = Key::new(&resource.storage, namespace, &name);
    let object = store.put(key, object).map_err(|_| full())?;
    admission::after_create(store, resource, &object);
    Ok(Written { object, created: true, warnings })
}

/// Sees to the name and the namespace.
fn named(object: &mut Value, store: &Store, resource: &Resource, namespace: &str) -> ApiResult<()> {
    let said = json::namespace(object).to_owned();
    if resource.namespaced {
        if !said.is_empty() && said != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        json::put(object, &["metadata", "namespace"], namespace);
    } else {
        json::take(object, &["metadata", "namespace"]);
    }
    let prefix = json::text(object, "/metadata/generateName").to_owned();
    if json::name(object).is_empty() && !prefix.is_empty() {
        let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
        // A collision is refused on a real server too, after a few tries.
        let name = (0..8)
            .map(|_| format!("{prefix}{}", crate::random::suffix()))
            .find(|name| store.get(&resource.storage, namespace, name).is_none())
            .unwrap_or_default();
        *json::slot(object, &["metadata", "name"]) = json!(name);
    }
    Ok(())
}
