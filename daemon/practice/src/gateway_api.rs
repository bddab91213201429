//! The Gateway API, as far as the cluster's gateway knows it: Gateways of its class,
//! and HTTPRoutes.

mod definitions;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::controllers;
use crate::json::{self, items, text};
use crate::selectors::Labels;
use crate::storage::Key;

/// Where HTTPRoutes are stored.
pub(crate) const HTTP_ROUTES: &str = "httproutes.gateway.networking.k8s.io";

/// Where Gateways are stored.
pub(crate) const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";

/// Where their classes are stored.
pub(crate) const CLASSES: &str = "gatewayclasses.gateway.networking.k8s.io";

/// What the cluster's gateway is called by classes and in the status of routes.
pub(crate) const CONTROLLER: &str = "deployd.dev/practice-gateway";

const GROUP: &str = "gateway.networking.k8s.io";
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
const MANAGER: &str = "practice-gateway";

/// Installs the definitions, a class and a Gateway that takes routes of every
/// namespace: `practice` in the namespace `default`.
pub(crate) fn install(cluster: &Cluster) {
    for definition in definitions::all() {
        let key = Key::new(DEFINITIONS, "", json::name(&definition));
        cluster.ensure(MANAGER, DEFINITIONS, "", definition);
        controllers::establish(cluster, &key);
    }
    let version = format!("{GROUP}/v1");
    let class = json!({"apiVersion": version, "kind": "GatewayClass",
        "metadata": {"name": "practice"}, "spec": {"controllerName": CONTROLLER}});
    cluster.ensure(MANAGER, CLASSES, "", class);
    let gateway = json!({"apiVersion": version, "kind": "Gateway",
        "metadata": {"name": "practice"}, "spec": {"gatewayClassName": "practice", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP",
                "allowedRoutes": {"namespaces": {"from": "All"}}}]}});
    cluster.ensure(MANAGER, GATEWAYS, "default", gateway);
}

/// Whether a Gateway is for the cluster's gateway.
pub(crate) fn is_ours(cluster: &Cluster, gateway: &Value) -> bool {
    let class = cluster.get(CLASSES, "", text(gateway, "/spec/gatewayClassName"));
    class.is_some_and(|class| text(&class, "/spec/controllerName") == CONTROLLER)
}

/// A reason as conditions name it, and a sentence.
pub(crate) type Refusal = (&'static str, String);

/// A Gateway of ours that a route wants to be led by.
pub(crate) struct Parent<'a> {
    cluster: &'a Cluster,
    route: &'a Value,
    reference: &'a Value,
    gateway: Arc<Value>,
}

impl<'a> Parent<'a> {
    /// The parent that a reference names; none if it is nobody's or another's.
    pub(crate) fn of(cluster: &'a Cluster, route: &'a Value, reference: &'a Value) -> Option<Self> {
        let is_gateway = matches!(text(reference, "/kind"), "" | "Gateway")
            && matches!(text(reference, "/group"), "" | GROUP);
        let namespace = match text(reference, "/namespace") {
            "" => json::namespace(route),
            named => named,
        };
        let gateway = cluster.get(GATEWAYS, namespace, text(reference, "/name"))?;
        let is_ours = is_gateway && is_ours(cluster, &gateway);
        is_ours.then_some(Self { cluster, route, reference, gateway })
    }

    /// Whether it is this Gateway.
    pub(crate) fn is(&self, key: &Key) -> bool {
        (json::namespace(&self.gateway), json::name(&self.gateway)) == (&*key.namespace, &*key.name)
    }

    /// The listeners that take the route.
    pub(crate) fn listeners(&self) -> Result<Vec<&Value>, Refusal> {
        let (section, port) =
            (text(self.reference, "/sectionName"), json::int(self.reference, "/port"));
        let meant: Vec<&Value> = items(&self.gateway, "/spec/listeners")
            .iter()
            .filter(|it| section.is_empty() || text(it, "/name") == section)
            .filter(|it| port.is_none() || json::int(it, "/port") == port)
            .collect();
        let name = json::name(&self.gateway);
        if meant.is_empty() {
            let why = format!("The gateway {name} has no listener that the route names.");
            return Err(("NoMatchingParent", why));
        }
        let allowing: Vec<&Value> = meant.into_iter().filter(|it| self.is_allowed_by(it)).collect();
        if allowing.is_empty() {
            let namespace = json::namespace(self.route);
            let why = format!(
                "No listener of the gateway {name} takes routes of the namespace {namespace}."
            );
            return Err(("NotAllowedByListeners", why));
        }
        Ok(allowing)
    }

    fn is_allowed_by(&self, listener: &Value) -> bool {
        let namespace = json::namespace(self.route);
        match text(listener, "/allowedRoutes/namespaces/from") {
            "All" => true,
            "Selector" => {
                let selector = listener.pointer("/allowedRoutes/namespaces/selector");
                let selector = Labels::from_object(selector.unwrap_or(&Value::Null));
                self.cluster.get("namespaces", "", namespace).is_some_and(|it| selector.fits(&it))
            }
            _ => namespace == json::namespace(&self.gateway),
        }
    }
}

/// Why a backend leads nowhere.
pub(crate) fn unresolved(cluster: &Cluster, route: &Value, backend: &Value) -> Option<Refusal> {
    let (kind, name) = (text(backend, "/kind"), text(backend, "/name"));
    if !matches!(kind, "" | "Service") || !text(backend, "/group").is_empty() {
        return Some(("InvalidKind", format!("A backend is a Service, and not a {kind}.")));
    }
    let here = json::namespace(route);
    let namespace = text(backend, "/namespace");
    if !namespace.is_empty() && namespace != here {
        let why = format!("A backend in the namespace {namespace} needs a ReferenceGrant there.");
        return Some(("RefNotPermitted", why));
    }
    let is_there = cluster.get("services", here, name).is_some();
    (!is_there).then(|| ("BackendNotFound", format!("There is no service {here}/{name}.")))
}
