//! The resource graph: what a set needs in an environment, which definition is
//! for each, and what has to be there before what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Provider, ResourceDefinitionSpec, WhenUnused};
use crate::matching::{self, DEFAULT_CLASS, MatchError, Subject};
use crate::score::{Reference, references};
use crate::set::DeploymentSet;
use crate::{Digest, EnvironmentId, Name};

/// The type of the resource that says which cluster an environment is in.
pub const CLUSTER: &str = "k8s-cluster";
/// The type of the resource that says which namespace an environment is in.
pub const NAMESPACE: &str = "k8s-namespace";
/// The id of resources that belong to the environment and to no workload.
pub const ENVIRONMENT_RESOURCE: &str = "environment";

/// The most resources of one deployment: far above what an application has,
/// and low enough that the event which names them all stays below what a store
/// takes as one.
pub const RESOURCES_MAX: usize = 4_000;

/// What makes two requests the same resource.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct ResourceKey {
    /// `postgres`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// `default`.
    pub class: String,
    /// `backend.db` for a workload's own, else as given.
    pub id: String,
}

impl ResourceKey {
    /// The resource of a type that belongs to the environment.
    pub fn of_environment(resource_type: &str) -> Self {
        Self {
            resource_type: resource_type.to_owned(),
            class: DEFAULT_CLASS.to_owned(),
            id: ENVIRONMENT_RESOURCE.to_owned(),
        }
    }

    /// Names the resource for ever: 16 hex digits.
    pub fn uid(&self, environment: &EnvironmentId) -> Uid {
        self.uid_of(environment, &[])
    }

    /// Names what takes the resource's place when another driver makes it anew:
    /// both are there for a while, and must not be taken for each other.
    fn replacing_uid(&self, environment: &EnvironmentId, driver: &Name) -> Uid {
        self.uid_of(environment, &[driver.as_str().as_bytes()])
    }

    fn uid_of(&self, environment: &EnvironmentId, more: &[&[u8]]) -> Uid {
        let mut parts = vec![
            environment.application.as_str().as_bytes(),
            environment.environment.as_str().as_bytes(),
            self.resource_type.as_bytes(),
            self.class.as_bytes(),
            self.id.as_bytes(),
        ];
        parts.extend(more);
        let mut hex = Digest::of_parts(&parts).hex();
        hex.truncate(16);
        Uid(hex)
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource_type)?;
        if self.class != DEFAULT_CLASS {
            write!(f, "/{}", self.class)?;
        }
        write!(f, "#{}", self.id)
    }
}

/// Names a resource for ever.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resource of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its key.
    pub key: ResourceKey,
    /// Workloads that ask for it.
    pub used_by: BTreeSet<String>,
    /// The workload whose placeholders its params are written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// What is asked for; strings may hold placeholders.
    pub params: BTreeMap<String, Value>,
    /// The name of its definition.
    pub definition: Name,
    /// The definition's content.
    pub definition_digest: Digest,
    /// Where it comes from.
    #[serde(flatten)]
    pub provider: Provider,
    /// What the driver gets; strings may hold placeholders.
    pub inputs: BTreeMap<String, Value>,
    /// What has to be there before it.
    pub after: BTreeSet<Uid>,
    /// What happens once it is not asked for any more.
    pub when_unused: WhenUnused,
    /// Whether changes of it can't be undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_only: bool,
}

/// What a deployment needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceGraph {
    /// Resources by uid.
    pub nodes: BTreeMap<Uid, Node>,
    /// Uids by workload and the name it gives a resource. Shared resources are
    /// under the workload `""`.
    pub names: BTreeMap<String, BTreeMap<String, Uid>>,
}

impl ResourceGraph {
    /// The uid of a resource: usually the one that its key gives by itself.
    pub fn uid_of(&self, key: &ResourceKey, environment: &EnvironmentId) -> Option<Uid> {
        let usual = key.uid(environment);
        if self.nodes.contains_key(&usual) {
            return Some(usual);
        }
        self.nodes.iter().find(|(_, node)| node.key == *key).map(|(uid, _)| uid.clone())
    }
}

/// What a graph is made from.
#[derive(Debug, Clone, Copy)]
pub struct GraphInput<'a> {
    /// Where.
    pub environment: &'a EnvironmentId,
    /// The environment's type.
    pub environment_type: &'a Name,
    /// What is to be deployed.
    pub set: &'a DeploymentSet,
    /// All definitions.
    pub definitions: &'a BTreeMap<Name, ResourceDefinitionSpec>,
    /// The drivers of resources that are there.
    pub made_by: &'a BTreeMap<Uid, Name>,
    /// The environment's values, its type's included.
    pub values: &'a BTreeMap<String, Value>,
}

/// What is wrong with what a set asks for. All of it is reported at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// No definition, or two.
    #[error("resource {key} (asked for by {asked_by}): {source}")]
    Definition {
        /// Which resource.
        key: ResourceKey,
        /// Workloads, or the definition that refers to it.
        asked_by: String,
        /// Why.
        source: MatchError,
    },
    /// A definition that does not say where its resource comes from.
    #[error("resource definition {0} has to name either a driver or a lender")]
    NoProvider(Name),
    /// A definition by which an environment would borrow from itself.
    #[error(
        "resource {key}: definition {definition} borrows it from {lender}, which is this \
         environment; another definition has to say how it is provisioned here, \
         with criteria that name this environment"
    )]
    OwnLender {
        /// Which resource.
        key: ResourceKey,
        /// By which definition.
        definition: Name,
        /// The environment.
        lender: EnvironmentId,
    },
    /// Two workloads ask for the same resource differently.
    #[error("resource {key}: workloads {first} and {second} ask for it with different params")]
    Contradiction {
        /// Which resource.
        key: ResourceKey,
        /// One workload.
        first: String,
        /// Another.
        second: String,
    },
    /// A placeholder to nothing.
    #[error("{place}: placeholder ${{{placeholder}}}: {message}")]
    Placeholder {
        /// Where it stands.
        place: String,
        /// What stands between the braces.
        placeholder: String,
        /// What is wrong with it.
        message: String,
    },
    /// Resources that wait for each other.
    #[error("resources wait for each other: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// Too many.
    #[error("{found} resources; at most {RESOURCES_MAX} are allowed in a deployment")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// What can't be serialised.
    #[error("definition {0} can't be hashed: {1}")]
    Content(Name, String),
}

/// Builds the graph, or says all that is wrong.
pub fn build(input: &GraphInput<'_>) -> Result<ResourceGraph, Vec<GraphError>> {
    let mut builder = Builder {
        input,
        graph: ResourceGraph::default(),
        uids: BTreeMap::new(),
        errors: Vec::new(),
        open: Vec::new(),
    };
    builder.requests();
    while let Some(uid) = builder.open.pop() {
        builder.connect(&uid);
        if builder.graph.nodes.len() > RESOURCES_MAX {
            builder.errors.push(GraphError::TooMany { found: builder.graph.nodes.len() });
            break;
        }
    }
    if builder.errors.is_empty()
        && let Err(cycle) = order(&builder.graph)
    {
        builder.errors.push(GraphError::Cycle(cycle));
    }
    if builder.errors.is_empty() { Ok(builder.graph) } else { Err(builder.errors) }
}

struct Builder<'a> {
    input: &'a GraphInput<'a>,
    graph: ResourceGraph,
    /// Uids of the nodes.
    uids: BTreeMap<ResourceKey, Uid>,
    errors: Vec<GraphError>,
    /// Nodes whose placeholders have not been looked at yet.
    open: Vec<Uid>,
}

impl Builder<'_> {
    fn requests(&mut self) {
        self.add(ResourceKey::of_environment(CLUSTER), None, BTreeMap::new(), "every environment");
        self.add(
            ResourceKey::of_environment(NAMESPACE),
            None,
            BTreeMap::new(),
            "every environment",
        );
        let set = self.input.set;
        let shared = set.resources.iter().map(|(name, resource)| ("", name, resource));
        let own = set.workloads.iter().flat_map(|(workload, spec)| {
            spec.resources.iter().map(move |(name, resource)| (workload.as_str(), name, resource))
        });
        for (workload, name, resource) in shared.chain(own) {
            let class = resource.class.clone().unwrap_or_else(|| DEFAULT_CLASS.to_owned());
            let id = resource.id.clone().unwrap_or_else(|| {
                if workload.is_empty() {
                    format!("shared.{name}")
                } else {
                    format!("{workload}.{name}")
                }
            });
            let key = ResourceKey { resource_type: resource.resource_type.clone(), class, id };
            let asked_by = if workload.is_empty() { "the application" } else { workload };
            let user = (!workload.is_empty()).then_some(workload);
            if let Some(uid) = self.add(key, user, resource.params.clone(), asked_by) {
                let names = self.graph.names.entry(workload.to_owned()).or_default();
                names.insert(name.clone(), uid);
            }
        }
    }

    /// Adds a request; returns its uid unless there is no definition for it.
    fn add(
        &mut self,
        key: ResourceKey,
        workload: Option<&str>,
        params: BTreeMap<String, Value>,
        asked_by: &str,
    ) -> Option<Uid> {
        if let Some(uid) = self.uids.get(&key).cloned()
            && let Some(node) = self.graph.nodes.get_mut(&uid)
        {
            node.used_by.extend(workload.map(str::to_owned));
            if node.params.is_empty() && !params.is_empty() {
                node.params = params;
                node.workload = workload.map(str::to_owned);
            } else if !params.is_empty() && node.params != params {
                self.errors.push(GraphError::Contradiction {
                    key,
                    first: node.workload.clone().unwrap_or_default(),
                    second: asked_by.to_owned(),
                });
            }
            return Some(uid);
        }
        let subject = Subject {
            resource_type: &key.resource_type,
            class: &key.class,
            id: &key.id,
            application: self.input.environment.application.as_str(),
            environment: self.input.environment.environment.as_str(),
            environment_type: self.input.environment_type.as_str(),
            values: self.input.values,
        };
        let (name, definition) = match matching::best(self.input.definitions, &subject) {
            Ok(found) => found,
            Err(source) => {
                let asked_by = asked_by.to_owned();
                self.errors.push(GraphError::Definition { key, asked_by, source });
                return None;
            }
        };
        let definition_digest = match Digest::of_json(definition) {
            Ok(digest) => digest,
            Err(error) => {
                self.errors.push(GraphError::Content(name.clone(), error.to_string()));
                return None;
            }
        };
        let provider = match definition.provider() {
            Some(Provider::Lender(lender)) if lender == *self.input.environment => {
                let definition = name.clone();
                self.errors.push(GraphError::OwnLender { key, definition, lender });
                return None;
            }
            Some(provider) => provider,
            None => {
                self.errors.push(GraphError::NoProvider(name.clone()));
                return None;
            }
        };
        let uid = self.uid(&key, &provider);
        self.uids.insert(key.clone(), uid.clone());
        self.graph.nodes.insert(
            uid.clone(),
            Node {
                key,
                used_by: workload.map(str::to_owned).into_iter().collect(),
                workload: workload.map(str::to_owned),
                params,
                definition: name.clone(),
                definition_digest,
                provider,
                inputs: definition.inputs.clone(),
                after: BTreeSet::new(),
                when_unused: definition.when_unused,
                forward_only: definition.forward_only,
            },
        );
        self.open.push(uid.clone());
        Some(uid)
    }

    /// The uid of a resource: another one than usual if that is another
    /// driver's, which knows nothing of what this one makes.
    fn uid(&self, key: &ResourceKey, provider: &Provider) -> Uid {
        let usual = key.uid(self.input.environment);
        let Provider::Driver(driver) = provider else { return usual };
        let replacing = key.replacing_uid(self.input.environment, driver);
        let is_there = self.input.made_by.contains_key(&replacing);
        let is_another_s = self.input.made_by.get(&usual).is_some_and(|maker| maker != driver);
        if is_there || is_another_s { replacing } else { usual }
    }

    /// Finds what a node refers to.
    fn connect(&mut self, uid: &Uid) {
        let Some(node) = self.graph.nodes.get(uid).cloned() else { return };
        let params = strings(node.params.values());
        let inputs = strings(node.inputs.values());
        let mut after = BTreeSet::new();
        for reference in params.iter().flat_map(|text| references(text)) {
            let place = format!("params of {}", node.key);
            match self.of_workload(node.workload.as_deref().unwrap_or(""), &reference) {
                Ok(found) => after.extend(found),
                Err(message) => self.placeholder(&place, &reference, message),
            }
        }
        for reference in inputs.iter().flat_map(|text| references(text)) {
            let place = format!("resource definition {}", node.definition);
            match reference.root() {
                ("resources", [key, ..]) => match parse_key(key) {
                    Some(key) => {
                        let asked_by = format!("definition {}", node.definition);
                        after.extend(self.add(key, None, BTreeMap::new(), &asked_by));
                    }
                    None => self.placeholder(
                        &place,
                        &reference,
                        "expected resources.TYPE[/CLASS][#ID].OUTPUT".to_owned(),
                    ),
                },
                ("context" | "resource" | "values", [_, ..]) => {}
                _ => self.placeholder(
                    &place,
                    &reference,
                    "expected context, resource, values or resources".to_owned(),
                ),
            }
        }
        if let Some(node) = self.graph.nodes.get_mut(uid) {
            node.after = after;
        }
    }

    /// The resource that a placeholder of a workload refers to, if it is one
    /// to a resource.
    fn of_workload(&self, workload: &str, reference: &Reference) -> Result<Option<Uid>, String> {
        match reference.root() {
            ("metadata", [_, ..]) => Ok(None),
            ("resources", [name, ..]) => {
                let find = |workload: &str| self.graph.names.get(workload)?.get(name);
                // All requests are in `names` before any node is connected.
                match find(workload).or_else(|| find("")) {
                    Some(uid) => Ok(Some(uid.clone())),
                    None => Err(format!("the workload declares no resource {name:?}")),
                }
            }
            _ => Err("expected metadata.KEY or resources.NAME".to_owned()),
        }
    }

    fn placeholder(&mut self, place: &str, reference: &Reference, message: String) {
        self.errors.push(GraphError::Placeholder {
            place: place.to_owned(),
            placeholder: reference.text.clone(),
            message,
        });
    }
}

/// Reads `TYPE[/CLASS][#ID]`, as definitions refer to resources.
pub fn parse_key(text: &str) -> Option<ResourceKey> {
    let (rest, id) = text.split_once('#').unwrap_or((text, ENVIRONMENT_RESOURCE));
    let (resource_type, class) = rest.split_once('/').unwrap_or((rest, DEFAULT_CLASS));
    if resource_type.is_empty() || class.is_empty() || id.is_empty() {
        return None;
    }
    Some(ResourceKey {
        resource_type: resource_type.to_owned(),
        class: class.to_owned(),
        id: id.to_owned(),
    })
}

/// Every string in values, at any depth.
pub(crate) fn strings<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<&'a str> {
    let mut open: Vec<&Value> = values.collect();
    let mut found = Vec::new();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.push(text.as_str()),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

/// Uids in an order in which each comes after what it needs; or a cycle, as
/// keys, the first one repeated at the end.
pub fn order(graph: &ResourceGraph) -> Result<Vec<Uid>, Vec<String>> {
    let mut ordered = Vec::new();
    let mut done = BTreeSet::new();
    while ordered.len() < graph.nodes.len() {
        let before = ordered.len();
        for (uid, node) in &graph.nodes {
            let ready = node.after.iter().all(|needed| done.contains(needed));
            if ready && done.insert(uid.clone()) {
                ordered.push(uid.clone());
            }
        }
        if ordered.len() == before {
            return Err(cycle(graph, &done));
        }
    }
    Ok(ordered)
}

/// The order in which to take resources away, of what each comes after: each
/// before what it needs.
pub fn dependents_first(after: &BTreeMap<Uid, BTreeSet<Uid>>) -> Vec<Uid> {
    let mut left = after.clone();
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(first) = left.keys().next().cloned() {
        let needed: BTreeSet<&Uid> = left.values().flatten().collect();
        let mut free: Vec<Uid> =
            left.keys().filter(|uid| !needed.contains(*uid)).cloned().collect();
        // Plans of different times can contradict each other: a cycle is cut.
        if free.is_empty() {
            free.push(first);
        }
        for uid in free {
            left.remove(&uid);
            ordered.push(uid);
        }
    }
    ordered
}

/// What has to be gone before each of these can go: in an order in which they
/// can go one by one, those before it that need it.
pub fn gone_before(
    order: &[Uid],
    after: &BTreeMap<Uid, BTreeSet<Uid>>,
) -> BTreeMap<Uid, BTreeSet<Uid>> {
    let mut before: BTreeMap<Uid, BTreeSet<Uid>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for uid in order {
        before.entry(uid.clone()).or_default();
        seen.insert(uid);
        for needed in after.get(uid).into_iter().flatten() {
            // What went already can't wait: plans of different times can
            // contradict each other.
            if !seen.contains(needed) {
                before.entry(needed.clone()).or_default().insert(uid.clone());
            }
        }
    }
    before.retain(|uid, _| seen.contains(uid));
    before
}

/// Walks along unmet needs until something comes up twice.
fn cycle(graph: &ResourceGraph, done: &BTreeSet<Uid>) -> Vec<String> {
    let mut walked: Vec<&Uid> = Vec::new();
    let mut at = graph.nodes.keys().find(|uid| !done.contains(*uid));
    while let Some(uid) = at {
        let start = walked.iter().position(|seen| *seen == uid);
        walked.push(uid);
        if let Some(start) = start {
            return walked
                .iter()
                .skip(start)
                .filter_map(|uid| graph.nodes.get(*uid))
                .map(|node| node.key.to_string())
                .collect();
        }
        at = graph
            .nodes
            .get(uid)
            .and_then(|node| node.after.iter().find(|needed| !done.contains(*needed)));
    }
    Vec::new()
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
