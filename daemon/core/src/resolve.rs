//! Replaces placeholders by outputs of resources.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::graph::{Node, ResourceGraph, Uid, parse_key};
use crate::score::{PlaceholderError, Reference, Workload, expand};
use crate::{EnvironmentId, Fault, Name};

/// What placeholders may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Where.
    pub environment: &'a EnvironmentId,
    /// The environment's type.
    pub environment_type: &'a Name,
    /// The environment's values, its type's included.
    pub values: &'a BTreeMap<String, Value>,
    /// What is needed.
    pub graph: &'a ResourceGraph,
    /// Outputs of what is there.
    pub outputs: &'a BTreeMap<Uid, Value>,
    /// What stands for an output that is not there: an error, or, in a
    /// preview, a text that says so.
    pub missing: Missing,
}

/// What to do about an output that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is an error.
    Fault,
    /// Put a text in its place.
    Preview,
}

/// The text for an output that is not known yet.
pub fn known_later(what: &str) -> String {
    format!("{KNOWN_LATER}{what})")
}

const KNOWN_LATER: &str = "(known after provisioning: ";

/// Whether there is such a text anywhere in a document.
pub fn is_known_later(document: &Value) -> bool {
    match document {
        Value::String(text) => text.contains(KNOWN_LATER),
        Value::Array(list) => list.iter().any(is_known_later),
        Value::Object(map) => map.values().any(is_known_later),
        _ => false,
    }
}

/// A text with another where an output is not known yet.
pub fn known_now(text: &str, instead: &str) -> String {
    let mut rest = text;
    let mut replaced = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once(KNOWN_LATER) {
        let Some((_, behind)) = after.split_once(')') else { break };
        replaced.push_str(before);
        replaced.push_str(instead);
        rest = behind;
    }
    replaced.push_str(rest);
    replaced
}

impl Context<'_> {
    fn output(&self, uid: &Uid, keys: &[String], text: &str) -> Result<Value, PlaceholderError> {
        let error = |message: String| PlaceholderError { placeholder: text.to_owned(), message };
        let name = self.graph.nodes.get(uid).map(|node| node.key.to_string()).unwrap_or_default();
        let Some(outputs) = self.outputs.get(uid) else {
            return match self.missing {
                Missing::Preview => Ok(Value::String(known_later(text))),
                Missing::Fault => Err(error(format!("resource {name} has no outputs yet"))),
            };
        };
        if keys.is_empty() {
            // A placeholder to a resource as a whole is its source (volumes),
            // or else its name.
            return Ok(outputs.get("source").cloned().unwrap_or_else(|| json!(uid.0)));
        }
        let mut value = outputs;
        for key in keys {
            value = match descend(value, key) {
                Some(value) => value,
                None if self.missing == Missing::Preview => {
                    return Ok(Value::String(known_later(text)));
                }
                None => {
                    let offered = match value {
                        Value::Object(fields) if !fields.is_empty() => {
                            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
                            format!("there are {}", names.join(", "))
                        }
                        _ => "there are none".to_owned(),
                    };
                    return Err(error(format!("resource {name} has no output {key:?}; {offered}")));
                }
            };
        }
        Ok(value.clone())
    }

    /// What a workload's placeholder refers to.
    fn of_workload(
        &self,
        name: &str,
        metadata: &Value,
        reference: &Reference,
    ) -> Result<Value, PlaceholderError> {
        let error =
            |message: String| PlaceholderError { placeholder: reference.text.clone(), message };
        match reference.root() {
            ("metadata", keys) if !keys.is_empty() => {
                let found = keys.iter().try_fold(metadata, |value, key| descend(value, key));
                found
                    .cloned()
                    .ok_or_else(|| error("the workload's metadata has no such key".into()))
            }
            ("resources", [resource, keys @ ..]) => {
                let find = |workload: &str| self.graph.names.get(workload)?.get(resource);
                match find(name).or_else(|| find("")) {
                    Some(uid) => self.output(uid, keys, &reference.text),
                    None => Err(error(format!("the workload declares no resource {resource:?}"))),
                }
            }
            _ => Err(error("expected metadata.KEY or resources.NAME".into())),
        }
    }

    /// What a definition's placeholder refers to.
    fn of_definition(
        &self,
        node: &Node,
        params: &Value,
        reference: &Reference,
    ) -> Result<Value, PlaceholderError> {
        let error =
            |message: String| PlaceholderError { placeholder: reference.text.clone(), message };
        match reference.root() {
            ("context", [key]) => match key.as_str() {
                "application" => Ok(json!(self.environment.application)),
                "environment" => Ok(json!(self.environment.environment)),
                "environment_type" => Ok(json!(self.environment_type)),
                _ => Err(error(
                    "expected context.application, .environment or .environment_type".into(),
                )),
            },
            ("resource", [first, keys @ ..]) if first == "params" => keys
                .iter()
                .try_fold(params, |value, key| descend(value, key))
                .cloned()
                .ok_or_else(|| error(format!("resource {} has no such param", node.key))),
            ("resource", [key]) => match key.as_str() {
                "id" => Ok(json!(node.key.id)),
                "class" => Ok(json!(node.key.class)),
                "type" => Ok(json!(node.key.resource_type)),
                "workload" => Ok(json!(node.workload.clone().unwrap_or_default())),
                _ => Err(error("expected resource.id, .class, .type, .workload or .params".into())),
            },
            ("values", [first, keys @ ..]) => self
                .values
                .get(first)
                .and_then(|value| keys.iter().try_fold(value, |value, key| descend(value, key)))
                .cloned()
                .ok_or_else(|| error("neither the environment nor its type has it".into())),
            ("resources", [key, keys @ ..]) => match parse_key(key) {
                Some(key) => {
                    let uid = self.graph.uid_of(&key, self.environment);
                    let uid = uid.unwrap_or_else(|| key.uid(self.environment));
                    self.output(&uid, keys, &reference.text)
                }
                None => Err(error("expected resources.TYPE[/CLASS][#ID].OUTPUT".into())),
            },
            _ => Err(error("expected context, resource, values or resources".into())),
        }
    }
}

fn descend<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Replaces placeholders in every string of a value. A string that is nothing
/// but one placeholder becomes what it refers to, number or object as it is.
fn expand_value(
    value: &Value,
    lookup: &dyn Fn(&Reference) -> Result<Value, PlaceholderError>,
) -> Result<Value, PlaceholderError> {
    Ok(match value {
        Value::String(text) => match crate::score::parse(text).as_slice() {
            [crate::score::Segment::Placeholder(reference)] => lookup(reference)?,
            _ => Value::String(expand(text, lookup)?),
        },
        Value::Array(items) => Value::Array(
            items.iter().map(|item| expand_value(item, lookup)).collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, item)| Ok((key.clone(), expand_value(item, lookup)?)))
                .collect::<Result<Map<_, _>, PlaceholderError>>()?,
        ),
        other => other.clone(),
    })
}

fn unresolved(place: &str, error: &PlaceholderError) -> Fault {
    Fault::invalid("unresolved-placeholder", format!("{place}: {error}"))
}

fn object(fields: &BTreeMap<String, Value>) -> Value {
    Value::Object(fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A resource's params and inputs, placeholders replaced.
pub fn resource(
    context: &Context<'_>,
    node: &Node,
    metadata: &Value,
) -> Result<(Value, Value), Fault> {
    let workload = node.workload.clone().unwrap_or_default();
    let params = expand_value(&object(&node.params), &|reference| {
        context.of_workload(&workload, metadata, reference)
    })
    .map_err(|error| unresolved(&format!("params of {}", node.key), &error))?;
    let inputs = expand_value(&object(&node.inputs), &|reference| {
        context.of_definition(node, &params, reference)
    })
    .map_err(|error| {
        unresolved(&format!("resource {} by definition {}", node.key, node.definition), &error)
    })?;
    Ok((params, inputs))
}

/// A workload's document, placeholders replaced where Score has them: in
/// variables, contents of files, sources of volumes. Its resources stay as
/// they are written.
pub fn workload(context: &Context<'_>, name: &str, workload: &Workload) -> Result<Value, Fault> {
    let metadata = metadata_of(workload);
    let lookup = |reference: &Reference| context.of_workload(name, &metadata, reference);
    let mut resolved = workload.clone();
    for (container_name, container) in &mut resolved.containers {
        let place = |what: &str| format!("workload {name}, container {container_name}, {what}");
        for (variable, value) in &mut container.variables {
            *value = expand(value, &lookup)
                .map_err(|error| unresolved(&place(&format!("variable {variable}")), &error))?;
        }
        for (target, file) in &mut container.files {
            if file.no_expand != Some(true)
                && let Some(content) = &mut file.content
            {
                *content = expand(content, &lookup)
                    .map_err(|error| unresolved(&place(&format!("file {target}")), &error))?;
            }
        }
        for (target, volume) in &mut container.volumes {
            volume.source = expand(&volume.source, &lookup)
                .map_err(|error| unresolved(&place(&format!("volume {target}")), &error))?;
        }
    }
    serde_json::to_value(&resolved)
        .map_err(|error| Fault::bug("workload-not-json", format!("workload {name}: {error}")))
}

/// A workload's metadata as placeholders see it.
pub fn metadata_of(workload: &Workload) -> Value {
    serde_json::to_value(&workload.metadata).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphInput, build};

    fn fixture() -> (crate::set::DeploymentSet, ResourceGraph, EnvironmentId) {
        let set: crate::set::DeploymentSet = serde_json::from_value(json!({
            "application": "shop",
            "workloads": {"web": {
                "apiVersion": "score.dev/v1b1",
                "metadata": {"name": "web", "annotations": {"team.io/owner": "pay"}},
                "containers": {"main": {
                    "image": "x",
                    "variables": {
                        "URL": "http://${resources.site.host}:${resources.site.port}/${metadata.name}",
                        "OWNER": r"${metadata.annotations.team\.io/owner}",
                        "RAW": "$${metadata.name}",
                    },
                    "files": {
                        "/a": {"content": "${resources.site.host}"},
                        "/b": {"content": "${resources.site.host}", "noExpand": true},
                    },
                    "volumes": {"/data": {"source": "${resources.disk}"}},
                }},
                "resources": {"site": {"type": "dns"}, "disk": {"type": "volume"}},
            }},
        }))
        .unwrap();
        let spec = |resource_type: &str, inputs: Value| {
            serde_json::from_value(json!({"type": resource_type, "driver": "d", "inputs": inputs}))
                .unwrap()
        };
        let definitions = BTreeMap::from([
            ("c".parse().unwrap(), spec("k8s-cluster", json!({}))),
            ("n".parse().unwrap(), spec("k8s-namespace", json!({}))),
            (
                "s".parse().unwrap(),
                spec(
                    "dns",
                    json!({"count": "${values.count}", "name": "${context.environment}-x"}),
                ),
            ),
            ("v".parse().unwrap(), spec("volume", json!({}))),
        ]);
        let environment: EnvironmentId = "shop/dev".parse().unwrap();
        let graph = build(&GraphInput {
            environment: &environment,
            environment_type: &"development".parse().unwrap(),
            set: &set,
            definitions: &definitions,
            made_by: &BTreeMap::new(),
            values: &BTreeMap::new(),
        })
        .unwrap();
        (set, graph, environment)
    }

    fn render(missing: Missing, outputs: &[(&str, Value)]) -> Result<Value, Fault> {
        let (set, graph, environment) = fixture();
        let outputs = outputs
            .iter()
            .map(|(name, value)| (graph.names["web"][*name].clone(), value.clone()))
            .collect();
        let context = Context {
            environment: &environment,
            environment_type: &"development".parse().unwrap(),
            values: &BTreeMap::new(),
            graph: &graph,
            outputs: &outputs,
            missing,
        };
        workload(&context, "web", &set.workloads["web"])
    }

    #[test]
    fn placeholders_are_replaced_where_score_has_them() {
        let document = render(
            Missing::Fault,
            &[
                ("site", json!({"host": "shop.test", "port": 80})),
                ("disk", json!({"source": {"emptyDir": {}}})),
            ],
        )
        .unwrap();
        let main = &document["containers"]["main"];
        assert_eq!(main["variables"]["URL"], "http://shop.test:80/web");
        assert_eq!(main["variables"]["OWNER"], "pay");
        assert_eq!(main["variables"]["RAW"], "${metadata.name}");
        assert_eq!(main["files"]["/a"]["content"], "shop.test");
        assert_eq!(main["files"]["/b"]["content"], "${resources.site.host}");
        assert_eq!(main["volumes"]["/data"]["source"], r#"{"emptyDir":{}}"#);
    }

    #[test]
    fn what_is_not_there_is_a_fault_and_in_a_preview_said() {
        let fault = render(Missing::Fault, &[("site", json!({"ip": "1"}))]).unwrap_err();
        assert!(fault.message.contains("has no output \"host\"; there are ip"), "{fault}");
        let document = render(Missing::Preview, &[]).unwrap();
        let url = document["containers"]["main"]["variables"]["URL"].as_str().unwrap().to_owned();
        assert!(url.contains("(known after provisioning: resources.site.host)"), "{url}");
        let twice = format!("a{}b{}c", known_later("x"), known_later("y"));
        assert_eq!(known_now(&twice, "z"), "azbzc");
        assert_eq!(known_now("(known after provisioning: x", "z"), "(known after provisioning: x");
    }

    #[test]
    fn inputs_keep_the_type_of_what_they_refer_to() {
        let (_, graph, environment) = fixture();
        let context = Context {
            environment: &environment,
            environment_type: &"development".parse().unwrap(),
            values: &BTreeMap::from([("count".to_owned(), json!(3))]),
            graph: &graph,
            outputs: &BTreeMap::new(),
            missing: Missing::Fault,
        };
        let node = &graph.nodes[&graph.names["web"]["site"]];
        let (_, inputs) = resource(&context, node, &Value::Null).unwrap();
        assert_eq!(inputs, json!({"count": 3, "name": "dev-x"}));
    }
}
