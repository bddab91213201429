//! Rollouts with real parts: servers in the place of pods, nginx in front of
//! them, clients that ask without pause, and Prometheus.

mod app;
mod clients;
mod gateway;
mod metrics;
mod pods;
mod switch;

use app::Manners;
use gateway::Gateway;
use pods::{Kind, Node};
use serde_json::{Value, json};

use crate::daemon::free_port;
use crate::sample;
use crate::stage::{ENVIRONMENT, Stage, begun};
use crate::wait::until;

/// The name that the sample asks for.
const HOST: &str = "shop-development.apps.localhost";

/// How long a version that has lost its traffic is kept, in milliseconds: longer
/// than nginx is behind the cluster.
const DRAIN_MS: u64 = 2_000;

/// The file that tells Prometheus which pods there are.
const TARGETS: &str = "pods.json";

/// The sample, of which nothing is deployed, with all that it needs to serve.
struct Shop {
    gateway: Gateway,
    stage: Stage,
    _node: Node,
}

impl Shop {
    async fn of(stage: Stage, kind: Kind) -> Self {
        let port = free_port();
        let practice = &stage.practice;
        let node = Node::start(practice.clone(), port, kind);
        let gateway = Gateway::start(practice.clone(), &stage.folder().join("gateway"), port).await;
        Self { gateway, stage, _node: node }
    }

    /// With processes that say which version they are.
    async fn with_processes() -> Self {
        let stage = Stage::set().await;
        let kind = Kind::Process(stage.folder().join("pods"));
        Self::of(stage, kind).await
    }

    /// With servers that Prometheus can ask what they do.
    async fn with_metrics(manners: Manners) -> Self {
        let stage = Stage::set().await;
        let kind = Kind::Measured(manners, stage.folder().join(TARGETS));
        Self::of(stage, kind).await
    }

    /// Has new versions come in this way from now on.
    async fn rolls_out(&self, strategy: &str, config: &Value, checks: &Checks<'_>) {
        let mut spec = json!({
            "templater": {"plugin": "score-k8s"},
            "strategy": {"plugin": strategy, "config": config, "drainMs": DRAIN_MS},
            "values": {"domain": "apps.localhost"},
            "checks": checks.checks,
        });
        if let Some(afterwards) = &checks.afterwards {
            spec["afterwards"] = afterwards.clone();
        }
        let shipped = |kind: &str, name: &str| json!({"kind": kind, "source": {"shipped": name}});
        let mut plugin = shipped("check", checks.plugin);
        plugin["grant"] = json!({"hosts": [
            {"host": "127.0.0.1", "port": checks.port, "scheme": "http", "privateAddress": true},
        ]});
        self.apply(&[
            ("Plugin", strategy, shipped("strategy", strategy)),
            ("Plugin", checks.plugin, plugin),
            ("EnvironmentType", "development", spec),
        ])
        .await;
    }

    /// Leads to the frontend by an HTTPRoute, not by an Ingress.
    async fn by_route(&self) {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {
                "name": "{{ id | dns_label }}", "namespace": "${resources.k8s-namespace.name}",
            },
            "spec": {
                "hostnames": ["{{ params.host }}"],
                "parentRefs": [{"name": "practice", "namespace": "default"}],
                "rules": [{"backendRefs": [
                    {"name": "${resource.workload}", "port": "{{ params.port }}"},
                ]}],
            },
        });
        let outputs = json!({"url": "http://{{ params.host }}{{ params.path }}"});
        let definition = json!({
            "type": "route", "driver": "template", "whenUnused": "destroy",
            "inputs": {"outputs": outputs, "manifests": [route]},
        });
        self.apply(&[("ResourceDefinition", "route", definition)]).await;
    }

    async fn apply(&self, documents: &[(&str, &str, Value)]) {
        let file = |(kind, name, spec): &(&str, &str, Value)| {
            let document = json!({
                "apiVersion": "deployd.dev/v1", "kind": kind, "metadata": {"name": name},
                "spec": spec,
            });
            json!({"path": format!("{kind}-{name}.yaml"), "text": document.to_string()})
        };
        let files: Vec<Value> = documents.iter().map(file).collect();
        let request = json!({ "files": files });
        self.stage.client.post("/v1/documents:apply", &request).await.ok();
    }

    /// Announces another image of the frontend, whose digest consists of this digit,
    /// and waits until its deployment has ended; gives its record.
    async fn ended(&self, version: char) -> Value {
        let image = json!([sample::image("frontend", version)]);
        let id = begun(&self.stage.client.post("/v1/artifacts", &image).await);
        self.stage.ended(&id).await
    }

    /// The same; it has succeeded.
    async fn deployed(&self, version: char) -> Value {
        let record = self.ended(version).await;
        assert_eq!(record["outcome"], "succeeded", "{record:#}");
        record
    }

    /// Waits until there is a step of a deployment of which this holds; gives the
    /// deployment's record.
    async fn reached(&self, id: &str, what: &str, such: impl Fn(&Value) -> bool) -> Value {
        until(what, || async {
            let record = self.stage.deployment(id).await;
            let steps = record["work"]["steps"].as_array().cloned().unwrap_or_default();
            let is_there = steps.iter().any(&such);
            assert!(is_there || record["outcome"].is_null(), "{record:#}");
            is_there.then_some(record)
        })
        .await
    }

    /// Waits until a rollback of this deployment that nobody has asked for has
    /// succeeded; gives its record.
    async fn went_back(&self, from: &Value) -> Value {
        let path = format!("/v1/deployments?environment={ENVIRONMENT}");
        until("it goes back", || async {
            let history = self.stage.client.get(&path).await.ok();
            let newest = history["deployments"][0].clone();
            (newest["outcome"] == "succeeded" && newest["id"] != from["id"]).then_some(newest)
        })
        .await
    }
}

/// What a type has checked.
struct Checks<'a> {
    /// The plugin that checks.
    plugin: &'a str,
    /// The port of the server that it asks.
    port: u16,
    checks: Value,
    afterwards: Option<Value>,
}
