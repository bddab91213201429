//! From a kind to the path that serves it: asked of the API server once per
//! group and version, kept, and asked anew when a kind is missing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::ObjectRef;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::Session;
use crate::failure::Failure;
use crate::faults::{self, Doing};
use crate::fields::{flag, items, text, text_or_empty};
use crate::request::{Ask, encoded};

/// Between looks for a kind that is about to be served: it takes the API
/// server about a second after the definition is established.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Groups kept per cluster. Clusters have a few dozen; a bound in case
/// manifests with made-up groups keep coming.
const GROUPS: usize = 512;

/// A kind as it is served.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

impl Resource {
    /// Of the core group, which is the same everywhere.
    pub(crate) fn core(kind: &str, plural: &str) -> Self {
        Self {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced: true,
        }
    }

    /// Of the group `apps`.
    pub(crate) fn apps(kind: &str, plural: &str) -> Self {
        Self { api_version: "apps/v1".to_owned(), ..Self::core(kind, plural) }
    }

    /// The path of the collection.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = version_path(&self.api_version);
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{}", encoded(namespace), self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// The path of one object.
    pub(crate) fn item(&self, object: &ObjectRef) -> String {
        format!("{}/{}", self.path(object.namespace.as_deref()), encoded(&object.name))
    }
}

fn version_path(api_version: &str) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let parts: Vec<String> = api_version.split('/').map(encoded).collect();
    format!("/{root}/{}", parts.join("/"))
}

/// What a cluster serves, as far as it was asked.
#[derive(Default)]
pub(crate) struct Kinds(Mutex<HashMap<String, Arc<Vec<Resource>>>>);

impl Kinds {
    fn find(&self, api_version: &str, kind: &str) -> Option<Resource> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.get(api_version)?.iter().find(|resource| resource.kind == kind).cloned()
    }

    fn keep(&self, api_version: &str, found: Vec<Resource>) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= GROUPS {
            kinds.clear();
        }
        kinds.insert(api_version.to_owned(), Arc::new(found));
    }

    /// Forgets what turned out to be out of date.
    pub(crate) fn forget(&self, api_version: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(api_version);
    }
}

impl Session {
    /// How a kind is served, or `None` when it isn't.
    pub(crate) async fn resource(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Resource>, Fault> {
        if let Some(known) = self.connection.kinds.find(api_version, kind) {
            return Ok(Some(known));
        }
        match self.ask(&Ask::get(version_path(api_version))).await {
            Ok(answer) => {
                self.connection.kinds.keep(api_version, resources(api_version, &answer.body));
                Ok(self.connection.kinds.find(api_version, kind))
            }
            Err(failure) if failure.is_not_found() => Ok(None),
            // An aggregated API whose server is down answers 503 for its own
            // group only: that is what the fault then says.
            Err(failure) => Err(self.discovery_fault(&failure, api_version)),
        }
    }

    /// How a kind is served; a fault when it isn't.
    pub(crate) async fn known_resource(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Resource, Fault> {
        match self.resource(api_version, kind).await? {
            Some(resource) => Ok(resource),
            None => Err(self.unknown_kind(api_version, kind)),
        }
    }

    /// How a kind is served that was defined a moment ago.
    pub(crate) async fn awaited_resource(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Resource, Fault> {
        let begun = Instant::now();
        loop {
            if let Some(resource) = self.resource(api_version, kind).await? {
                return Ok(resource);
            }
            if begun.elapsed() >= self.options.settle_timeout {
                return Err(self.unknown_kind(api_version, kind));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn discovery_fault(&self, failure: &Failure, api_version: &str) -> Fault {
        let mut fault = faults::fault(
            failure,
            Doing { cluster: &self.cluster, verb: "discover", object: None },
        );
        if failure.status().is_some() {
            fault.message = format!("{} (while looking up {api_version})", fault.message);
        }
        fault
    }

    fn unknown_kind(&self, api_version: &str, kind: &str) -> Fault {
        let install = match api_version.split_once('/') {
            Some((group, _)) if group.contains('.') && !group.ends_with(".k8s.io") => format!(
                "Install the custom resource definition of {group} (often an operator's chart), \
                 or put it into the same set of manifests."
            ),
            Some((group, _)) if group.ends_with("gateway.networking.k8s.io") => {
                "Install the Gateway API's custom resource definitions.".to_owned()
            }
            _ => "Check apiVersion and kind against the cluster's version \
                  (kubectl api-resources)."
                .to_owned(),
        };
        let cluster = &self.cluster;
        Fault::invalid(
            "unknown-kind",
            format!("Cluster {cluster} does not know {api_version}/{kind}. {install}"),
        )
        .with_detail(json!({ "cluster": &**cluster, "apiVersion": api_version, "kind": kind }))
    }
}

/// The resources of an `APIResourceList`, without subresources.
fn resources(api_version: &str, list: &Value) -> Vec<Resource> {
    items(list, "/resources")
        .iter()
        .filter(|resource| !text_or_empty(resource, "/name").contains('/'))
        .filter_map(|resource| {
            Some(Resource {
                api_version: api_version.to_owned(),
                kind: text(resource, "/kind")?.to_owned(),
                plural: text(resource, "/name")?.to_owned(),
                namespaced: flag(resource, "/namespaced"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let deployment = Resource::apps("Deployment", "deployments");
        let object = ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "a".into(),
        };
        assert_eq!(deployment.item(&object), "/apis/apps/v1/namespaces/shop/deployments/a");
        let namespace = Resource { namespaced: false, ..Resource::core("Namespace", "namespaces") };
        assert_eq!(namespace.path(Some("x")), "/api/v1/namespaces");
    }

    #[test]
    fn subresources_are_no_kinds() {
        let list = json!({"resources": [
            {"name": "pods", "kind": "Pod", "namespaced": true},
            {"name": "pods/log", "kind": "Pod", "namespaced": true},
        ]});
        let found = resources("v1", &list);
        assert_eq!(found, [Resource::core("Pod", "pods")]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_forgotten() {
        let kinds = Kinds::default();
        for index in 0..GROUPS + 1 {
            kinds.keep(&format!("g{index}/v1"), vec![]);
        }
        kinds.keep("v1", vec![Resource::core("Pod", "pods")]);
        assert!(kinds.find("v1", "Pod").is_some());
        assert!(kinds.0.lock().unwrap().len() <= GROUPS);
        kinds.forget("v1");
        assert!(kinds.find("v1", "Pod").is_none());
    }
}
