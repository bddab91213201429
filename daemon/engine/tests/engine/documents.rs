//! The application that most tests deploy: a shop of two workloads, a database
//! with a password, a host name, and the platform that they need.

use deployd_core::artifact::Artifact;
use deployd_core::config::{ApplicationWorkload, Document, DocumentKind};
use deployd_core::{Digest, Name};
use serde_json::{Value, json};

pub const DEVELOPMENT: &str = "shop/development";

/// A document of a kind that has a spec.
pub fn document(kind: DocumentKind, name: &str, spec: Value) -> Document {
    let value = json!({
        "apiVersion": "deployd.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    Document::from_stored(kind, value.to_string().as_bytes()).unwrap()
}

pub fn plugin(name: &str, kind: &str, config: Value) -> Document {
    let spec = json!({"kind": kind, "source": {"shipped": name}, "config": config});
    document(DocumentKind::Plugin, name, spec)
}

pub fn definition(name: &str, resource_type: &str, driver: &str, inputs: Value) -> Document {
    let spec = json!({"type": resource_type, "driver": driver, "inputs": inputs});
    document(DocumentKind::ResourceDefinition, name, spec)
}

pub fn environment(application: &str, name: &str, environment_type: &str) -> Document {
    let spec = json!({"application": application, "type": environment_type});
    document(DocumentKind::Environment, name, spec)
}

pub fn workload(application: &str, name: &str, variables: Value, resources: Value) -> Document {
    let value = json!({
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": name},
        "containers": {"main": {"image": ".", "variables": variables}},
        "resources": resources,
    });
    Document::Workload(ApplicationWorkload {
        application: application.parse().unwrap(),
        name: name.parse().unwrap(),
        workload: serde_json::from_value(value).unwrap(),
    })
}

pub fn frontend(application: &str) -> Document {
    let variables =
        json!({"API": "http://${resources.api.name}", "HOST": "${resources.site.host}"});
    let resources = json!({
        "site": {"type": "dns"},
        "api": {"type": "service-port", "params": {"workload": "backend"}},
    });
    workload(application, "frontend", variables, resources)
}

pub fn backend(application: &str) -> Document {
    let url = "postgres://app:${resources.db.password}@${resources.db.host}/app";
    let resources = json!({"db": {"type": "postgres"}});
    workload(application, "backend", json!({"DB": url}), resources)
}

/// An application of both, whose development environment takes everything
/// built from main by itself.
pub fn application(name: &str) -> Document {
    let rule = |workload: &str| json!({"repository": format!("registry.test/{name}/{workload}"), "workload": workload});
    let spec = json!({
        "workloads": ["frontend", "backend"],
        "artifacts": [rule("frontend"), rule("backend")],
        "flow": [
            {"environment": "development", "automatic": {"ref": "refs/heads/main"}},
            {"environment": "production"},
        ],
    });
    document(DocumentKind::Application, name, spec)
}

pub fn environment_type(name: &str, strategy_config: Value) -> Document {
    let spec = json!({
        "templater": {"plugin": "templater", "baseline": "the platform's"},
        "strategy": {"plugin": "rolling", "config": strategy_config},
    });
    document(DocumentKind::EnvironmentType, name, spec)
}

/// A type whose environments are checked for drift.
pub fn checked_environment_type(name: &str, drift: Value) -> Document {
    let spec = json!({
        "templater": {"plugin": "templater", "baseline": "the platform's"},
        "strategy": {"plugin": "rolling", "config": {}},
        "drift": drift,
    });
    document(DocumentKind::EnvironmentType, name, spec)
}

pub fn subscription(name: &str, events: &[&str]) -> Document {
    let spec = json!({
        "notifier": "webhook", "events": events,
        "config": {"url": "https://ci.test/hooks/path?token=x"}, "signingSecret": "signing",
    });
    document(DocumentKind::Subscription, name, spec)
}

/// What a platform team has applied.
pub fn platform() -> Vec<Document> {
    let driver = |name: &str| plugin(name, "driver", json!({}));
    vec![
        driver("cluster"),
        driver("namespace"),
        driver("postgres"),
        driver("dns"),
        driver("template"),
        plugin("templater", "templater", json!({})),
        plugin("rolling", "strategy", json!({})),
        plugin("webhook", "notifier", json!({})),
        plugin("chat", "notifier", json!({})),
        environment_type("development", json!({})),
        definition("cluster", "k8s-cluster", "cluster", json!({})),
        definition(
            "namespace",
            "k8s-namespace",
            "namespace",
            json!({"cluster": "${resources.k8s-cluster.name}"}),
        ),
        definition(
            "postgres",
            "postgres",
            "postgres",
            json!({"namespace": "${resources.k8s-namespace.name}"}),
        ),
        definition("dns", "dns", "dns", json!({"zone": "shop.test"})),
        definition(
            "port",
            "service-port",
            "template",
            json!({"of": "${resource.params.workload}"}),
        ),
        subscription("ci", &["deployment.*"]),
    ]
}

/// An application and its environments.
pub fn shop(name: &str) -> Vec<Document> {
    vec![
        frontend(name),
        backend(name),
        application(name),
        environment(name, "development", "development"),
        environment(name, "production", "development"),
    ]
}

pub fn artifact_of(application: &str, workload: &str, version: &str) -> Artifact {
    let digest = Digest::of(format!("{workload} {version}").as_bytes());
    Artifact {
        tag: Some(version.to_owned()),
        git_ref: Some("refs/heads/main".to_owned()),
        ..Artifact::new(format!("registry.test/{application}/{workload}"), digest)
    }
}

pub fn artifact(workload: &str, version: &str) -> Artifact {
    artifact_of("shop", workload, version)
}

/// How the image of a version shows in manifests.
pub fn image(workload: &str, version: &str) -> String {
    artifact(workload, version).image()
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}
