//! Taking over what runs already: from Kubernetes objects to Score documents and
//! definitions that render the same objects.
//!
//! - What Score can say of a Deployment, StatefulSet or DaemonSet, and of the Service
//!   in front of it, becomes a Score document; the rest of it stands in the
//!   environment's values, as `adopted.WORKLOAD`, and the baseline `adopted` of the
//!   templater `score-k8s` puts both together.
//! - What is no workload is carried as it is, by a resource definition with the driver
//!   `template`: a `volume`, a `config`, a `route` of the workload that uses it, or
//!   something that the application shares.
//! - Values of Secrets go nowhere: they become secrets of the operator, by name.
//! - What a server has added, and what others make of these objects, is left out.
//!
//! [`check`] compares what a proposal renders with what it was made from.

mod carried;
mod check;
mod container;
mod difference;
mod documents;
mod escape;
mod left_out;
mod names;
mod object;
mod pods;
mod quiet;
mod route;
mod secrets;
mod service;
#[cfg(test)]
mod tests;
mod volumes;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::{
    ApplicationSpec, Envelope, EnvironmentSpec, EnvironmentTypeSpec, PluginSpec,
    ResourceDefinitionSpec,
};
use crate::ports::ObjectRef;
use crate::score::{Resource, Workload};
use crate::{EnvironmentId, Name};

pub use check::{Compared, Outcome, check};
pub use secrets::SecretToSet;

use names::Names;
use object::{is, kind, name, text};
use volumes::Offered;

/// The most objects that are taken over at once. Each becomes a file, and documents are
/// read from at most 1,000.
pub const OBJECTS_MAX: usize = 900;

/// An object, and where it was found.
#[derive(Debug, Clone)]
pub struct Source {
    /// The object. Of a Secret, what is text stands in `stringData`, and in `data` only
    /// what is none.
    pub object: Value,
    /// `shop.yaml:12`.
    pub place: String,
}

/// What a proposal is for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The application and the environment that are proposed.
    pub environment: EnvironmentId,
    /// The namespace that it runs in, which stays as it is.
    pub namespace: String,
}

/// What is proposed.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Score documents by workload.
    pub workloads: BTreeMap<Name, Workload>,
    /// The application.
    pub application: Envelope<ApplicationSpec>,
    /// The environment, with what Score can't say of its workloads.
    pub environment: Envelope<EnvironmentSpec>,
    /// The environment's type.
    pub environment_type: Envelope<EnvironmentTypeSpec>,
    /// What carries the other objects.
    pub definitions: Vec<Envelope<ResourceDefinitionSpec>>,
    /// The plugins that these name.
    pub plugins: Vec<Envelope<PluginSpec>>,
    /// The operator's secret with a kubeconfig of the cluster.
    pub cluster_secret: Name,
    /// The operator's secrets that have to be set before anything is deployed.
    pub secrets: Vec<SecretToSet>,
    /// Each object, and where it has gone.
    pub placed: Vec<Placed>,
    /// What could not be expressed, or is different from now on.
    pub notes: Vec<Note>,
    /// The objects that should be rendered, without what servers add.
    pub expected: Vec<Source>,
}

/// Where an object has gone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placed {
    /// The object.
    pub object: ObjectRef,
    /// Where it was found.
    pub place: String,
    /// Where it is now.
    pub to: Place,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// In a Score document, and what Score can't say in the environment's values.
    #[serde(rename_all = "camelCase")]
    Workload {
        /// The workload.
        workload: String,
        /// The fields that are in the environment's values.
        besides: Vec<String>,
    },
    /// As it is, in a resource definition.
    Definition {
        /// Its name.
        definition: String,
    },
    /// Nowhere: it follows from others, or is not ours to say.
    LeftOut {
        /// Why.
        why: String,
    },
    /// Nowhere, and deployd does not know it: it stays as it is.
    NotCarriedOver {
        /// Why.
        why: String,
        /// What to do about it.
        advice: String,
    },
}

/// What its reader should know of something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// Which object; none for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// Where it was found; empty for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The field, as `spec.replicas`; empty for the object as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is with it.
    pub why: String,
    /// What to do about it.
    pub advice: String,
}

/// Why nothing is proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// There is nothing to take over.
    #[error(
        "found no object that could be taken over, expected Deployments, StatefulSets, DaemonSets or others"
    )]
    Nothing,
    /// More than fit.
    #[error(
        "found {0} objects, expected at most {OBJECTS_MAX}: take over an application at a time, as `kubectl get ... --selector` finds them"
    )]
    TooMany(usize),
    /// An object a second time.
    #[error(
        "{second}: found {object} a second time, expected each object once; the first is at {first}"
    )]
    Twice {
        /// Which.
        object: String,
        /// Where it was found first.
        first: String,
        /// Where it was found again.
        second: String,
    },
    /// What can't be a document.
    #[error("{0}")]
    Document(String),
}

/// Proposes documents for objects.
///
/// The same objects give the same proposal, whatever their order. Fails when there are
/// none or too many, and when one is there twice. What one object has that can't be
/// expressed fails nothing: it is in [`Adoption::placed`] and [`Adoption::notes`].
pub fn adopt(sources: &[Source], options: &Options) -> Result<Adoption, AdoptError> {
    let mut draft = Draft::new(sources, options)?;
    draft.leave_out();
    draft.workloads();
    draft.others();
    if draft.expected.is_empty() {
        return Err(AdoptError::Nothing);
    }
    documents::finish(draft)
}

/// A proposal in the making.
struct Draft<'a> {
    options: &'a Options,
    /// What is still to be placed, without what servers add.
    open: Vec<Source>,
    expected: Vec<Source>,
    workloads: BTreeMap<Name, Workload>,
    /// Resources that the application shares.
    shared: BTreeMap<String, Resource>,
    /// Values of the environment: what Score can't say, and how many pods.
    kept: Map<String, Value>,
    replicas: Map<String, Value>,
    definitions: Vec<Envelope<ResourceDefinitionSpec>>,
    /// What workloads mount, and by which names.
    offered: Offered,
    /// The namespace as an object, where it is among the sources.
    namespace: Option<Source>,
    secrets: Vec<SecretToSet>,
    placed: Vec<Placed>,
    notes: Vec<Note>,
    /// Names of definitions, of resources, and of the operator's secrets.
    names: (Names, Names, Names),
}

impl<'a> Draft<'a> {
    fn new(sources: &[Source], options: &'a Options) -> Result<Self, AdoptError> {
        if sources.len() > OBJECTS_MAX {
            return Err(AdoptError::TooMany(sources.len()));
        }
        let mut known: BTreeMap<(String, String, String, String), &str> = BTreeMap::new();
        let mut open = Vec::new();
        for source in sources {
            let object = quiet::quieted(&source.object);
            let key = object::key(&object, &options.namespace);
            if let Some(first) = known.get(&key) {
                return Err(AdoptError::Twice {
                    object: format!("{} {}", kind(&object), name(&object)),
                    first: (*first).to_owned(),
                    second: source.place.clone(),
                });
            }
            open.push((key.clone(), Source { object, place: source.place.clone() }));
            known.insert(key, &source.place);
        }
        open.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self {
            options,
            open: open.into_iter().map(|(_, source)| source).collect(),
            expected: Vec::new(),
            workloads: BTreeMap::new(),
            shared: BTreeMap::new(),
            kept: Map::new(),
            replicas: Map::new(),
            definitions: Vec::new(),
            offered: Offered::default(),
            namespace: None,
            secrets: Vec::new(),
            placed: Vec::new(),
            notes: Vec::new(),
            names: (Names::default(), Names::default(), Names::default()),
        })
    }

    fn place(&mut self, source: &Source, to: Place) {
        if let Some(object) = ObjectRef::of(&source.object) {
            self.placed.push(Placed { object, place: source.place.clone(), to });
        }
    }

    fn note(&mut self, source: &Source, field: &str, why: &str, advice: &str) {
        self.notes.push(Note {
            object: ObjectRef::of(&source.object),
            place: source.place.clone(),
            field: field.to_owned(),
            why: why.to_owned(),
            advice: advice.to_owned(),
        });
    }

    /// What is not ours to say, and the namespace itself.
    fn leave_out(&mut self) {
        let all = std::mem::take(&mut self.open);
        for source in all.iter().cloned() {
            if let Some(why) = left_out::why(&source.object) {
                self.place(&source, Place::LeftOut { why: why.to_owned() });
            } else if left_out::is_of_a_template(&source.object, &all) {
                let why = "a StatefulSet makes it of its template".to_owned();
                self.place(&source, Place::LeftOut { why });
            } else if let Some((why, advice)) = left_out::impossible(&source.object) {
                let (why, advice) = (why.to_owned(), advice.to_owned());
                self.place(&source, Place::NotCarriedOver { why, advice });
                self.expected.push(source);
            } else if is(&source.object, "", "Namespace")
                && name(&source.object) == self.options.namespace
            {
                self.expected.push(source.clone());
                self.namespace = Some(source);
            } else {
                self.open.push(source);
            }
        }
    }

    /// Score documents, with the Services in front of them and what they mount.
    fn workloads(&mut self) {
        let (controllers, others): (Vec<Source>, Vec<Source>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|source| workload::is_controller(&source.object));
        self.open = others;
        let scaled = workload::scaled(&self.open);
        self.offer(&controllers);
        let mut names = Names::default();
        for mut source in controllers {
            let key = (kind(&source.object).to_owned(), name(&source.object).to_owned());
            if scaled.contains(&key) && workload::without_replicas(&mut source.object) {
                self.note(
                    &source,
                    "spec.replicas",
                    "a HorizontalPodAutoscaler says how many pods there are",
                    "nothing: deployd leaves that to it",
                );
            }
            let wanted = names.unique(name(&source.object));
            match workload::take(&source.object, &wanted, &self.offered) {
                Ok(taken) => self.workload(source, &wanted, taken),
                Err((field, why)) => {
                    self.note(
                        &source,
                        &field,
                        &format!("it can't be a Score document: {why}"),
                        "it is carried as it is, so that no strategy rolls it out; mend the field, and propose again",
                    );
                    self.open.push(source);
                }
            }
        }
    }

    fn workload(&mut self, source: Source, wanted: &str, mut taken: workload::Taken) {
        let Ok(workload_name) = wanted.parse::<Name>() else { return };
        let mut besides = taken.besides;
        if let Some(place) = service::of(&self.open, &source.object) {
            let service = self.open.remove(place);
            let ports = service::take(&service.object, &source.object);
            besides.extend(ports.besides);
            taken.workload.service = Some(ports.service);
            taken.kept.insert("service".to_owned(), ports.kept);
            let to = Place::Workload { workload: wanted.to_owned(), besides: Vec::new() };
            self.place(&service, to);
            self.expected.push(service);
        }
        if let Some(replicas) = taken.replicas {
            self.replicas.insert(wanted.to_owned(), replicas.into());
        }
        if kind(&source.object) != "Deployment" {
            let why = format!("a {} has no tracks", kind(&source.object));
            self.note(
                &source,
                "",
                &why,
                "it is replaced as a whole, by whatever strategy: keep `rolling` for it",
            );
        }
        self.kept.insert(wanted.to_owned(), Value::Object(taken.kept));
        self.workloads.insert(workload_name, taken.workload);
        self.place(&source, Place::Workload { workload: wanted.to_owned(), besides });
        self.expected.push(source);
        self.own(wanted, &taken.uses);
    }

    /// What workloads mount gets names, by which Score documents ask for it.
    fn offer(&mut self, controllers: &[Source]) {
        let mut users: BTreeMap<(String, String), BTreeSet<usize>> = BTreeMap::new();
        for (index, controller) in controllers.iter().enumerate() {
            for mounted in volumes::mounted(&controller.object) {
                users.entry(mounted).or_default().insert(index);
            }
        }
        for source in &self.open {
            let key = (kind(&source.object).to_owned(), name(&source.object).to_owned());
            let here = object::is_here(&source.object, &self.options.namespace);
            if let (true, Some(users)) = (here, users.get(&key)) {
                let resource = self.names.1.unique(names::without_hash(&key.1));
                self.offered.add(key, resource, users.len() == 1);
            }
        }
    }

    /// The objects that a workload asks for, and nobody else does; and the routes to it.
    fn own(&mut self, workload: &str, uses: &BTreeSet<(String, String)>) {
        for key in uses.iter().filter(|key| self.offered.is_own(key)).cloned().collect::<Vec<_>>() {
            let found = self.open.iter().position(|source| {
                let object = &source.object;
                kind(object) == key.0
                    && name(object) == key.1
                    && object::is_here(object, &self.options.namespace)
            });
            let resource = self.offered.resource(&key).map(str::to_owned);
            if let (Some(place), Some(resource)) = (found, resource) {
                let source = self.open.remove(place);
                self.carry(source, Some(workload), &resource);
            }
        }
        let Some(service) = self.kept.get(workload).and_then(|kept| kept.get("service")) else {
            return;
        };
        let service = text_at(service, "/object/metadata/name").to_owned();
        while let Some(place) = route::of(&self.open, &service) {
            let source = self.open.remove(place);
            let resource = self.names.1.unique(name(&source.object));
            self.carry(source, Some(workload), &resource);
        }
    }

    /// What belongs to no workload alone.
    fn others(&mut self) {
        for source in std::mem::take(&mut self.open) {
            let key = (kind(&source.object).to_owned(), name(&source.object).to_owned());
            let known = self.offered.resource(&key).map(str::to_owned);
            let resource = known.unwrap_or_else(|| {
                let stem = names::without_hash(&key.1);
                self.names.1.unique(&format!("{}-{stem}", key.0.to_ascii_lowercase()))
            });
            self.carry(source, None, &resource);
        }
    }

    /// Has a definition carry an object, for a workload or for the application.
    fn carry(&mut self, source: Source, workload: Option<&str>, resource: &str) {
        let carried = match carried::carry(&source.object, self.options) {
            Ok(carried) => carried,
            Err((why, advice)) => {
                self.place(&source, Place::NotCarriedOver { why, advice });
                self.expected.push(source);
                return;
            }
        };
        let environment = &self.options.environment;
        let stem = format!("{}-{}-{resource}", environment.application, environment.environment);
        let definition = self.names.0.unique(&stem);
        let id = format!("{}.{resource}", workload.unwrap_or("shared"));
        let mut inputs = carried.inputs;
        if is(&source.object, "", "Secret") {
            let set = secrets::to_set(&source, self.options, &mut self.names.2);
            let granted = set
                .iter()
                .map(|secret| (secret.key.clone(), json!({"granted": secret.name.as_str()})));
            inputs.insert("secrets".to_owned(), Value::Object(granted.collect()));
            self.secrets.extend(set);
        }
        if names::without_hash(name(&source.object)) != name(&source.object) {
            self.note(
                &source,
                "metadata.name",
                "its name ends with a hash of its content, which stays when the content changes: its pods will not be exchanged then",
                "when you change the content next, write it as `files` of the Score document, and remove this resource",
            );
        }
        if let Some((field, why, advice)) = carried::caution(&source.object, self.options) {
            self.note(&source, field, why, advice);
        }
        let Ok(name) = definition.parse::<Name>() else { return };
        let driver = if is(&source.object, "", "Secret") { "secrets" } else { "" };
        let driver = documents::driver(environment, driver);
        let resource_type = carried.resource_type;
        let found = documents::definition(name, resource_type, &id, environment, inputs, &driver);
        self.definitions.push(found);
        let asked = Resource {
            resource_type: carried.resource_type.to_owned(),
            class: None,
            id: None,
            metadata: None,
            params: carried.params,
        };
        let of = workload.and_then(|name| name.parse::<Name>().ok());
        match of.and_then(|name| self.workloads.get_mut(&name)) {
            Some(workload) => workload.resources.insert(resource.to_owned(), asked),
            None => self.shared.insert(resource.to_owned(), asked),
        };
        self.place(&source, Place::Definition { definition });
        self.expected.push(source);
    }
}

/// The text at a pointer; empty where there is none.
fn text_at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    text(value, pointer).unwrap_or_default()
}
