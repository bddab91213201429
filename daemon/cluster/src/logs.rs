//! The last lines that containers have written.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::ports::{LogLines, ObjectRef};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::client::Session;
use crate::discovery::Resource;
use crate::failure::Failure;
use crate::faults::{self, Doing};
use crate::fields::{items, name, shortened, text, text_or_empty};
use crate::request::{Ask, with_query};

/// Pods asked: more than a person reads.
const PODS: usize = 20;

/// Lines of one container, whatever was asked for.
const LINES: usize = 5_000;

/// Bytes of one container's lines.
const BYTES: usize = 256 << 10;

/// Of one line.
const LINE_BYTES: usize = 4 << 10;

/// Logs are asked for by people, who would rather know now.
const BUDGET: Duration = Duration::from_secs(5);

impl Session {
    /// See [`Cluster::logs`](deployd_core::ports::Cluster::logs).
    pub(crate) async fn logs(
        &self,
        namespace: &str,
        object: &ObjectRef,
        tail: usize,
    ) -> Result<Vec<LogLines>, Fault> {
        let mut object = object.clone();
        object.namespace.get_or_insert_with(|| namespace.to_owned());
        let namespace = object.namespace.clone().unwrap_or_default();
        let pods = self.pods_of(&object, &namespace).await?;
        let wanted = pods.iter().take(PODS).flat_map(|pod| {
            let names = container_names(pod);
            names.into_iter().map(|container| (name(pod).to_owned(), container))
        });
        let logs: Vec<Option<LogLines>> = stream::iter(wanted.collect::<Vec<_>>())
            .map(|(pod, container)| async {
                let read = self.container_log(&namespace, &pod, &container, false, tail, BUDGET);
                match read.await {
                    Ok(lines) => Ok(Some(LogLines { pod, container, lines })),
                    // It has not begun, or is gone by now: no lines.
                    Err(failure) if matches!(failure.code(), Some(400 | 404)) => Ok(None),
                    Err(failure) => {
                        let doing = Doing {
                            cluster: &self.cluster,
                            verb: "read the logs of",
                            object: Some(&object),
                        };
                        Err(faults::fault(&failure, doing))
                    }
                }
            })
            .buffered(self.options.parallel.max(1))
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        Ok(logs.into_iter().flatten().collect())
    }

    /// The pods that an object's selector finds.
    async fn pods_of(&self, object: &ObjectRef, namespace: &str) -> Result<Vec<Value>, Fault> {
        let resource = self.known_resource(&object.api_version, &object.kind).await?;
        let doing = Doing { cluster: &self.cluster, verb: "read", object: Some(object) };
        let found = self
            .ask(&Ask::get(resource.item(object)))
            .await
            .map_err(|failure| faults::fault(&failure, doing))?
            .body;
        if object.kind == "Pod" && object.api_version == "v1" {
            return Ok(vec![found]);
        }
        let Some(selector) = selector(&found) else {
            return Err(Fault::invalid(
                "no-pods",
                format!("{object} has no pods of its own, so it has no logs."),
            )
            .with_detail(json!({ "cluster": &*self.cluster, "object": object })));
        };
        let path = Resource::core("Pod", "pods").path(Some(namespace));
        let query = [("labelSelector", selector.as_str()), ("limit", "500")];
        let listed = self
            .ask(&Ask::get(with_query(&path, &query)))
            .await
            .map_err(|failure| faults::fault(&failure, doing))?;
        let mut pods = items(&listed.body, "/items").to_vec();
        // The newest first: of a long list they are the ones asked about.
        pods.sort_by(|a, b| created(b).cmp(created(a)).then_with(|| name(a).cmp(name(b))));
        Ok(pods)
    }

    /// The last lines of one container.
    pub(crate) async fn container_log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        tail: usize,
        budget: Duration,
    ) -> Result<Vec<String>, Failure> {
        let reference = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: pod.to_owned(),
        };
        let path = format!("{}/log", Resource::core("Pod", "pods").item(&reference));
        let tail = tail.min(LINES).to_string();
        let mut query = vec![("container", container), ("tailLines", tail.as_str())];
        if previous {
            query.push(("previous", "true"));
        }
        let text = self.text(&with_query(&path, &query), BYTES, budget).await?;
        Ok(text.lines().map(|line| shortened(line, LINE_BYTES)).collect())
    }
}

fn created(object: &Value) -> &str {
    text_or_empty(object, "/metadata/creationTimestamp")
}

/// Containers that may have written something: all but the init containers
/// that ended well.
fn container_names(pod: &Value) -> Vec<String> {
    let init = items(pod, "/status/initContainerStatuses")
        .iter()
        .filter(|status| status.pointer("/state/terminated/exitCode") != Some(&json!(0)));
    let named = |object: &Value| text(object, "/name").map(str::to_owned);
    init.chain(items(pod, "/spec/containers")).filter_map(named).collect()
}

/// A label selector in the form of a query.
fn selector(object: &Value) -> Option<String> {
    let selector = object.pointer("/spec/selector")?;
    let labels = match selector.get("matchLabels") {
        None if selector.get("matchExpressions").is_none() => Some(selector),
        labels => labels,
    };
    let mut terms: Vec<String> = labels
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in items(selector, "/matchExpressions") {
        let key = text(expression, "/key")?;
        let values: Vec<&str> =
            items(expression, "/values").iter().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match text(expression, "/operator")? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let of = |selector: Value| selector_of(&selector);
        fn selector_of(value: &Value) -> Option<String> {
            selector(&json!({"spec": {"selector": value}}))
        }
        assert_eq!(of(json!({"matchLabels": {"a": "1", "b": "2"}})).as_deref(), Some("a=1,b=2"));
        assert_eq!(of(json!({"app": "web"})).as_deref(), Some("app=web"));
        assert_eq!(
            of(json!({"matchExpressions": [
                {"key": "a", "operator": "In", "values": ["x", "y"]},
                {"key": "b", "operator": "DoesNotExist"},
            ]}))
            .as_deref(),
            Some("a in (x,y),!b")
        );
        assert_eq!(of(json!({})), None);
        assert_eq!(selector(&json!({"kind": "ConfigMap"})), None);
    }

    #[test]
    fn init_containers_that_ended_well_are_left_out() {
        let pod = json!({
            "spec": {"containers": [{"name": "web"}]},
            "status": {"initContainerStatuses": [
                {"name": "done", "state": {"terminated": {"exitCode": 0}}},
                {"name": "stuck", "state": {"waiting": {}}},
            ]},
        });
        assert_eq!(container_names(&pod), ["stuck", "web"]);
    }
}
