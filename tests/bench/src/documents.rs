//! What is deployed: a workload with a service and a name, by the shipped
//! plugins. Each environment is a namespace of its own.
#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads better without a & before it")]

use anyhow::Context;
use deployd_cli::Client;
use deployd_cli::client::DocumentFiles;
use deployd_config::SourceFile;
use deployd_core::EnvironmentId;
use deployd_core::set::DeploymentSet;
use serde_json::{Value, json};

/// The application with many environments.
pub const MANY: &str = "many";

/// Documents in one request.
const AT_ONCE: usize = 250;

fn document(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "deployd.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    })
}

fn plugin(name: &str, kind: &str, grant: Value) -> Value {
    document("Plugin", name, json!({"kind": kind, "source": {"shipped": name}, "grant": grant}))
}

fn definition(of: &str, driver: &str, inputs: Value) -> Value {
    document("ResourceDefinition", of, json!({"type": of, "driver": driver, "inputs": inputs}))
}

fn workload(version: usize) -> Value {
    json!({
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": "web"},
        "containers": {"main": {
            "image": format!("registry.test/web:{version}"),
            "variables": {"HOST": "${resources.site.host}"},
        }},
        "service": {"ports": {"http": {"port": 8080}}},
        "resources": {"site": {"type": "dns"}},
    })
}

/// What a version of an application is.
pub fn set(application: &str, version: usize) -> anyhow::Result<DeploymentSet> {
    let workloads = json!({"web": workload(version)});
    let set = json!({"application": application, "workloads": workloads, "resources": {}});
    serde_json::from_value(set).context("the set")
}

/// The environments of an application.
pub fn environments(application: &str, count: usize) -> anyhow::Result<Vec<EnvironmentId>> {
    let id = |n| format!("{application}/e{n}").parse().context("the name of an environment");
    (0..count).map(id).collect()
}

/// Applies all of it, and sets the secret that leads to the cluster.
pub async fn apply(
    client: &Client,
    kubeconfig: &str,
    application: &str,
    environments: usize,
) -> anyhow::Result<()> {
    client.set_secret(&"bench-cluster".parse()?, kubeconfig.as_bytes().to_vec()).await?;
    let strategy = json!({"plugin": "rolling", "config": {"deadline_ms": 180_000}});
    let mut all = vec![
        plugin("k8s-cluster", "driver", json!({"secrets": {"bench-cluster": "bench-cluster"}})),
        plugin("k8s-namespace", "driver", json!({})),
        plugin("template", "driver", json!({"generateSecrets": true})),
        plugin("score-k8s", "templater", json!({})),
        plugin("rolling", "strategy", json!({})),
        plugin("webhook", "notifier", json!({})),
        definition("k8s-cluster", "k8s-cluster", json!({"kubeconfig_secret": "bench-cluster"})),
        definition(
            "k8s-namespace",
            "k8s-namespace",
            json!({"name": "${context.application}-${context.environment}"}),
        ),
        definition("dns", "template", json!({"outputs": {"host": "${context.environment}.test"}})),
        document(
            "EnvironmentType",
            "bench",
            json!({"templater": {"plugin": "score-k8s"}, "strategy": strategy}),
        ),
        workload(0),
        document(
            "Application",
            application,
            json!({
                "workloads": ["web"],
                "flow": environments_of(environments),
            }),
        ),
    ];
    let environment = |n| {
        document(
            "Environment",
            &format!("e{n}"),
            json!({"application": application, "type": "bench"}),
        )
    };
    all.extend((0..environments).map(environment));
    for documents in all.chunks(AT_ONCE) {
        let text: Vec<String> = documents.iter().map(|document| document.to_string()).collect();
        let file = SourceFile { path: "bench.yaml".to_owned(), text: text.join("\n---\n") };
        client.apply(&DocumentFiles { files: vec![file], ..DocumentFiles::default() }).await?;
    }
    Ok(())
}

/// A flow names the first ones; the others are deployed to by hand.
fn environments_of(count: usize) -> Vec<Value> {
    (0..count.min(1)).map(|n| json!({"environment": format!("e{n}")})).collect()
}
