//! What the cluster's gateway says about its class, its Gateways and their routes.

use serde_json::{Value, json};

use super::{Again, set_condition};
use crate::cluster::Cluster;
use crate::gateway_api::{
    CLASSES, CONTROLLER, GATEWAYS, HTTP_ROUTES, Parent, Refusal, is_ours, unresolved,
};
use crate::json::{self, items, text};
use crate::storage::Key;

const MANAGER: &str = "practice-gateway";

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let object = cluster.get(&key.resource, &key.namespace, &key.name)?;
    match &*key.resource {
        CLASSES if text(&object, "/spec/controllerName") == CONTROLLER => {
            cluster.set_status(MANAGER, key, |status| {
                say(status, &object, "Accepted", None, "Accepted");
            });
        }
        GATEWAYS if is_ours(cluster, &object) => gateway(cluster, key, &object),
        HTTP_ROUTES => route(cluster, key, &object),
        _ => {}
    }
    None
}

/// Sets a condition that holds unless there is a reason why not.
fn say(
    status: &mut Value,
    object: &Value,
    kind: &str,
    refusal: Option<(&str, &str)>,
    reason: &str,
) {
    let (value, reason, message) = match refusal {
        Some((reason, message)) => ("False", reason, message),
        None => ("True", reason, ""),
    };
    set_condition(status, kind, value, reason, message);
    let generation = object.pointer("/metadata/generation").cloned().unwrap_or_default();
    for condition in json::list_mut(status, &["conditions"]).into_iter().flatten() {
        if text(condition, "/type") == kind {
            json::put(condition, &["observedGeneration"], generation.clone());
            // The API asks for one, be it empty.
            json::put_default(condition, &["message"], "");
        }
    }
}

fn gateway(cluster: &Cluster, key: &Key, object: &Value) {
    let Some(address) = cluster.gateway.get() else { return };
    let routes = cluster.list(HTTP_ROUTES, "");
    let takes = |listener: &Value, route: &Value| {
        items(route, "/spec/parentRefs").iter().any(|reference| {
            let Some(parent) = Parent::of(cluster, route, reference) else { return false };
            let is_taken = || {
                parent.listeners().is_ok_and(|all| {
                    all.iter().any(|it| text(it, "/name") == text(listener, "/name"))
                })
            };
            parent.is(key) && is_taken()
        })
    };
    // What is asked of the store is asked before it is written to.
    let attached: Vec<usize> = items(object, "/spec/listeners")
        .iter()
        .map(|listener| routes.iter().filter(|route| takes(listener, route)).count())
        .collect();
    cluster.set_status(MANAGER, key, |status| {
        let place = json!([{"type": "IPAddress", "value": address.ip().to_string()}]);
        json::put(status, &["addresses"], place);
        say(status, object, "Accepted", None, "Accepted");
        say(status, object, "Programmed", None, "Programmed");
        let before = items(status, "/listeners").to_vec();
        let listeners: Vec<Value> = items(object, "/spec/listeners")
            .iter()
            .zip(attached)
            .map(|(listener, attached)| {
                let name = text(listener, "/name");
                let mut found = before
                    .iter()
                    .find(|it| text(it, "/name") == name)
                    .cloned()
                    .unwrap_or_else(|| json!({"name": name}));
                json::put(&mut found, &["attachedRoutes"], attached);
                let kinds = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}]);
                json::put(&mut found, &["supportedKinds"], kinds);
                for kind in ["Accepted", "Programmed", "ResolvedRefs"] {
                    say(&mut found, object, kind, None, kind);
                }
                found
            })
            .collect();
        json::put(status, &["listeners"], listeners);
    });
}

fn route(cluster: &Cluster, key: &Key, object: &Value) {
    let missing = items(object, "/spec/rules")
        .iter()
        .flat_map(|rule| items(rule, "/backendRefs"))
        .find_map(|backend| unresolved(cluster, object, backend));
    let taken: Vec<(&Value, Option<Refusal>)> = items(object, "/spec/parentRefs")
        .iter()
        .filter_map(|reference| {
            let parent = Parent::of(cluster, object, reference)?;
            Some((reference, parent.listeners().err()))
        })
        .collect();
    cluster.set_status(MANAGER, key, |status| {
        let before = items(status, "/parents").to_vec();
        let is_own = |it: &&Value| text(it, "/controllerName") == CONTROLLER;
        // What other controllers say stays.
        let mut parents: Vec<Value> = before.iter().filter(|it| !is_own(it)).cloned().collect();
        for (reference, refusal) in &taken {
            let mut found = before
                .iter()
                .filter(is_own)
                .find(|it| it.get("parentRef") == Some(*reference))
                .cloned()
                .unwrap_or_else(|| json!({"parentRef": reference, "controllerName": CONTROLLER}));
            let refusal = refusal.as_ref().map(|(reason, why)| (*reason, why.as_str()));
            say(&mut found, object, "Accepted", refusal, "Accepted");
            let missing = missing.as_ref().map(|(reason, why)| (*reason, why.as_str()));
            say(&mut found, object, "ResolvedRefs", missing, "ResolvedRefs");
            parents.push(found);
        }
        json::put(status, &["parents"], parents);
    });
}
