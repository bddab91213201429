//! The documents that a proposal consists of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::escape::{document, has_template};
use super::{AdoptError, Adoption, Draft};
use crate::config::{
    API_VERSION, ApplicationSpec, ArtifactRule, Criteria, DocumentKind, Envelope, EnvironmentSpec,
    Grant, Metadata, PluginKind, PluginSource, PluginSpec, ResourceDefinitionSpec, WhenUnused,
};
use crate::score::Workload;
use crate::{EnvironmentId, Name};

/// The environment type of what is taken over.
const TYPE: &str = "adopted";

/// The baseline of the templater for it.
const BASELINE: &str = "{% extends \"adopted\" %}\n";

/// How long a rollout may take, in milliseconds, before it goes back: what Kubernetes
/// itself allows a Deployment (`progressDeadlineSeconds`).
const DEADLINE_MS: u32 = 600_000;

fn envelope<S>(kind: DocumentKind, name: Name, description: &str, spec: S) -> Envelope<S> {
    let description = (!description.is_empty()).then(|| description.to_owned());
    let metadata = Metadata { name, description, annotations: BTreeMap::new() };
    Envelope { api_version: API_VERSION.to_owned(), kind, metadata, spec }
}

/// A name of an environment's own: `shop-production-secrets`.
fn own(environment: &EnvironmentId, ending: &str) -> String {
    let wanted = format!("{}-{}-{ending}", environment.application, environment.environment);
    // Of two long names that are cut, each is unique among those of its kind.
    super::names::Names::default().unique(&wanted)
}

/// The driver of objects: the environment's own for those with secrets, whose grant
/// names these, or everybody's.
pub(super) fn driver(environment: &EnvironmentId, ending: &str) -> String {
    match ending {
        "" => "template".to_owned(),
        ending => own(environment, ending),
    }
}

/// A definition for one resource of one environment.
pub(super) fn definition(
    name: Name,
    resource_type: &str,
    id: &str,
    environment: &EnvironmentId,
    inputs: BTreeMap<String, Value>,
    driver: &str,
) -> Envelope<ResourceDefinitionSpec> {
    let criteria = Criteria {
        application: Some(environment.application.to_string()),
        environment: Some(environment.environment.to_string()),
        id: (!id.is_empty()).then(|| id.to_owned()),
        ..Criteria::default()
    };
    let spec = ResourceDefinitionSpec {
        resource_type: resource_type.to_owned(),
        criteria: vec![criteria],
        driver: driver.parse().ok(),
        lender: None,
        inputs,
        // What was there before deployd is not taken away by a change of a Score file.
        when_unused: WhenUnused::Keep,
        forward_only: false,
    };
    envelope(DocumentKind::ResourceDefinition, name, "", spec)
}

/// Makes documents of what was read.
pub(super) fn finish(mut draft: Draft<'_>) -> Result<Adoption, AdoptError> {
    let environment = &draft.options.environment;
    let misnamed = |error: crate::ids::InvalidName| AdoptError::Document(error.to_string());
    let unfit = |error: serde_json::Error| AdoptError::Document(error.to_string());
    let type_name: Name = TYPE.parse().map_err(misnamed)?;
    let cluster_secret: Name =
        draft.names.2.unique(&own(environment, "cluster")).parse().map_err(misnamed)?;

    let mut definitions = vec![
        definition(
            draft.names.0.unique(&own(environment, "cluster")).parse().map_err(misnamed)?,
            crate::graph::CLUSTER,
            "",
            environment,
            BTreeMap::from([("kubeconfig_secret".to_owned(), json!(cluster_secret))]),
            &own(environment, "cluster"),
        ),
        definition(
            draft.names.0.unique(&own(environment, "namespace")).parse().map_err(misnamed)?,
            crate::graph::NAMESPACE,
            "",
            environment,
            namespace(&draft),
            &driver(environment, ""),
        ),
    ];
    definitions.append(&mut draft.definitions);
    if let Some(namespace) = &draft.namespace {
        let definition = own(environment, "namespace");
        let placed = super::Place::Definition { definition };
        let source = namespace.clone();
        draft.place(&source, placed);
    }
    let environment = &draft.options.environment;

    let secrets = draft.secrets.iter();
    let granted: BTreeMap<String, String> =
        secrets.map(|secret| (secret.name.to_string(), secret.name.to_string())).collect();
    let mut plugins = vec![
        plugin("score-k8s", PluginKind::Templater, "score-k8s", Grant::default()),
        plugin("rolling", PluginKind::Strategy, "rolling", Grant::default()),
        plugin(
            "template",
            PluginKind::Driver,
            "template",
            Grant { generate_secrets: true, ..Grant::default() },
        ),
        plugin(
            &own(environment, "cluster"),
            PluginKind::Driver,
            "k8s-cluster",
            Grant {
                secrets: BTreeMap::from([(cluster_secret.to_string(), cluster_secret.to_string())]),
                ..Grant::default()
            },
        ),
    ];
    if !granted.is_empty() {
        plugins.push(plugin(
            &own(environment, "secrets"),
            PluginKind::Driver,
            "template",
            // It asks for both; the definitions here have none generated.
            Grant { secrets: granted, generate_secrets: true, ..Grant::default() },
        ));
    }
    let plugins = plugins.into_iter().collect::<Result<_, _>>().map_err(misnamed)?;

    let mut values = BTreeMap::new();
    for (name, fields) in [
        ("adopted", std::mem::take(&mut draft.kept)),
        ("replicas", std::mem::take(&mut draft.replicas)),
    ] {
        if !fields.is_empty() {
            values.insert(name.to_owned(), Value::Object(fields));
        }
    }
    let strategy = json!({"plugin": "rolling",
        "config": {"deadline_ms": DEADLINE_MS, "on_failure": "roll-back"}});
    let of_type = json!({
        "templater": {"plugin": "score-k8s", "baseline": BASELINE},
        "strategy": strategy,
        // Fields that others have written: whoever applied them before.
        "takeOverFields": true,
    });
    draft.placed.sort_by(|a, b| key(&a.object).cmp(&key(&b.object)));
    Ok(Adoption {
        application: envelope(
            DocumentKind::Application,
            environment.application.clone(),
            "",
            ApplicationSpec {
                workloads: draft.workloads.keys().cloned().collect(),
                resources: draft.shared,
                artifacts: artifacts(&draft.workloads),
                flow: serde_json::from_value(json!([{"environment": environment.environment}]))
                    .map_err(unfit)?,
            },
        ),
        environment: envelope(
            DocumentKind::Environment,
            environment.environment.clone(),
            "What Score can't say of its workloads is in `adopted`.",
            EnvironmentSpec {
                application: environment.application.clone(),
                environment_type: type_name.clone(),
                values,
                ttl: None,
            },
        ),
        environment_type: envelope(
            DocumentKind::EnvironmentType,
            type_name,
            "For what ran before deployd looked after it.",
            serde_json::from_value(of_type).map_err(unfit)?,
        ),
        definitions,
        plugins,
        cluster_secret,
        secrets: draft.secrets,
        placed: draft.placed,
        notes: draft.notes,
        expected: draft.expected,
        workloads: draft.workloads,
    })
}

fn key(object: &crate::ports::ObjectRef) -> (&str, Option<&str>, &str) {
    (&object.kind, object.namespace.as_deref(), &object.name)
}

/// The namespace stays as it is: it is no object of deployd's, unless it is among the
/// sources.
fn namespace(draft: &Draft<'_>) -> BTreeMap<String, Value> {
    let name = &draft.options.namespace;
    let mut inputs = BTreeMap::from([("outputs".to_owned(), json!({"name": name}))]);
    if let Some(source) = &draft.namespace {
        let object = document(&source.object);
        let manifest = match has_template(&source.object) {
            true => {
                inputs.insert("values".to_owned(), json!({"object": object}));
                json!("{{ values.object }}")
            }
            false => object,
        };
        inputs.insert("manifests".to_owned(), json!([manifest]));
    }
    inputs
}

fn plugin(
    name: &str,
    kind: PluginKind,
    shipped: &str,
    grant: Grant,
) -> Result<Envelope<PluginSpec>, crate::ids::InvalidName> {
    let source = PluginSource { shipped: Some(shipped.to_owned()), uploaded: None };
    let spec = PluginSpec { kind, source, digest: None, grant, config: BTreeMap::new() };
    Ok(envelope(DocumentKind::Plugin, name.parse()?, "", spec))
}

/// Which images are for which containers: those of registries that are named.
fn artifacts(workloads: &BTreeMap<Name, Workload>) -> Vec<ArtifactRule> {
    let containers = workloads.iter().flat_map(|(workload, of)| {
        of.containers.iter().map(move |(name, container)| (workload, name, &container.image))
    });
    let rules = containers.filter_map(|(workload, name, image)| {
        Some(ArtifactRule {
            repository: repository(image)?.to_owned(),
            workload: workload.clone(),
            container: Some(name.clone()),
        })
    });
    rules.collect()
}

/// An image's repository, where it begins with a registry's host.
fn repository(image: &str) -> Option<&str> {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    let (host, rest) = named.split_once('/')?;
    let is_host = host.contains(['.', ':']) || host == "localhost";
    let repository = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => named.get(..host.len() + 1 + path.len())?,
        _ => named,
    };
    is_host.then_some(repository)
}
