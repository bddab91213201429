//! How things are in a namespace, for who looks at a deployment: containers,
//! events, and the last lines of the containers that fail. A handful of requests
//! whatever is there, so that it can be kept of every deployment.

use std::collections::BTreeSet;
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{ObjectRef, Snapshot};
use serde_json::Value;

use crate::client::Session;
use crate::discovery::Resource;
use crate::events;
use crate::faults::{self, Doing};
use crate::fields::{holds, items, name, text_or_empty};
use crate::request::{Ask, with_query};
use crate::trouble;

/// Of all pods together; more than a person reads.
const CONTAINERS: usize = 100;

/// Pods and events that are asked for: those of the largest namespaces that one
/// application has.
const PODS: &str = "500";
const EVENTS: &str = "500";

/// Each request is tried again for so long: this is asked while somebody waits.
const BUDGET: Duration = Duration::from_secs(3);

impl Session {
    /// See [`Cluster::snapshot`](deployd_core::ports::Cluster::snapshot).
    pub(crate) async fn snapshot(
        &self,
        namespace: &str,
        objects: &[ObjectRef],
    ) -> Result<Snapshot, Fault> {
        let names: BTreeSet<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        let list = async |resource: Resource, limit: &str| {
            let path = with_query(&resource.path(Some(namespace)), &[("limit", limit)]);
            let listed = self.ask_within(&Ask::get(path), BUDGET).await;
            let doing = Doing { cluster: &self.cluster, verb: "list", object: None };
            let answer: Value = listed.map_err(|failure| faults::fault(&failure, doing))?.body;
            Ok::<Vec<Value>, Fault>(items(&answer, "/items").to_vec())
        };
        let (pods, events) = tokio::try_join!(
            list(Resource::core("Pod", "pods"), PODS),
            list(Resource::core("Event", "events"), EVENTS),
        )?;
        let mut pods: Vec<Value> =
            pods.into_iter().filter(|pod| is_of(name(pod), &names)).collect();
        // Those that ail first.
        pods.sort_by_key(|pod| (holds(pod, "Ready"), name(pod).to_owned()));
        let events: Vec<Value> = events
            .into_iter()
            .filter(|event| is_of(text_or_empty(event, "/involvedObject/name"), &names))
            .collect();
        let containers = pods.iter().flat_map(trouble::container_lines).take(CONTAINERS).collect();
        let logs = self.telling_logs(namespace, &pods).await;
        Ok(Snapshot { containers, events: events::lines(&events), logs })
    }
}

/// Whether a name is that of one of the objects, or of what a controller has
/// made of it: `frontend`, `frontend-6d4cf56db6`, `frontend-6d4cf56db6-x2x7k`.
fn is_of(found: &str, names: &BTreeSet<&str>) -> bool {
    let mut rest = found;
    loop {
        if names.contains(rest) {
            return true;
        }
        match rest.rsplit_once('-') {
            Some((shorter, _)) => rest = shorter,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controllers_make_is_of_their_objects() {
        let names = BTreeSet::from(["web", "cart-api"]);
        for found in ["web", "web-6d4cf56db6", "web-6d4cf56db6-x2x7k", "cart-api-0"] {
            assert!(is_of(found, &names), "{found}");
        }
        for found in ["webs-1", "cart-0", "other", ""] {
            assert!(!is_of(found, &names), "{found}");
        }
    }
}
