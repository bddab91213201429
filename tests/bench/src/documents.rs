//! What is deployed: a workload with a service and a name, by the shipped
//! plugins. Each environment is a namespace of its own.
#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads better without a & before it")]

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use deployd_cli::client::DocumentFiles;
use deployd_cli::{Client, Style};
use deployd_config::SourceFile;
use deployd_core::deployment::Outcome;
use deployd_core::set::DeploymentSet;
use deployd_core::views::DeployRequest;
use deployd_core::{DeploymentId, EnvironmentId};
use serde_json::{Value, json};

/// The application with many environments.
pub const MANY: &str = "many";

/// Documents in one request.
const AT_ONCE: usize = 240;

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
            json!({"workloads": ["web"], "flow": environments_of(environments)}),
        ),
    ];
    all.extend((0..environments).map(|n| environment(application, n)));
    send(client, &all).await
}

/// Has all environments pulled from a repository from now on, which is served over HTTP on
/// this machine.
///
/// # Errors
///
/// When the daemon does not take it.
pub async fn pulled(client: &Client, repository: &str, port: u16) -> anyhow::Result<()> {
    let hosts =
        json!([{"host": "127.0.0.1", "port": port, "scheme": "http", "privateAddress": true}]);
    let strategy = json!({"plugin": "rolling", "config": {"deadline_ms": 180_000}});
    let environment_type = document(
        "EnvironmentType",
        "bench",
        json!({
            "templater": {"plugin": "score-k8s"},
            "strategy": strategy,
            "target": "git",
            "git": {"repository": repository, "path": "apps/{application}/{environment}",
                "hosts": hosts},
        }),
    );
    send(client, &[environment_type]).await
}

/// How often canaries are checked.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    /// The server on this machine that is asked.
    pub port: u16,
    /// Before the first measurement, in milliseconds.
    pub delay_ms: u64,
    /// From one measurement to the next, in milliseconds.
    pub interval_ms: u64,
    /// Measurements that have to pass.
    pub count: u64,
}

/// Has all environments rolled out by canaries from now on: half of the traffic,
/// for as long as a check takes.
pub async fn canaries(client: &Client, checked: Checked) -> anyhow::Result<()> {
    let Checked { port, delay_ms, interval_ms, count } = checked;
    let url = format!("http://127.0.0.1:{port}/{{{{namespace}}}}");
    let host = json!({"host": "127.0.0.1", "port": port, "scheme": "http", "privateAddress": true});
    let all = [
        plugin("canary", "strategy", json!({})),
        plugin("http", "check", json!({"hosts": [host]})),
        document(
            "EnvironmentType",
            "bench",
            json!({
                "templater": {"plugin": "score-k8s"},
                "strategy": {"plugin": "canary", "config": {"steps": [
                    {"weight": 50}, {"checks": ["healthy"]},
                ]}},
                "checks": {"healthy": {
                    "plugin": "http", "config": {"url": url}, "initialDelayMs": delay_ms,
                    "intervalMs": interval_ms, "count": count,
                }},
            }),
        ),
    ];
    send(client, &all).await
}

/// Applies more applications, for which everything else is there.
pub async fn apply_more(
    client: &Client,
    applications: &[String],
    environments: usize,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for application in applications {
        let name = format!("{application}-web");
        let mut web = workload(0);
        if let Some(metadata) = web.get_mut("metadata") {
            *metadata = json!({"name": name});
        }
        let spec = json!({"workloads": [name], "flow": environments_of(environments)});
        all.extend([web, document("Application", application, spec)]);
        all.extend((0..environments).map(|n| environment(application, n)));
    }
    send(client, &all).await
}

/// Applies applications that a forge tells of, and its hook: what it tells goes to their
/// environment by itself.
pub async fn apply_told(
    client: &Client,
    hook: &str,
    applications: &[String],
) -> anyhow::Result<()> {
    let verify = json!({"scheme": "github", "secrets": [hook]});
    let forge = [
        plugin("github", "receiver", json!({})),
        document("Hook", hook, json!({"receiver": {"plugin": "github"}, "verify": verify})),
    ];
    send(client, &forge).await?;
    let mut all = Vec::new();
    for application in applications {
        let name = format!("{application}-web");
        let mut web = workload(0);
        if let Some(metadata) = web.get_mut("metadata") {
            *metadata = json!({"name": name});
        }
        if let Some(image) = web.pointer_mut("/containers/main/image") {
            *image = json!(".");
        }
        let repository = format!("registry.test/{application}");
        let spec = json!({
            "workloads": [name], "artifacts": [{"repository": repository, "workload": name}],
            "flow": [{"environment": "e0", "automatic": {}}],
        });
        all.extend([web, document("Application", application, spec), environment(application, 0)]);
    }
    // An application and its workload come together.
    for some in all.chunks(AT_ONCE / 3 * 3) {
        send(client, some).await?;
    }
    Ok(())
}

fn environment(application: &str, n: usize) -> Value {
    let spec = json!({"application": application, "type": "bench"});
    document("Environment", &format!("e{n}"), spec)
}

async fn send(client: &Client, all: &[Value]) -> anyhow::Result<()> {
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

/// Deploys a set, and waits for its end: how long that took, and the deployment.
pub async fn deploy(
    client: &Client,
    environment: &EnvironmentId,
    set: &DeploymentSet,
) -> anyhow::Result<(Duration, DeploymentId)> {
    let request = DeployRequest {
        environment: Some(environment.clone()),
        set: Some(set.clone()),
        ..DeployRequest::default()
    };
    let begun = Instant::now();
    let accepted = client.deploy(&request).await?;
    let record = deployd_cli::follow(client, &accepted.id, Style::Silent).await?;
    ensure!(record.outcome == Some(Outcome::Succeeded), "deployment {}", accepted.id);
    Ok((begun.elapsed(), accepted.id))
}
