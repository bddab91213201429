//! Check `kubernetes`: the pods of what is rolled out are as they should be.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata: { name: kubernetes }
//! spec:
//!   kind: check
//!   source: { shipped: kubernetes }
//!   grant: { pods: true }     # it is told how they are, and connects to nothing
//! ---
//! apiVersion: deployd.dev/v1
//! kind: EnvironmentType
//! metadata: { name: production }
//! spec:
//!   # templater, strategy …
//!   checks:
//!     pods:
//!       plugin: kubernetes
//!       config:
//!         ready_percent: 100
//!         max_restarts: 0
//!         conditions: { Available: "True" }
//!         memory_percent: 90    # of the limit, by the cluster's metrics API
//!       intervalMs: 15000
//!       count: 8
//! ```
//!
//! It looks at what runs the pods of the track that is checked, on `stable` at the
//! workloads themselves.
//!
//! **Passed** if all that is configured is so. **Failed** if anything is not.
//! **Inconclusive** where it can't be told: nothing runs, a condition is not there,
//! or there are no metrics of a container, or no limit to compare them with.

#[cfg(test)]
mod tests;

use deployd_plugin_sdk::check::{Check, Container, Observed, Outcome, Request, Verdict};
use deployd_plugin_sdk::{Fault, Host, export_check};
use serde::Deserialize;
use std::collections::BTreeMap;

struct Kubernetes;

export_check!(Kubernetes);

/// What a message names of all that is wrong.
const TOLD_MAX: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    ready_percent: Option<u64>,
    max_restarts: Option<u64>,
    conditions: BTreeMap<String, String>,
    cpu_percent: Option<f64>,
    memory_percent: Option<f64>,
    containers: Vec<String>,
}

/// What a look has found.
#[derive(Default)]
struct Found {
    wrong: Vec<String>,
    unknown: Vec<String>,
    restarts: u64,
    ready: u64,
    replicas: u64,
    /// The highest, in percent of a limit.
    cpu: Option<f64>,
    memory: Option<f64>,
}

impl Check for Kubernetes {
    type Config = Config;

    fn run(request: &Request<Config>, _: &impl Host) -> Result<Outcome, Fault> {
        let Request { config, input, .. } = request;
        let Some(observed) = &input.observed else {
            return Err(Fault::invalid("/config", "the grant lacks `pods: true`"));
        };
        let mut found = Found::default();
        for one in observed {
            found.look(config, one);
        }
        if observed.is_empty() {
            found.unknown.push("nothing runs pods there".to_owned());
        }
        Ok(found.outcome(config))
    }
}

impl Found {
    fn look(&mut self, config: &Config, one: &Observed) {
        let name = &one.object.name;
        self.ready += one.ready;
        self.replicas += one.replicas;
        if let Some(percent) = config.ready_percent
            && one.ready * 100 < one.replicas * percent
        {
            self.wrong.push(format!("{name}: {} of {} pods are ready", one.ready, one.replicas));
        }
        if one.pods.is_empty() && one.replicas > 0 {
            self.unknown.push(format!("{name}: it has no pods"));
        }
        for (wanted, status) in &config.conditions {
            match one.conditions.iter().find(|condition| condition.r#type == *wanted) {
                None => self.unknown.push(format!("{name}: it has no condition {wanted}")),
                Some(is) if is.status != *status => {
                    let why = if is.message.is_empty() { &is.reason } else { &is.message };
                    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                    self.wrong.push(format!("{name}: {wanted} is {}{why}", is.status));
                }
                Some(_) => {}
            }
        }
        let all = one.pods.iter().flat_map(|pod| pod.containers.iter().map(move |it| (pod, it)));
        let meant = |container: &Container| {
            config.containers.is_empty() || config.containers.contains(&container.name)
        };
        for (pod, container) in all.filter(|(_, container)| meant(container)) {
            self.container(config, &format!("{}/{}", pod.name, container.name), container);
        }
    }

    fn container(&mut self, config: &Config, place: &str, container: &Container) {
        self.restarts = self.restarts.max(container.restarts);
        if config.max_restarts.is_some_and(|most| container.restarts > most) {
            let why = match container.reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            self.wrong.push(format!("{place}: started again {} times{why}", container.restarts));
        }
        let cpu = (container.cpu, container.cpu_limit);
        let memory = (container.memory, container.memory_limit);
        self.cpu = self.used(self.cpu, config.cpu_percent, (place, "processor"), cpu);
        self.memory = self.used(self.memory, config.memory_percent, (place, "memory"), memory);
    }

    /// The highest part of a limit that is used, this container's among them.
    fn used(
        &mut self,
        highest: Option<f64>,
        most: Option<f64>,
        (place, what): (&str, &str),
        (used, limit): (Option<f64>, Option<f64>),
    ) -> Option<f64> {
        let Some(most) = most else { return highest };
        let (used, limit) = match (used, limit) {
            (Some(used), Some(limit)) if used.is_finite() && limit > 0.0 => (used, limit),
            (None, _) => {
                self.unknown.push(format!("{place}: the cluster has no metrics of its {what}"));
                return highest;
            }
            _ => {
                self.unknown.push(format!("{place}: it has no limit of {what}"));
                return highest;
            }
        };
        let percent = used / limit * 100.0;
        if percent > most {
            self.wrong
                .push(format!("{place}: {percent:.0} % of its {what}, {most:.0} % are allowed"));
        }
        Some(highest.map_or(percent, |highest| highest.max(percent)))
    }

    fn outcome(self, config: &Config) -> Outcome {
        #[allow(clippy::cast_precision_loss)] // pods and restarts are few
        let number = |count: u64| count as f64;
        let mut verdict = Verdict::default();
        verdict = verdict.value("ready", number(self.ready), "1");
        verdict = verdict.value("restarts", number(self.restarts), "1");
        for (name, value) in [("cpu", self.cpu), ("memory", self.memory)] {
            if let Some(value) = value {
                verdict = verdict.value(name, value, "%");
            }
        }
        if !self.wrong.is_empty() {
            verdict.message = told(&self.wrong);
            return verdict.failed();
        }
        if !self.unknown.is_empty() {
            verdict.message = told(&self.unknown);
            return verdict.inconclusive();
        }
        verdict.message = format!("{} of {} pods are ready", self.ready, self.replicas);
        if config.max_restarts.is_some() {
            verdict.message.push_str(&match self.restarts {
                0 => ", none was started again".to_owned(),
                most => format!(", started again {most} times at most"),
            });
        }
        verdict.passed()
    }
}

/// The first of many, and how many more there are.
fn told(all: &[String]) -> String {
    let first: Vec<&str> = all.iter().take(TOLD_MAX).map(String::as_str).collect();
    match all.len().saturating_sub(TOLD_MAX) {
        0 => first.join("; "),
        more => format!("{}; and {more} more", first.join("; ")),
    }
}
