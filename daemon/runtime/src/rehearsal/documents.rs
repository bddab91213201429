//! What a rehearsal's engine is told: an environment of the same name and type, with
//! the same workloads, strategy and checks.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::config::{Document, DocumentKind};
use deployd_core::plan::PlannedStrategy;
use deployd_core::ports::Staged;
use deployd_core::rollout::checking::PlannedCheck;
use deployd_core::set::DeploymentSet;
use deployd_core::{EnvironmentId, Fault, Name};
use serde_json::{Map, Value, json};

/// Brings what runs before: applies all of it and waits until it is ready.
pub(super) const GROUND: &str = "rehearsal-ground";
/// The strategy that is rehearsed.
pub(super) const STRATEGY: &str = "rehearsal-strategy";

const TEMPLATER: &str = "rehearsal-templater";
const DRIVER: &str = "rehearsal-driver";
const CHECK: &str = "rehearsal-check";

/// The environment and all that it needs. Its strategy brings what runs before.
pub(super) fn platform(staged: &Staged) -> Result<Vec<Document>, Fault> {
    let EnvironmentId { application, environment } = &staged.environment;
    let plugin = |name: &str, kind: &str| {
        document(DocumentKind::Plugin, name, &json!({"kind": kind, "source": {"shipped": name}}))
    };
    let definition = |resource_type: &str| {
        let spec = json!({"type": resource_type, "driver": DRIVER});
        document(DocumentKind::ResourceDefinition, resource_type, &spec)
    };
    let in_it = json!({"application": application, "type": staged.environment_type});
    Ok(vec![
        plugin(GROUND, "strategy")?,
        plugin(STRATEGY, "strategy")?,
        plugin(TEMPLATER, "templater")?,
        plugin(DRIVER, "driver")?,
        plugin(CHECK, "check")?,
        definition("k8s-cluster")?,
        definition("k8s-namespace")?,
        definition("service-port")?,
        environment_type(&staged.environment_type, &json!({"plugin": GROUND}), &BTreeMap::new())?,
        document(
            DocumentKind::Application,
            application.as_str(),
            &json!({"workloads": [], "flow": [{"environment": environment}]}),
        )?,
        document(DocumentKind::Environment, environment.as_str(), &in_it)?,
    ])
}

/// The type with the strategy that is rehearsed.
pub(super) fn rehearsed(staged: &Staged) -> Result<Document, Fault> {
    let PlannedStrategy { config, traffic, drain_ms, .. } = &staged.strategy;
    let strategy =
        json!({"plugin": STRATEGY, "config": config, "traffic": traffic, "drainMs": drain_ms});
    environment_type(&staged.environment_type, &strategy, &staged.checks)
}

fn environment_type(
    name: &Name,
    strategy: &Value,
    checks: &BTreeMap<Name, PlannedCheck>,
) -> Result<Document, Fault> {
    let check = |(name, check): (&Name, &PlannedCheck)| {
        let mut choice = serde_json::to_value(check.timing).unwrap_or_default();
        if let Value::Object(fields) = &mut choice {
            fields.insert("plugin".to_owned(), json!(CHECK));
            fields.insert("config".to_owned(), json!({ "name": name }));
        }
        (name.to_string(), choice)
    };
    let checks: Map<String, Value> = checks.iter().map(check).collect();
    let spec = json!({"templater": {"plugin": TEMPLATER}, "strategy": strategy, "checks": checks});
    document(DocumentKind::EnvironmentType, name.as_str(), &spec)
}

/// The workloads by name alone, in the order that they come in: what they are made
/// of is rendered already.
pub(super) fn set<'w>(
    application: &Name,
    workloads: impl Iterator<Item = (&'w str, &'w BTreeSet<String>)>,
) -> Result<DeploymentSet, Fault> {
    let workload = |(name, after): (&str, &BTreeSet<String>)| {
        let needs = after.iter().enumerate().map(|(number, other)| {
            let resource = json!({"type": "service-port", "params": {"workload": other}});
            (format!("after-{number}"), resource)
        });
        let score = json!({
            "apiVersion": "score.dev/v1b1",
            "metadata": {"name": name},
            "containers": {"main": {"image": format!("rehearsal.invalid/{name}:rehearsed")}},
            "resources": needs.collect::<Map<String, Value>>(),
        });
        (name.to_owned(), score)
    };
    let workloads: Map<String, Value> = workloads.map(workload).collect();
    let set = json!({"application": application, "workloads": workloads});
    serde_json::from_value(set).map_err(|error| unfit("set", &error))
}

fn document(kind: DocumentKind, name: &str, spec: &Value) -> Result<Document, Fault> {
    let text = json!({
        "apiVersion": "deployd.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    })
    .to_string();
    Document::from_stored(kind, text.as_bytes()).map_err(|error| unfit(name, &error))
}

fn unfit(what: &str, error: &serde_json::Error) -> Fault {
    Fault::bug("rehearsal-document", format!("{what} of the rehearsal can't be made: {error}"))
}
