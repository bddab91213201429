//! The objects that a workload's tracks are made of, found among manifests.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::name::{STABLE, TRACK_LABEL};
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::pull::delegation::delegated;

/// Kinds beside Deployment that run pods: whoever has one can't be copied whole.
const RUNS: [&str; 5] = ["StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod"];

/// What a workload's tracks are made of.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// The one Deployment.
    pub(super) deployment: &'a Manifest,
    /// Services of the workload that lead to its pods.
    pub(super) services: Vec<&'a Manifest>,
    /// Its ConfigMaps and Secrets.
    pub(super) payload: Vec<&'a Manifest>,
}

/// Whether an object is of this workload.
pub(super) fn is_of(manifest: &Manifest, workload: &str) -> bool {
    matches!(&manifest.owner, ObjectOwner::Workload(name) if name == workload)
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> Option<u32> {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|found| u32::try_from(found).ok())
}

pub(super) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The API group; empty for the core group.
pub(super) fn group(object: &Value) -> &str {
    text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group)
}

/// An object of Kubernetes' own, and of no other group's kind of the same name.
pub(super) fn is(object: &Value, wanted_group: &str, wanted_kind: &str) -> bool {
    group(object) == wanted_group && kind(object) == wanted_kind
}

/// The namespace that an object goes to.
pub(super) fn namespace<'a>(manifests: &'a Manifests, object: &'a Value) -> &'a str {
    match text(object, "/metadata/namespace") {
        "" => &manifests.namespace,
        named => named,
    }
}

impl<'a> Parts<'a> {
    /// The parts of a workload; or, for a person, why it can have no tracks.
    pub(super) fn of(manifests: &'a Manifests, workload: &str) -> Result<Self, String> {
        if let Some(delegate) = delegated(manifests, workload) {
            return Err(format!("it is {delegate}, whose steps these are"));
        }
        let objects = || manifests.objects.iter().filter(|it| is_of(it, workload));
        let mut deployments = objects().filter(|it| is(&it.object, "apps", "Deployment"));
        let deployment = match (deployments.next(), deployments.next()) {
            (Some(one), None) => one,
            (None, _) => return Err("it has no Deployment".to_owned()),
            (Some(one), Some(two)) => {
                return Err(format!(
                    "it has more than one Deployment ({}, {})",
                    name(&one.object),
                    name(&two.object)
                ));
            }
        };
        let others = objects().find(|it| RUNS.contains(&kind(&it.object)));
        if let Some(other) = others.map(|it| &it.object) {
            return Err(format!(
                "it has the {} {} beside its Deployment, which can't run twice",
                kind(other),
                name(other)
            ));
        }
        let object = &deployment.object;
        let label = TRACK_LABEL.replace('/', "~1");
        for place in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
            let found = text(object, &format!("{place}/{label}"));
            if found != STABLE {
                return Err(format!(
                    "{place} of its Deployment {} lacks the label {TRACK_LABEL}: {STABLE}",
                    name(object)
                ));
            }
        }
        if let Some(claim) = exclusive_claim(manifests, object) {
            return Err(format!("its pods mount the claim {claim}, which has no ReadWriteMany"));
        }
        let here = namespace(manifests, object);
        let services = manifests
            .objects
            .iter()
            .filter(|it| is(&it.object, "", "Service") && namespace(manifests, &it.object) == here);
        let mut own = Vec::new();
        for service in services {
            match leads_to(&service.object, object) {
                Leads::Elsewhere => {}
                Leads::Stable if is_of(service, workload) => own.push(service),
                Leads::Stable => {}
                Leads::EveryTrack => {
                    return Err(format!(
                        "the selector of the Service {} lacks the label {TRACK_LABEL}: {STABLE}, so that it leads to every track",
                        name(&service.object)
                    ));
                }
            }
        }
        let payload = objects()
            .filter(|it| is(&it.object, "", "ConfigMap") || is(&it.object, "", "Secret"))
            .collect();
        Ok(Self { deployment, services: own, payload })
    }

    /// Its Services' names.
    pub(super) fn service_names(&self) -> BTreeSet<&'a str> {
        self.services.iter().map(|service| name(&service.object)).collect()
    }

    /// Replicas as rendered.
    pub(super) fn rendered_replicas(&self) -> Option<u32> {
        number(&self.deployment.object, "/spec/replicas")
    }

    /// Replicas that are wanted: those rendered, or the fewest of an autoscaler;
    /// 1 where nothing is said, as in Kubernetes.
    pub(super) fn replicas(&self, manifests: &Manifests) -> u32 {
        let fewest = || self.autoscaler(manifests).and_then(|it| number(it, "/spec/minReplicas"));
        self.rendered_replicas().or_else(fewest).unwrap_or(1)
    }

    /// The autoscaler of the Deployment among these manifests.
    pub(super) fn autoscaler<'m>(&self, manifests: &'m Manifests) -> Option<&'m Value> {
        let (here, wanted) =
            (namespace(manifests, &self.deployment.object), name(&self.deployment.object));
        manifests.objects.iter().map(|it| &it.object).find(|object| {
            is(object, "autoscaling", "HorizontalPodAutoscaler")
                && namespace(manifests, object) == here
                && text(object, "/spec/scaleTargetRef/kind") == "Deployment"
                && text(object, "/spec/scaleTargetRef/name") == wanted
        })
    }
}

enum Leads {
    Elsewhere,
    Stable,
    EveryTrack,
}

/// Whom a Service's selector leads to, of a Deployment's pods and their copies.
fn leads_to(service: &Value, deployment: &Value) -> Leads {
    let labels = deployment.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let (Some(labels), Some(selector)) = (labels, selector) else { return Leads::Elsewhere };
    if selector.is_empty() {
        return Leads::Elsewhere;
    }
    let fits = |(key, value): (&String, &Value)| labels.get(key) == Some(value);
    match selector.iter().all(fits) {
        false => Leads::Elsewhere,
        true if selector.contains_key(TRACK_LABEL) => Leads::Stable,
        true => Leads::EveryTrack,
    }
}

/// A claim that the pods mount and that is for one node alone, as far as these
/// manifests tell: the pods of two Deployments would keep each other from it.
fn exclusive_claim(manifests: &Manifests, deployment: &Value) -> Option<String> {
    let here = namespace(manifests, deployment);
    let volumes = deployment.pointer("/spec/template/spec/volumes")?.as_array()?;
    volumes.iter().map(|it| text(it, "/persistentVolumeClaim/claimName")).find_map(|claim| {
        let found = manifests.objects.iter().map(|it| &it.object).find(|object| {
            is(object, "", "PersistentVolumeClaim")
                && name(object) == claim
                && namespace(manifests, object) == here
        })?;
        let modes = found.pointer("/spec/accessModes").and_then(Value::as_array)?;
        let is_shared =
            |mode: &Value| matches!(mode.as_str(), Some("ReadWriteMany" | "ReadOnlyMany"));
        (!modes.iter().any(is_shared)).then(|| claim.to_owned())
    })
}

/// A field of an object that is an object itself; made where it is missing.
pub(super) fn field<'a>(
    object: &'a mut Value,
    path: &[&str],
) -> Option<&'a mut Map<String, Value>> {
    let mut place = object;
    for key in path {
        let fields = place.as_object_mut()?;
        place = fields.entry(*key).or_insert_with(|| Value::Object(Map::new()));
    }
    place.as_object_mut()
}

/// Sets a value below a path of objects, which are made where they are missing.
pub(super) fn put(object: &mut Value, path: &[&str], key: &str, value: Value) {
    if let Some(fields) = field(object, path) {
        fields.insert(key.to_owned(), value);
    }
}
