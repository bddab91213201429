//! Random shops of two versions: workloads that need each other, with and without
//! routes, of a few replicas.

use std::collections::BTreeMap;

use deployd_core::artifact::Artifact;
use deployd_core::config::{Document, DocumentKind};
use serde_json::{Value, json};

use crate::documents::{self, document, plugin};
use crate::fakes::environment::Chance;

/// Each may need those before it.
const NAMES: [&str; 3] = ["backend", "frontend", "worker"];

/// A workload of a version.
#[derive(Debug, Clone)]
pub struct Workload {
    pub name: &'static str,
    pub replicas: u32,
    /// The version of its image.
    pub image: &'static str,
    /// Whether a route leads to it.
    routed: bool,
    needs: Vec<&'static str>,
}

/// A version of a shop.
#[derive(Debug, Clone)]
pub struct Shop {
    pub workloads: Vec<Workload>,
    /// Whether there is one route for all, which is nobody's.
    one_route: bool,
}

impl Workload {
    pub fn artifact(&self) -> Artifact {
        documents::artifact(self.name, self.image)
    }
}

/// The version that runs, and the one that is rolled out.
pub fn random(chance: &mut Chance) -> (Shop, Shop) {
    let count = 1 + chance.below(3) as usize;
    let mut workloads = Vec::new();
    for (at, name) in NAMES.into_iter().take(count).enumerate() {
        let needs = NAMES.into_iter().take(at).filter(|_| chance.percent(60)).collect();
        let replicas = 1 + chance.below(5) as u32;
        let routed = chance.percent(50);
        workloads.push(Workload { name, replicas, image: "1", routed, needs });
    }
    let old = Shop { workloads, one_route: chance.percent(50) };
    let mut new = old.clone();
    let always = chance.below(count as u64) as usize;
    for (at, workload) in new.workloads.iter_mut().enumerate() {
        if at == always || chance.percent(80) {
            workload.image = "2";
        }
        if chance.percent(15) {
            workload.replicas = 1 + chance.below(5) as u32;
        }
        if chance.percent(5) {
            workload.routed = !workload.routed;
        }
    }
    let mut old = old;
    // One that has not run before.
    if count > 1 && chance.percent(10) {
        old.workloads.pop();
        new.workloads[count - 1].image = "2";
    }
    (old, new)
}

impl Shop {
    pub fn names(&self) -> Vec<&'static str> {
        self.workloads.iter().map(|workload| workload.name).collect()
    }

    pub fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.name == name)
    }

    /// The application, its workloads, and the templater that renders them.
    pub fn documents(&self) -> Vec<Document> {
        let rules: Vec<Value> = self
            .names()
            .iter()
            .map(|name| {
                json!({"repository": format!("registry.test/shop/{name}"), "workload": name})
            })
            .collect();
        let application = json!({
            "workloads": self.names(), "artifacts": rules,
            "flow": [{"environment": "development", "automatic": {"ref": "refs/heads/main"}}],
        });
        let workload = |workload: &Workload| {
            let needs: BTreeMap<&str, Value> = workload
                .needs
                .iter()
                .map(|name| (*name, json!({"type": "service-port", "params": {"workload": name}})))
                .collect();
            let variables: BTreeMap<String, String> = workload
                .needs
                .iter()
                .map(|name| (name.to_uppercase(), format!("http://${{resources.{name}.name}}")))
                .collect();
            documents::workload("shop", workload.name, json!(variables), json!(needs))
        };
        let mut all: Vec<Document> = self.workloads.iter().map(workload).collect();
        all.push(document(DocumentKind::Application, "shop", application));
        all.push(documents::environment("shop", "development", "development"));
        all.push(plugin("templater", "templater", json!({"shop": self.config()})));
        all
    }

    fn config(&self) -> Value {
        let workloads: BTreeMap<&str, Value> = self
            .workloads
            .iter()
            .map(|it| (it.name, json!({"replicas": it.replicas, "routed": it.routed})))
            .collect();
        json!({"workloads": workloads, "oneRoute": self.one_route})
    }
}

/// What a templater makes of a shop.
pub fn rendered(shop: &Value, workloads: &[Value]) -> Vec<Value> {
    let mut objects = Vec::new();
    let mut rules = Vec::new();
    for workload in workloads {
        let name = workload.pointer("/metadata/name").and_then(Value::as_str).unwrap();
        let container = &workload["containers"]["main"];
        let is = &shop["workloads"][name];
        let labels = json!({"deployd.dev/workload": name});
        let selector = json!({"app": name, "deployd.dev/track": "stable"});
        let metadata = |name: &str| json!({"name": name, "labels": labels});
        objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&format!("{name}-files")),
            "data": {"image": container["image"]},
        }));
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata(name),
            "spec": {"selector": selector, "ports": [{"name": "http", "port": 8080}]},
        }));
        objects.push(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(name),
            "spec": {
                "replicas": is["replicas"], "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": selector}, "spec": {
                    "containers": [{
                        "name": "main", "image": container["image"],
                        "env": container["variables"],
                    }],
                    "volumes": [{"name": "files", "configMap": {"name": format!("{name}-files")}}],
                }},
            },
        }));
        if is["routed"] != true {
            continue;
        }
        let path = json!([{"path": {"type": "PathPrefix", "value": format!("/{name}")}}]);
        let rule = json!({"matches": path, "backendRefs": [{"name": name, "port": 8080}]});
        match shop["oneRoute"] == true {
            true => rules.push(rule),
            false => objects.push(route(metadata(&format!("{name}-route")), &[rule])),
        }
    }
    if !rules.is_empty() {
        objects.push(route(json!({"name": "all"}), &rules));
    }
    objects
}

fn route(metadata: Value, rules: &[Value]) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata,
        "spec": {"hostnames": ["shop.test"], "rules": rules},
    })
}
