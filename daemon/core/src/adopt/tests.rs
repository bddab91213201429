//! What becomes of objects, as tables, and that no value of a secret gets out.

#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads better without a & before it")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod objects;
mod secrets;

pub(super) fn options() -> Options {
    Options { environment: "shop/live".parse().unwrap(), namespace: "shop".to_owned() }
}

pub(super) fn sources(objects: &[Value]) -> Vec<Source> {
    let place = |index: usize| format!("shop.yaml:{}", index + 1);
    let sources = objects.iter().enumerate();
    sources.map(|(index, object)| Source { object: object.clone(), place: place(index) }).collect()
}

pub(super) fn proposal(objects: &[Value]) -> Adoption {
    adopt(&sources(objects), &options()).unwrap()
}

/// A Deployment whose pods are as given.
pub(super) fn deployment(name: &str, pod: Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

/// A Deployment of one container.
pub(super) fn simple(name: &str, container: Value) -> Value {
    let mut whole = json!({"name": "main", "image": "registry.test/shop/web:1.2"});
    json_patch::merge(&mut whole, &container);
    deployment(name, json!({"containers": [whole]}))
}

/// The workload of a proposal for one Deployment, as JSON, and what is kept of it.
pub(super) fn web(objects: &[Value]) -> (Value, Value) {
    let adoption = proposal(objects);
    let workload = adoption.workloads.values().next().expect("a workload");
    let kept = &adoption.environment.spec.values["adopted"][&workload.metadata.name];
    (serde_json::to_value(workload).unwrap(), kept.clone())
}

pub(super) fn place_of<'a>(adoption: &'a Adoption, kind: &str) -> &'a Place {
    &adoption.placed.iter().find(|placed| placed.object.kind == kind).expect(kind).to
}

#[test]
fn nothing_too_much_and_twice_are_refused() {
    let web = simple("web", json!({}));
    let refused = |objects: &[Value]| adopt(&sources(objects), &options()).unwrap_err().to_string();
    assert!(refused(&[]).contains("found no object"));
    let mut here = web.clone();
    here["metadata"]["namespace"] = json!("shop");
    let twice = refused(&[web.clone(), here]);
    assert!(twice.starts_with("shop.yaml:2: found Deployment web a second time"), "{twice}");
    assert!(twice.contains("shop.yaml:1"), "{twice}");
    let many = vec![web; OBJECTS_MAX + 1];
    assert!(refused(&many).contains("found 901 objects"));
}

#[test]
fn the_order_of_objects_does_not_matter() {
    let objects = [
        simple("web", json!({})),
        simple("api", json!({})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}),
    ];
    let mut reversed = objects.clone();
    reversed.reverse();
    let text = |objects: &[Value]| {
        let adoption = proposal(objects);
        let all = json!([
            adoption.application,
            adoption.environment,
            adoption.definitions,
            adoption.workloads
        ]);
        all.to_string()
    };
    assert_eq!(text(&objects), text(&reversed));
}

/// Values where others are expected.
fn wrong() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(7)),
        Just(json!(true)),
        Just(json!("text ${a} {{ b }}")),
        Just(json!([])),
        Just(json!([1, "a", null, {}])),
        Just(json!({})),
        Just(json!({"name": 1})),
    ]
}

/// All pointers into a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, field)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            pointers(field, &format!("{at}/{key}"), found);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            pointers(item, &format!("{at}/{index}"), found);
        }),
        _ => {}
    }
}

fn everything() -> Vec<Value> {
    vec![
        deployment(
            "web",
            json!({
                "initContainers": [{"name": "wait", "image": "i", "restartPolicy": "Always"}],
                "containers": [{
                    "name": "main",
                    "image": "registry.test/shop/web:1.2",
                    "command": ["/web"],
                    "env": [{"name": "A", "value": "1"},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                    "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
                    "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "a"}],
                }],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            }),
        ),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"]}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "type": "Opaque",
            "stringData": {"p": "s3cr3t-value"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "web", "annotations": {"a": "b"}},
            "spec": {"tls": [{"hosts": ["shop.test"]}], "rules": [{"host": "shop.test",
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend":
                    {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}),
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}),
    ]
}

proptest! {
    /// Whatever stands where something else is expected: a proposal or an error, never
    /// a panic, and each object is placed.
    #[test]
    fn wrong_types_anywhere_are_borne(which in 0_usize..6, at in any::<prop::sample::Index>(), value in wrong()) {
        let mut objects = everything();
        let mut found = Vec::new();
        pointers(&objects[which], "", &mut found);
        let pointer = at.get(&found).clone();
        // Kinds and names are looked at when documents are read.
        if !["", "/kind", "/apiVersion", "/metadata", "/metadata/name"].contains(&pointer.as_str()) {
            *objects[which].pointer_mut(&pointer).unwrap() = value;
            let adoption = adopt(&sources(&objects), &options()).unwrap();
            prop_assert_eq!(adoption.placed.len(), objects.len());
        }
    }
}
