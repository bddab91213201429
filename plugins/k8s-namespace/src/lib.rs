//! Driver `k8s-namespace`: a namespace for an environment, as manifests that are
//! applied with the deployment.
//!
//! ```yaml
//! kind: ResourceDefinition
//! spec:
//!   type: k8s-namespace
//!   driver: k8s-namespace
//!   inputs:
//!     name: ${context.application}-${context.environment}
//!     labels: { pod-security.kubernetes.io/enforce: baseline }
//!     quota: { requests.cpu: "4", pods: 50 }
//!     default_deny_network: true
//! ```
//!
//! Output: `name`.

use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::{Fault, Host, Ignored, export_driver, name};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

struct Namespace;

export_driver!(Namespace);

/// What the platform's definition says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    quota: Option<Map<String, Value>>,
    #[serde(default)]
    default_deny_network: bool,
}

/// The name that was given: another one later is another namespace. And what
/// was made, so that a plan can tell whether that would change.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    name: String,
    #[serde(default)]
    manifests: Vec<Value>,
}

impl Driver for Namespace {
    type Params = Ignored;
    type Inputs = Inputs;
    type State = State;

    fn plan(request: &Request<Self>, _: &impl Host) -> Result<Planned, Fault> {
        let name = label(request)?;
        let planned = match &request.state {
            None => Planned::new(Action::Create).line(format!("namespace {name}")),
            Some(state) if state.name == name => {
                let same = state.manifests == manifests(&name, request);
                Planned::new(if same { Action::None } else { Action::Update })
            }
            Some(state) => Planned::new(Action::Replace)
                .line(format!("namespace {name} instead of {}", state.name)),
        };
        Ok(planned.output("name", name))
    }

    fn provision(
        request: &Request<Self>,
        _: Option<&str>,
        _: &impl Host,
    ) -> Result<Progress<State>, Fault> {
        let name = label(request)?;
        let manifests = manifests(&name, request);
        let state = State { name: name.clone(), manifests: manifests.clone() };
        let provisioned = manifests
            .into_iter()
            .fold(Provisioned::new(state).output("name", name), Provisioned::manifest);
        Ok(provisioned.into())
    }

    /// Nothing outside the manifests, which the daemon watches itself.
    fn observe(request: &Request<Self>, _: &impl Host) -> Result<Option<Value>, Fault> {
        let state = request.state.as_ref();
        Ok(state.map(|state| json!({"name": state.name})))
    }

    /// The daemon prunes the manifests, the namespace with them.
    fn destroy(_: &Request<Self>, _: Option<&str>, _: &impl Host) -> Result<Removal, Fault> {
        Ok(Removal::Done)
    }
}

fn label(request: &Request<Namespace>) -> Result<String, Fault> {
    if request.inputs.name.trim().is_empty() {
        return Err(Fault::invalid("/inputs/name", "a namespace needs a name"));
    }
    Ok(name::dns_label(&request.inputs.name))
}

fn manifests(name: &str, request: &Request<Namespace>) -> Vec<Value> {
    let inputs = &request.inputs;
    let quota = inputs.quota.as_ref().map(|hard| quota(name, hard));
    let policy = inputs.default_deny_network.then(|| same_namespace_only(name));
    [namespace(name, request)].into_iter().chain(quota).chain(policy).collect()
}

fn namespace(name: &str, request: &Request<Namespace>) -> Value {
    let mut labels = BTreeMap::from([
        ("app.kubernetes.io/managed-by", "deployd".to_owned()),
        ("deployd.dev/application", request.scope.application.clone()),
        ("deployd.dev/environment", request.scope.environment.clone()),
    ]);
    let own = request.inputs.labels.iter();
    labels.extend(own.map(|(key, value)| (key.as_str(), value.clone())));
    let mut metadata = json!({"name": name, "labels": labels});
    if let (Some(metadata), false) =
        (metadata.as_object_mut(), request.inputs.annotations.is_empty())
    {
        metadata.insert("annotations".to_owned(), json!(request.inputs.annotations));
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

fn quota(namespace: &str, hard: &Map<String, Value>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "deployd", "namespace": namespace},
        "spec": {"hard": hard},
    })
}

fn same_namespace_only(namespace: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deployd-default-deny", "namespace": namespace},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}]}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_plugin_sdk::testing::{self, FakeHost};

    fn provision(inputs: &Value) -> Provisioned<State> {
        let request = testing::request::<Namespace>(&json!({}), inputs).unwrap();
        match Namespace::provision(&request, None, &FakeHost::new()).unwrap() {
            Progress::Done(provisioned) => provisioned,
            Progress::Pending(_) => panic!("nothing to wait for"),
        }
    }

    #[test]
    fn a_namespace_says_whose_it_is() {
        let provisioned = provision(&json!({"name": "Shop/Staging", "labels": {"team": "a"}}));
        assert_eq!(provisioned.outputs["name"], "shop-staging");
        let labels = &provisioned.manifests[0]["metadata"]["labels"];
        assert_eq!(labels["team"], "a");
        assert_eq!(labels["deployd.dev/environment"], "staging-1");
        assert_eq!(provisioned.manifests.len(), 1);
    }

    #[test]
    fn quota_and_network_policy_are_made_when_asked_for() {
        let inputs = json!({"name": "x1", "quota": {"pods": 5}, "default_deny_network": true});
        let kinds: Vec<Value> =
            provision(&inputs).manifests.iter().map(|manifest| manifest["kind"].clone()).collect();
        assert_eq!(kinds, ["Namespace", "ResourceQuota", "NetworkPolicy"]);
    }

    #[test]
    fn another_name_is_another_namespace() {
        let mut request =
            testing::request::<Namespace>(&json!({}), &json!({"name": "new"})).unwrap();
        request.state = Some(State { name: "old".to_owned(), manifests: Vec::new() });
        let planned = Namespace::plan(&request, &FakeHost::new()).unwrap();
        assert_eq!(planned.action, Action::Replace);
        assert_eq!(planned.summary, ["namespace new instead of old"]);
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        let inputs = |labels: Value| json!({"name": "x", "labels": labels});
        let made = provision(&inputs(json!({"team": "a"})));
        for (labels, action) in
            [(json!({"team": "a"}), Action::None), (json!({"team": "b"}), Action::Update)]
        {
            let mut request = testing::request::<Namespace>(&json!({}), &inputs(labels)).unwrap();
            request.state = Some(State {
                name: made.state.name.clone(),
                manifests: made.state.manifests.clone(),
            });
            assert_eq!(Namespace::plan(&request, &FakeHost::new()).unwrap().action, action);
        }
    }

    #[test]
    fn a_mistyped_input_is_named() {
        let fault = testing::request::<Namespace>(&json!({}), &json!({"name": "x", "qouta": {}}))
            .err()
            .unwrap();
        assert!(fault.to_string().contains("qouta"), "{fault}");
    }
}
