//! A Score container becomes a Kubernetes container.

use crate::order::Role;
use crate::payload::{self, Payload};
use crate::score::{Container, Probe};
use crate::volumes::Volumes;
use deployd_plugin_sdk::{Fault, secret};
use serde_json::{Map, Value, json};

/// How long a sidecar may take to become healthy: 150 tries, 2 s apart.
const STARTUP_PERIOD_SECONDS: u32 = 2;
const STARTUP_FAILURES: u32 = 150;

/// Translates one container, collecting what it needs beside itself.
pub(crate) fn kubernetes(
    path: &str,
    name: &str,
    container: &Container,
    role: Role,
    payload: &mut Payload,
    volumes: &mut Volumes,
) -> Result<Value, Fault> {
    if container.image == "." {
        let message = "no image was supplied for this container";
        return Err(Fault::invalid(format!("{path}/image"), message));
    }
    no_secrets(&format!("{path}/command"), &container.command)?;
    no_secrets(&format!("{path}/args"), &container.args)?;

    let mut object = Map::new();
    let mut set = |key: &str, value: Value| {
        let empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !value.is_null() && !empty {
            object.insert(key.to_owned(), value);
        }
    };
    set("name", name.into());
    set("image", container.image.clone().into());
    set("command", json!(container.command));
    set("args", json!(container.args));
    set("env", environment(name, container, payload).into());
    set("volumeMounts", mounts(path, name, container, payload, volumes)?.into());
    set("resources", resources(container));
    if role.may_have_probes() {
        set("livenessProbe", json!(container.liveness_probe));
        set("readinessProbe", json!(container.readiness_probe));
    }
    match role {
        Role::Main | Role::Init => {}
        Role::Sidecar => set("restartPolicy", "Always".into()),
        Role::HealthySidecar => {
            set("restartPolicy", "Always".into());
            set("startupProbe", startup_probe(path, container)?);
        }
    }
    Ok(Value::Object(object))
}

/// Kubernetes would show a secret here to everybody who may see the pod.
fn no_secrets(path: &str, texts: &[String]) -> Result<(), Fault> {
    match texts.iter().position(|text| secret::contains_reference(text)) {
        Some(index) => Err(Fault::invalid(
            format!("{path}/{index}"),
            "a secret can't stand here: put it into a variable and refer to it as $(NAME)",
        )),
        None => Ok(()),
    }
}

fn environment(name: &str, container: &Container, payload: &mut Payload) -> Vec<Value> {
    // Secret ones first: Kubernetes replaces $(NAME) only by what stands before.
    let (secret, plain): (Vec<_>, Vec<_>) =
        container.variables.iter().partition(|(_, value)| secret::contains_reference(value));
    let secret = secret.into_iter().map(|(variable, value)| {
        let key = payload::key(name, variable);
        payload.add_secret(&key, value);
        let reference = json!({"name": payload.secret_name(), "key": key});
        json!({"name": variable, "valueFrom": {"secretKeyRef": reference}})
    });
    let mut environment: Vec<Value> = secret.collect();
    environment.extend(
        plain.into_iter().map(|(variable, value)| json!({"name": variable, "value": value})),
    );
    environment
}

fn mounts(
    path: &str,
    name: &str,
    container: &Container,
    payload: &mut Payload,
    volumes: &mut Volumes,
) -> Result<Vec<Value>, Fault> {
    let mut mounts = Vec::new();
    for (target, file) in &container.files {
        let path = format!("{path}/files/{}", step(target));
        mounts.push(volumes.file(&path, name, target, file, payload)?);
    }
    for (target, volume) in &container.volumes {
        let path = format!("{path}/volumes/{}", step(target));
        mounts.push(volumes.volume(&path, target, volume)?);
    }
    Ok(mounts)
}

fn resources(container: &Container) -> Value {
    let mut object = Map::new();
    let resources = &container.resources;
    for (key, quantities) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        if !quantities.is_empty() {
            object.insert(key.to_owned(), Value::Object(quantities.clone()));
        }
    }
    Value::Object(object)
}

/// Kubernetes starts the next container when the startup probe has passed.
fn startup_probe(path: &str, container: &Container) -> Result<Value, Fault> {
    let probe = container.readiness_probe.as_ref();
    let probe: &Probe = probe.or(container.liveness_probe.as_ref()).ok_or_else(|| {
        let message = "another container waits until this one is healthy: it needs a probe";
        Fault::invalid(format!("{path}/readinessProbe"), message)
    })?;
    let mut probe = probe.clone();
    probe.insert("periodSeconds".to_owned(), STARTUP_PERIOD_SECONDS.into());
    probe.insert("failureThreshold".to_owned(), STARTUP_FAILURES.into());
    Ok(Value::Object(probe))
}

/// A key as one step of a JSON pointer.
fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
