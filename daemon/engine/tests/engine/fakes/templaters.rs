//! A templater: a Deployment for each workload, a Secret for what is secret of
//! its variables, and an object that is nobody's.

use async_trait::async_trait;
use deployd_core::ports::{Call, RenderInput, Templaters};
use deployd_core::secret::has_marker;
use deployd_core::{Digest, Fault};
use serde_json::{Map, Value, json};

use super::Instance;
use crate::rollout_model::shops;

/// Wishes that tests have of the templater, by its configuration.
fn misplaces(input: &RenderInput) -> bool {
    input.config.get("misplace").is_some()
}

#[async_trait]
impl Templaters for Instance {
    async fn render(&self, call: Call<'_>, input: &RenderInput) -> Result<Vec<Value>, Fault> {
        self.look("render", async { self.called(call) }).await?;
        if input.config.get("fails").is_some() {
            return Err(Fault::invalid("baseline-invalid", "line 3: no such filter"));
        }
        if let Some(shop) = input.config.get("shop") {
            return Ok(shops::rendered(shop, &input.workloads));
        }
        let mut objects = vec![json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "platform"},
            "data": {"baseline": input.baseline},
        })];
        if call.plugin.digest == Digest::of(b"templater marks") {
            objects[0]["data"]["version"] = json!("marks");
        }
        for workload in &input.workloads {
            let name = workload.pointer("/metadata/name").and_then(Value::as_str).unwrap();
            let labels = json!({"deployd.dev/workload": name});
            let (mut plain, mut secret) = (Map::new(), Map::new());
            let containers = workload["containers"].as_object().unwrap();
            let variables = containers
                .values()
                .filter_map(|container| container.get("variables")?.as_object())
                .flatten();
            for (key, value) in variables {
                let hidden = has_marker(value.as_str().unwrap()) && !misplaces(input);
                let place = if hidden { &mut secret } else { &mut plain };
                place.insert(key.clone(), value.clone());
            }
            if !secret.is_empty() {
                objects.push(json!({
                    "apiVersion": "v1", "kind": "Secret",
                    "metadata": {"name": format!("{name}-env"), "labels": labels},
                    "stringData": secret,
                }));
            }
            let images: Vec<&Value> = containers.values().map(|c| &c["image"]).collect();
            if input.config.get("jobs").is_some() && name == "backend" {
                objects.extend(with_jobs(name, images[0]));
            }
            if input.config.get("tracks").is_some() {
                objects.extend(with_tracks(name, &labels, &images, &plain));
                continue;
            }
            objects.push(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "labels": labels},
                "spec": {"replicas": 1, "images": images, "env": plain},
            }));
        }
        Ok(objects)
    }
}

/// Jobs that say what they do: one before, what undoes it, and one after.
fn with_jobs(workload: &str, image: &Value) -> [Value; 3] {
    let image = image.as_str().unwrap();
    let job = |name: &str, annotation: &str, value: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "annotations": {annotation: value},
                "labels": {"deployd.dev/workload": workload}},
            "spec": {"template": {"spec": {"containers": [{
                "name": "main", "args": [format!("{name} {image}")],
                "envFrom": [{"secretRef": {"name": format!("{workload}-env")}}],
            }]}}},
        })
    };
    [
        job("migrate", "deployd.dev/job", "before"),
        job("migrate-back", "deployd.dev/undoes", "migrate"),
        job("warm", "deployd.dev/job", "after"),
    ]
}

/// A workload as rollouts with tracks need it: four replicas behind a Service.
fn with_tracks(
    name: &str,
    labels: &Value,
    images: &[&Value],
    environment: &Map<String, Value>,
) -> [Value; 2] {
    let selector = json!({"app": name, "deployd.dev/track": "stable"});
    let template = json!({"metadata": {"labels": selector}, "spec": {"containers": [{
        "name": "main", "image": images[0], "env": environment,
    }]}});
    [
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {"selector": selector, "ports": [{"name": "http", "port": 8080}]},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": 4, "selector": {"matchLabels": selector}, "template": template,
            },
        }),
    ]
}
