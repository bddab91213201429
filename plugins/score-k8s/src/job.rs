//! Containers that run once, before or after a rollout, and not in the workload's pods.

use crate::score::{Container, Workload};
use deployd_plugin_sdk::{Fault, name};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What annotations of a Score document begin with that make a container a Job; the
/// container's name follows.
const PREFIX: &str = "job.deployd.dev/";

/// What such an annotation says, when the container undoes another.
const UNDOES: &str = "undoes ";

/// A Job, as the baseline sees it.
#[derive(Serialize)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// By which deployd knows when it runs.
    pub(crate) annotations: Map<String, Value>,
    /// Not those by which Services find the workload's pods.
    pub(crate) labels: Map<String, Value>,
    pub(crate) container: Value,
    pub(crate) volumes: Vec<Value>,
}

/// What annotations say of a workload's containers.
pub(crate) struct Jobs<'a> {
    workload: &'a str,
    by_container: BTreeMap<&'a str, &'a str>,
}

impl<'a> Jobs<'a> {
    /// Fails when an annotation names a container that there is not, or that others
    /// wait for; or has another value than `before`, `after` or `undoes NAME`.
    pub(crate) fn of(path: &str, workload: &'a Workload) -> Result<Self, Fault> {
        let mut by_container = BTreeMap::new();
        for (key, value) in &workload.metadata.annotations {
            let Some(container) = key.strip_prefix(PREFIX) else { continue };
            let path = format!("{path}/metadata/annotations/{}", key.replace('/', "~1"));
            let Some(found) = workload.containers.get(container) else {
                let known: Vec<&str> = workload.containers.keys().map(String::as_str).collect();
                let message = format!("the name of a container: one of {}", known.join(", "));
                return Err(Fault::invalid(path, message));
            };
            let is_known = matches!(value.as_str(), "before" | "after")
                || value.strip_prefix(UNDOES).is_some_and(|undone| !undone.is_empty());
            if !is_known {
                let message = format!("before, after, or \"undoes CONTAINER\", and not {value:?}");
                return Err(Fault::invalid(path, message));
            }
            let is_waited_for =
                |other: &Container| other.before.keys().any(|waiting| waiting == container);
            if !found.before.is_empty() || workload.containers.values().any(is_waited_for) {
                let message = "a container that no other waits for, and that waits for none: it runs in a pod of its own";
                return Err(Fault::invalid(path, message));
            }
            by_container.insert(container, value.as_str());
        }
        Ok(Self { workload: &workload.metadata.name, by_container })
    }

    pub(crate) fn has(&self, container: &str) -> bool {
        self.by_container.contains_key(container)
    }

    /// The Job of a container.
    pub(crate) fn job(
        &self,
        key: &str,
        container: Value,
        volumes: Vec<Value>,
        labels: Map<String, Value>,
    ) -> Job {
        let value = self.by_container.get(key).copied().unwrap_or_default();
        let (annotation, value) = match value.strip_prefix(UNDOES) {
            Some(undone) => ("deployd.dev/undoes", self.name(undone)),
            None => ("deployd.dev/job", value.to_owned()),
        };
        let annotations = Map::from_iter([(annotation.to_owned(), value.into())]);
        Job { name: self.name(key), annotations, labels, container, volumes }
    }

    fn name(&self, container: &str) -> String {
        name::dns_label(&format!("{}-{container}", self.workload))
    }
}
