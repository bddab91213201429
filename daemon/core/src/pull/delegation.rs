//! Workloads whose versions somebody else exchanges step by step: Argo Rollouts by a
//! Rollout, Flagger by a Canary. Their pods are in copies that these make, so that tracks
//! of ours beside them would be two rollouts of the same thing.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Manifests, ObjectOwner};
use crate::ports::ObjectRef;

/// Who exchanges a workload's version step by step, and by which object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delegate {
    /// Who.
    pub by: Stepper,
    /// The object that says how; its readiness is the rollout's.
    pub object: ObjectRef,
}

/// What exchanges versions step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stepper {
    /// Argo Rollouts, by a Rollout.
    ArgoRollouts,
    /// Flagger, by a Canary.
    Flagger,
}

impl Stepper {
    /// Who steps workloads by this object, if anybody does.
    pub fn of(object: &ObjectRef) -> Option<Self> {
        match (group_of(&object.api_version), object.kind.as_str()) {
            ("argoproj.io", "Rollout") => Some(Self::ArgoRollouts),
            ("flagger.app", "Canary") => Some(Self::Flagger),
            _ => None,
        }
    }
}

impl fmt::Display for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ArgoRollouts => "Argo Rollouts",
            Self::Flagger => "Flagger",
        })
    }
}

impl fmt::Display for Delegate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stepped by {} ({} {})", self.by, self.object.kind, self.object.name)
    }
}

/// Who exchanges this workload's version step by step, if not deployd: a Rollout that is
/// among its objects or runs the pods of one of them, or a Canary that is of one.
pub fn delegated(manifests: &Manifests, workload: &str) -> Option<Delegate> {
    let is_own =
        |owner: &ObjectOwner| matches!(owner, ObjectOwner::Workload(name) if name == workload);
    let own: Vec<&Value> = manifests
        .objects
        .iter()
        .filter(|manifest| is_own(&manifest.owner))
        .map(|manifest| &manifest.object)
        .collect();
    manifests.objects.iter().find_map(|manifest| {
        let object = &manifest.object;
        let reference = manifests.reference(object)?;
        let by = Stepper::of(&reference)?;
        let target = match by {
            Stepper::ArgoRollouts => "/spec/workloadRef",
            Stepper::Flagger => "/spec/targetRef",
        };
        let is_whole = by == Stepper::ArgoRollouts && is_own(&manifest.owner);
        let is_of_one = || own.iter().any(|it| is_target(manifests, object, target, it));
        if !is_whole && !is_of_one() {
            return None;
        }
        Some(Delegate { by, object: reference })
    })
}

/// Whether what an object refers to is another one; both have to be in one namespace.
fn is_target(manifests: &Manifests, from: &Value, at: &str, object: &Value) -> bool {
    let namespace = |object: &Value| match text(object, "/metadata/namespace") {
        "" => manifests.namespace.clone(),
        named => named.to_owned(),
    };
    let of = |part: &str| text(from, &format!("{at}/{part}"));
    group(object) == group_of(of("apiVersion"))
        && text(object, "/kind") == of("kind")
        && text(object, "/metadata/name") == of("name")
        && !of("name").is_empty()
        && namespace(from) == namespace(object)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn group(object: &Value) -> &str {
    group_of(text(object, "/apiVersion"))
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::Manifest;

    fn manifests(objects: &[(&str, Value)]) -> Manifests {
        let objects = objects.iter().map(|(owner, object)| {
            let owner = match *owner {
                "" => ObjectOwner::Environment,
                workload => ObjectOwner::Workload(workload.to_owned()),
            };
            Manifest { owner, object: object.clone() }
        });
        let objects = objects.collect();
        Manifests { namespace: "shop".to_owned(), objects, jobs: Vec::new() }
    }

    fn object(version: &str, kind: &str, spec: &Value) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": spec})
    }

    fn target(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "name": name})
    }

    #[test]
    fn whose_workloads_are_whose() {
        let deployment = ("web", object("apps/v1", "Deployment", &json!({})));
        let rollout = |spec| object("argoproj.io/v1alpha1", "Rollout", &spec);
        let canary =
            |target| object("flagger.app/v1beta1", "Canary", &json!({"targetRef": target}));
        let argo = Some("stepped by Argo Rollouts (Rollout web)");
        let flagger = Some("stepped by Flagger (Canary web)");
        let of_web = json!({"workloadRef": target("Deployment", "web")});
        let elsewhere = |mut object: Value| {
            object["metadata"]["namespace"] = json!("other");
            object
        };
        let table = [
            (vec![deployment.clone()], None),
            (vec![("web", rollout(json!({"template": {}})))], argo),
            (vec![("api", rollout(json!({"template": {}})))], None),
            (vec![deployment.clone(), ("", rollout(of_web.clone()))], argo),
            (vec![deployment.clone(), ("", elsewhere(rollout(of_web)))], None),
            (vec![deployment.clone(), ("web", canary(target("Deployment", "web")))], flagger),
            (vec![deployment.clone(), ("", canary(target("Deployment", "web")))], flagger),
            (vec![deployment.clone(), ("web", canary(target("Deployment", "api")))], None),
            (vec![deployment.clone(), ("web", canary(target("DaemonSet", "web")))], None),
            (vec![deployment.clone(), ("web", canary(json!({})))], None),
            (vec![deployment, ("web", object("example.com/v1", "Rollout", &json!({})))], None),
        ];
        for (objects, expected) in table {
            let found = delegated(&manifests(&objects), "web");
            let said = found.map(|delegate| delegate.to_string());
            assert_eq!(said.as_deref(), expected, "{objects:?}");
        }
    }

    #[test]
    fn the_object_has_its_namespace() {
        let rollout = object("argoproj.io/v1alpha1", "Rollout", &json!({}));
        let found = delegated(&manifests(&[("web", rollout)]), "web").unwrap();
        assert_eq!(found.object.namespace.as_deref(), Some("shop"));
        assert_eq!(found.by, Stepper::ArgoRollouts);
    }
}
