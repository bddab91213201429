//! Deleting objects: grace, finalizers, propagation.

use std::sync::Arc;

use serde_json::{Value, json};

use super::update::is_finished;
use super::{full, prepare};
use crate::cluster::Cluster;
use crate::json;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult, Cause};
use crate::storage::{Key, Store};

/// The finalizer that waits for dependents to be deleted.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that waits for dependents to be let go.
pub(crate) const ORPHAN: &str = "orphan";

/// Namespaces that stay.
const KEPT_NAMESPACES: [&str; 3] = ["default", "kube-public", "kube-system"];

/// How a deletion is meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    /// Seconds a pod gets to stop.
    pub(crate) grace: Option<i64>,
    /// `Background`, `Foreground` or `Orphan`.
    pub(crate) propagation: String,
    /// Only this very object.
    pub(crate) uid: Option<String>,
    /// Only this state of it.
    pub(crate) version: Option<String>,
    /// Do everything but delete.
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// Reads a `DeleteOptions` object.
    pub(crate) fn read(body: &Value) -> ApiResult<Self> {
        let propagation = json::text(body, "/propagationPolicy").to_owned();
        let text = |pointer: &str| body.pointer(pointer)?.as_str().map(str::to_owned);
        let found = Self {
            grace: json::int(body, "/gracePeriodSeconds"),
            propagation,
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
            dry_run: json::items(body, "/dryRun").iter().any(|v| v == "All"),
        };
        found.check()?;
        Ok(found)
    }

    /// Refuses a policy that there is not.
    pub(crate) fn check(&self) -> ApiResult<()> {
        let known = ["", "Background", "Foreground", "Orphan"];
        if known.contains(&self.propagation.as_str()) {
            return Ok(());
        }
        let cause = Cause::unsupported(
            "propagationPolicy",
            &Value::from(self.propagation.as_str()),
            &["Background", "Foreground", "Orphan"],
        );
        let named = crate::status::Named {
            group: "meta.k8s.io",
            resource: "deleteoptions",
            kind: "DeleteOptions",
        };
        Err(ApiError::invalid(named, "", &[cause]))
    }
}

/// What a deletion came to.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone; this was its last state.
    Gone(Arc<Value>),
    /// The object waits for its grace or its finalizers.
    Waiting(Arc<Value>),
}

impl Cluster {
    /// Deletes an object.
    pub(crate) fn delete(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> ApiResult<Deleted> {
        self.write(|store| delete_in(store, resource, namespace, name, options))
    }
}

fn delete_in(
    store: &mut Store,
    resource: &Resource,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
) -> ApiResult<Deleted> {
    let old = store
        .get(&resource.storage, namespace, name)
        .ok_or_else(|| ApiError::not_found(resource.named(), name))?;
    preconditions(&old, resource, options)?;
    if resource.kind == "Namespace" && KEPT_NAMESPACES.contains(&name) {
        return Err(ApiError::forbidden(
            resource.named(),
            name,
            "this namespace may not be deleted",
        ));
    }
    let mut new = (*old).clone();
    let grace = grace(&old, resource, options);
    finalizers(&mut new, resource, &options.propagation);
    if json::is_deleting(&old) {
        let left = json::int(&old, "/metadata/deletionGracePeriodSeconds").unwrap_or_default();
        if grace >= left && new == *old {
            return Ok(Deleted::Waiting(old));
        }
        json::put(&mut new, &["metadata", "deletionGracePeriodSeconds"], grace.min(left));
    } else {
        json::put(&mut new, &["metadata", "deletionTimestamp"], time_after(grace));
        json::put(&mut new, &["metadata", "deletionGracePeriodSeconds"], grace);
        if prepare::has_generation(resource) {
            let generation = json::int(&old, "/metadata/generation").unwrap_or_default() + 1;
            json::put(&mut new, &["metadata", "generation"], generation);
        }
        if resource.kind == "Namespace" {
            json::put(&mut new, &["status", "phase"], "Terminating");
        }
    }
    let is_gone = is_finished(&new);
    if options.dry_run {
        let new = Arc::new(new);
        return Ok(if is_gone { Deleted::Gone(new) } else { Deleted::Waiting(new) });
    }
    let key = Key::new(&resource.storage, namespace, name);
    if is_gone {
        return Ok(Deleted::Gone(store.remove(&key).unwrap_or(old)));
    }
    Ok(Deleted::Waiting(store.put(key, new).map_err(|_| full())?))
}

fn preconditions(old: &Value, resource: &Resource, options: &DeleteOptions) -> ApiResult<()> {
    let refuse = |what: &str, wanted: &str, found: &str| {
        Err(ApiError::conflict(
            resource.named(),
            json::name(old),
            &format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            ),
        ))
    };
    if let Some(uid) = options.uid.as_deref()
        && uid != json::uid(old)
    {
        return refuse("UID", uid, json::uid(old));
    }
    let version = json::text(old, "/metadata/resourceVersion");
    match options.version.as_deref() {
        Some(wanted) if wanted != version => refuse("ResourceVersion", wanted, version),
        _ => Ok(()),
    }
}

/// How long the object may linger: only pods on a node take their time.
fn grace(old: &Value, resource: &Resource, options: &DeleteOptions) -> i64 {
    let is_running = resource.kind == "Pod"
        && !json::text(old, "/spec/nodeName").is_empty()
        && !matches!(json::text(old, "/status/phase"), "Succeeded" | "Failed");
    if !is_running {
        return 0;
    }
    let own = json::int(old, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    options.grace.unwrap_or(own).max(0)
}

fn finalizers(new: &mut Value, resource: &Resource, propagation: &str) {
    let (add, remove): (Option<&str>, &[&str]) = match propagation {
        "Foreground" => (Some(FOREGROUND), &[ORPHAN]),
        "Orphan" => (Some(ORPHAN), &[FOREGROUND]),
        "Background" => (None, &[ORPHAN, FOREGROUND]),
        _ => return,
    };
    if resource.kind == "Namespace" {
        return;
    }
    let mut all = json::items(new, "/metadata/finalizers").to_vec();
    all.retain(|finalizer| !remove.iter().any(|gone| finalizer == gone));
    if let Some(add) = add
        && !all.iter().any(|finalizer| finalizer == add)
    {
        all.push(json!(add));
    }
    if all.is_empty() {
        json::take(new, &["metadata", "finalizers"]);
    } else {
        json::put(new, &["metadata", "finalizers"], all);
    }
}

fn time_after(seconds: i64) -> String {
    let now = jiff::Timestamp::now();
    let then = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
