//! Templater `score-k8s`: Score v1b1 workloads become Kubernetes objects.
//!
//! What Score says is translated here; what the objects look like is decided by
//! the *baseline*, a template (Jinja2, as minijinja has it) that renders YAML
//! documents. The one that is used by default is `baseline.yaml.j2`. A platform
//! team can replace it, or extend it and change single blocks:
//!
//! ```jinja
//! {% extends "baseline" %}
//! {% block labels %}{{ workload.labels | merge({"team": config.team}) }}{% endblock %}
//! {% block container %}{{ container | merge({"imagePullPolicy": "Always"}) }}{% endblock %}
//! {% block pod_spec_extra %}
//!       serviceAccountName: {{ workload.name }}
//! {% endblock %}
//! ```
//!
//! Workloads that were taken over from a cluster look as they did there by
//! `{% extends "adopted" %}` (`adopted.yaml.j2`), and by the environment's values.
//!
//! Blocks: `labels`, `service_spec_extra`, `deployment_spec_extra`,
//! `security_context` (of the pod), `pod_spec_extra`, `container`, `job_spec_extra`,
//! `workload_extra` (documents after each workload), `extra` (documents at the end).
//!
//! # What a baseline sees
//!
//! | name | what it is |
//! | --- | --- |
//! | `application`, `environment`, `environment_type` | where it goes |
//! | `namespace` | the target's, or null |
//! | `values` | the environment's own values |
//! | `config` | the templater's configuration |
//! | `workloads` | a list, in order of name |
//!
//! Each workload:
//!
//! | name | what it is |
//! | --- | --- |
//! | `name` | the workload's name |
//! | `metadata` | of the Score document, as it is |
//! | `annotations` | of the Score document, strings by name |
//! | `labels`, `selector` | standard labels, and those among them that select its pods |
//! | `replicas` | `values.replicas.NAME`, or the annotation `deployd.dev/replicas`, or 1 |
//! | `initContainers`, `containers` | Kubernetes containers, complete |
//! | `volumes` | Kubernetes volumes that the containers mount |
//! | `jobs` | `{name, annotations, labels, container, volumes}` of what runs once |
//! | `ports` | `{name, port, target_port, protocol}` of the service |
//! | `config_map` | `{name, data, binary_data}` for its files, or null |
//! | `secret` | `{name, string_data}` for what holds secrets, or null |
//! | `checksum` | of both, references in place of secrets; null without both |
//! | `resources` | of the Score document, as they are |
//!
//! How pods are exchanged is `values.rollingUpdate.NAME` (`maxSurge`,
//! `maxUnavailable`) in the shipped baseline, 25 % and 0 where it is silent.
//!
//! Filters beside minijinja's own: `merge(object)` (deep; null deletes),
//! `dns_label`, `short`. A value is printed as JSON, which is YAML too. What is
//! null in the output is left out.
//!
//! # What a rollout needs
//!
//! While a new version is tried out beside the old one, deployd copies a workload's
//! Deployment, Services, ConfigMaps and Secrets, and tells the pods of copies by the
//! label `deployd.dev/track`. It is in `selector` with the value `stable`. A baseline
//! that writes a selector of its own keeps it in the Deployment's selector, in the
//! labels of its pods and in the Services' selectors; a workload without it can only
//! be replaced as a whole. So can one that has a StatefulSet, DaemonSet or Job, and
//! one that has two Deployments.
//!
//! # What runs once
//!
//! An annotation `job.deployd.dev/CONTAINER` of a Score document makes one of its
//! containers a Job, which runs `before` the workloads change or `after` they have, or
//! which undoes another when what ran before is brought back:
//!
//! ```yaml
//! metadata:
//!   name: web
//!   annotations:
//!     job.deployd.dev/migrate: before
//!     job.deployd.dev/migrate-back: undoes migrate
//! containers:
//!   main: { image: . }
//!   migrate: { image: ., command: [/web, migrate] }
//!   migrate-back: { image: ., command: [/web, migrate, --back] }
//! ```
//!
//! # What goes where
//!
//! Variables and files that hold references to secrets go to a Secret's
//! `stringData`; containers refer to it. A reference anywhere else is refused.
//! A container that must be ready before others becomes an init container: a
//! plain one for `complete`, a sidecar for `started` and `healthy`.
//! `$(NAME)` in commands, arguments and variables means to Kubernetes what it
//! always does.

mod adopted;
mod baseline;
mod container;
mod job;
mod order;
mod output;
mod payload;
mod rendered;
mod score;
mod volumes;
mod workload;
mod yaml;

use deployd_plugin_sdk::templater::{Input, Templater};
use deployd_plugin_sdk::{Fault, Log, discard, export_templater, fit};
use score::Workload;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A rendering of two workloads allocates some 1,800 times, and that was a quarter
/// of its instructions.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

struct ScoreK8s;

export_templater!(ScoreK8s);

impl Templater for ScoreK8s {
    /// Whatever the baseline reads.
    type Config = Value;

    fn render(input: &Input<Value>, _: &impl Log) -> Result<Vec<Value>, Fault> {
        let workloads = input
            .workloads
            .iter()
            .enumerate()
            .map(|(index, document)| read(&format!("workloads/{index}"), document))
            .collect::<Result<Vec<Workload>, Fault>>()?;
        let contexts = workloads
            .iter()
            .enumerate()
            .map(|(index, workload)| {
                workload::context(&format!("/workloads/{index}"), workload, input)
            })
            .collect::<Result<Vec<workload::Context<'_>>, Fault>>()?;
        let context = Context {
            application: &input.scope.application,
            environment: &input.scope.environment,
            environment_type: &input.scope.environment_type,
            namespace: input.target.namespace.as_deref(),
            values: &input.values,
            config: &input.config,
            workloads: contexts,
        };
        let rendered = baseline::render(input.baseline.as_deref(), &context)?;
        discard(context.workloads);
        discard(workloads);
        output::objects(rendered)
    }
}

/// What the baseline sees.
#[derive(Serialize)]
struct Context<'a> {
    application: &'a str,
    environment: &'a str,
    environment_type: &'a str,
    namespace: Option<&'a str>,
    values: &'a Value,
    config: &'a Value,
    workloads: Vec<workload::Context<'a>>,
}

/// Reads a workload. Only one that does not fit is copied, and read once more for
/// the place of what is wrong.
fn read(name: &str, document: &Value) -> Result<Workload, Fault> {
    Workload::deserialize(document).or_else(|_| fit(name, document.clone()))
}

#[cfg(test)]
mod tests;
