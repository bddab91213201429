//! What a person needs to see of a workload that failed: the states of its
//! containers, events, last log lines. Gathered once, in bounded time; what
//! can't be had is left out.

use std::collections::BTreeSet;
use std::time::Duration;

use deployd_core::ports::{LogLines, ObjectRef, WorkloadFault};
use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::client::Session;
use crate::discovery::Resource;
use crate::events;
use crate::fields::{condition, holds, items, name, text, uid};
use crate::request::{Ask, with_query};
use crate::scrub::Scrubber;
use crate::trouble;

/// Of one object, the ailing ones first. The rest mostly ails the same way.
const PODS: usize = 3;

/// Lines of states of containers.
const CONTAINERS: usize = 30;

/// Log lines of one container, and their bytes.
const LOG_LINES: usize = 50;
const LOG_BYTES: usize = 16 << 10;

/// Containers whose logs are read.
const LOGS: usize = 4;

/// Secrets whose values are looked for in them.
const SECRETS: usize = 20;

/// Each request is tried again for so long, and all is over after the second.
const REQUEST_BUDGET: Duration = Duration::from_secs(3);
const WHOLE_BUDGET: Duration = Duration::from_secs(20);

/// An object that failed, with what was seen of it.
pub(crate) struct Patient {
    pub(crate) object: ObjectRef,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Itself, when it was there.
    pub(crate) seen: Option<Value>,
    pub(crate) replica_set: Option<Value>,
    pub(crate) pods: Vec<Value>,
}

impl Patient {
    /// What is known without asking.
    pub(crate) fn undiagnosed(self) -> WorkloadFault {
        WorkloadFault {
            object: self.object,
            reason: self.reason.to_owned(),
            message: self.message,
            containers: Vec::new(),
            events: Vec::new(),
            logs: Vec::new(),
        }
    }
}

impl Session {
    pub(crate) async fn diagnose(&self, mut patient: Patient) -> WorkloadFault {
        patient.pods.sort_by_key(|pod| holds(pod, "Ready"));
        let containers: Vec<String> =
            patient.pods.iter().flat_map(trouble::container_lines).take(CONTAINERS).collect();
        patient.pods.truncate(PODS);
        let gathered = tokio::time::timeout(WHOLE_BUDGET, async {
            let namespace = patient.object.namespace.as_deref().unwrap_or("default");
            tokio::join!(self.events_about(&patient), self.telling_logs(namespace, &patient.pods))
        });
        let (events, logs) = gathered.await.unwrap_or_default();
        WorkloadFault { containers, events, logs, ..patient.undiagnosed() }
    }

    async fn events_about(&self, patient: &Patient) -> Vec<String> {
        let namespace = patient.object.namespace.as_deref().unwrap_or("default");
        let path = Resource::core("Event", "events").path(Some(namespace));
        let about = patient.seen.iter().chain(&patient.replica_set).chain(&patient.pods);
        let uids: Vec<String> =
            about.map(uid).filter(|uid| !uid.is_empty()).map(str::to_owned).collect();
        let found: Vec<Vec<Value>> = stream::iter(uids)
            .map(|uid| {
                let path = &path;
                async move {
                    let selector = format!("involvedObject.uid={uid}");
                    let query = [("fieldSelector", selector.as_str()), ("limit", "100")];
                    let ask = Ask::get(with_query(path, &query));
                    let Ok(answer) = self.ask_within(&ask, REQUEST_BUDGET).await else {
                        return Vec::new();
                    };
                    items(&answer.body, "/items")
                        .iter()
                        .filter(|e| text(e, "/involvedObject/uid") == Some(uid.as_str()))
                        .cloned()
                        .collect()
                }
            })
            .buffered(4)
            .collect()
            .await;
        events::lines(&found.concat())
    }

    /// The last lines of containers that fail, of pods that are given the ailing
    /// ones first.
    pub(crate) async fn telling_logs(&self, namespace: &str, pods: &[Value]) -> Vec<LogLines> {
        let wanted: Vec<(String, String, bool)> = pods
            .iter()
            .filter(|pod| !is_unstarted(pod))
            .flat_map(|pod| {
                let pod_name = name(pod).to_owned();
                let logs = trouble::telling_logs(pod).into_iter();
                logs.map(move |(container, previous)| (pod_name.clone(), container, previous))
            })
            .take(LOGS)
            .collect();
        let logs: Vec<Option<LogLines>> = stream::iter(wanted)
            .map(|(pod, container, previous)| async move {
                let read = async |previous| {
                    let budget = REQUEST_BUDGET;
                    self.container_log(namespace, &pod, &container, previous, LOG_LINES, budget)
                        .await
                };
                let mut lines = read(previous).await.unwrap_or_default();
                if lines.is_empty() && previous {
                    // The kubelet has cleared away the instance before.
                    lines = read(false).await.unwrap_or_default();
                }
                let lines = last_bytes(lines);
                (!lines.is_empty()).then_some(LogLines { pod, container, lines })
            })
            .buffered(LOGS)
            .collect()
            .await;
        let logs: Vec<LogLines> = logs.into_iter().flatten().collect();
        self.hidden(namespace, pods, logs).await
    }

    /// Lines without the values of the Secrets that the pods use: what containers
    /// print is recorded, and those may be in no record.
    async fn hidden(
        &self,
        namespace: &str,
        pods: &[Value],
        mut logs: Vec<LogLines>,
    ) -> Vec<LogLines> {
        if logs.is_empty() {
            return logs;
        }
        let names: BTreeSet<&str> = pods.iter().flat_map(secrets_of).take(SECRETS).collect();
        for name in names {
            let reference = ObjectRef {
                api_version: "v1".to_owned(),
                kind: "Secret".to_owned(),
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
            };
            let ask = Ask::get(Resource::core("Secret", "secrets").item(&reference));
            // Whoever may not read it can't tell its values in its logs from others.
            let Ok(answer) = self.ask_within(&ask, REQUEST_BUDGET).await else { continue };
            let Some(scrubber) = Scrubber::of(&answer.body) else { continue };
            for line in logs.iter_mut().flat_map(|log| &mut log.lines) {
                *line = scrubber.known_values(line);
            }
        }
        logs
    }
}

/// The names of the Secrets that a pod's containers can read.
fn secrets_of(pod: &Value) -> Vec<&str> {
    let containers = ["/spec/initContainers", "/spec/containers"];
    let containers = containers.iter().flat_map(|list| items(pod, list));
    let of_containers = containers.flat_map(|container| {
        let all = items(container, "/envFrom").iter().filter_map(|e| text(e, "/secretRef/name"));
        let one = |e| text(e, "/valueFrom/secretKeyRef/name");
        all.chain(items(container, "/env").iter().filter_map(one))
    });
    let of_volumes = items(pod, "/spec/volumes").iter().flat_map(|volume| {
        let projected = items(volume, "/projected/sources").iter();
        let projected = projected.filter_map(|source| text(source, "/secret/name"));
        text(volume, "/secret/secretName").into_iter().chain(projected)
    });
    of_containers.chain(of_volumes).collect()
}

/// Whether nothing of the pod can have run.
fn is_unstarted(pod: &Value) -> bool {
    condition(pod, "PodScheduled").and_then(|c| text(c, "/status")) == Some("False")
}

/// The last lines that fit.
fn last_bytes(lines: Vec<String>) -> Vec<String> {
    let mut left = LOG_BYTES;
    let mut kept: Vec<String> = lines
        .into_iter()
        .rev()
        .take(LOG_LINES)
        .take_while(|line| {
            let fits = line.len() < left;
            left = left.saturating_sub(line.len() + 1);
            fits
        })
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_wherever_a_pod_reads_them() {
        let pod = serde_json::json!({"spec": {
            "initContainers": [{"envFrom": [{"secretRef": {"name": "a"}}]}],
            "containers": [{"env": [{"name": "X", "value": "1"},
                {"name": "P", "valueFrom": {"secretKeyRef": {"name": "b", "key": "p"}}}]}],
            "volumes": [{"secret": {"secretName": "c"}}, {"emptyDir": {}},
                {"projected": {"sources": [{"secret": {"name": "d"}}]}}],
        }});
        assert_eq!(secrets_of(&pod), ["a", "b", "c", "d"]);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let kept = last_bytes(lines);
        assert_eq!(kept.len(), LOG_LINES);
        assert_eq!(kept.last().map(String::as_str), Some("99"));
        let long = vec!["a".repeat(LOG_BYTES), "b".repeat(LOG_BYTES - 1)];
        assert_eq!(last_bytes(long).len(), 1);
    }
}
