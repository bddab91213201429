//! Workloads that were taken over look as they did.

use super::*;

const BASELINE: &str = r#"{% extends "adopted" %}"#;

fn adopted(document: &Value, kept: Value) -> Result<Vec<Value>, Fault> {
    let values = json!({"adopted": {"web": kept}, "replicas": {"web": 3}});
    render_with(std::slice::from_ref(document), &values, &json!({}), BASELINE)
}

fn score() -> Value {
    json!({
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": "web", "annotations": {"team": "shop"}},
        "service": {"ports": {"http": {"port": 80, "targetPort": 8080}}},
        "containers": {
            "main": {
                "image": "x",
                "variables": {"AA": "1", "BB": "2"},
                "volumes": {"/data": {"source": "claim"}, "/tmp": {"source": "{\"emptyDir\":{}}"}},
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
            },
            "agent": {"image": "y"},
            "wait": {"image": "z", "before": {"main": {"ready": "complete"}}},
        },
    })
}

fn kept() -> Value {
    json!({
        "object": {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "web-0ld", "labels": {"app": "web"}},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "serviceName": "web",
                "template": {
                    "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
                    "spec": {"serviceAccountName": "web"},
                },
            },
        },
        "containers": [
            {"score": "main", "with": {
                "ports": [{"containerPort": 8080, "name": "http"}],
                "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 5},
             },
             "env": [{"score": "BB"}, {"kept": {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}}, {"score": "AA"}, {"score": "GONE"}],
             "volumeMounts": [
                {"score": "/tmp", "with": {"name": "tmp"}},
                {"score": "/data", "with": {"name": "data"}},
                {"kept": {"name": "extra", "mountPath": "/extra"}},
             ]},
            {"score": "agent"},
        ],
        "volumes": [
            {"score": "tmp"}, {"kept": {"name": "extra", "emptyDir": {}}},
            {"score": "data", "with": {"persistentVolumeClaim": {"readOnly": true}}},
        ],
        "service": {
            "object": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"},
                "spec": {"selector": {"app": "web"}}},
            "ports": [{"score": "http", "with": {"targetPort": "http", "protocol": null}}],
        },
    })
}

#[test]
fn an_adopted_workload_looks_as_it_did() {
    let objects = adopted(&score(), kept()).unwrap();
    assert_eq!(
        objects,
        [
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "front", "namespace": "shop-staging-1",
                    "labels": {"deployd.dev/workload": "web"}},
                "spec": {"selector": {"app": "web"},
                    "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": "web-0ld", "namespace": "shop-staging-1",
                    "labels": {"app": "web", "deployd.dev/workload": "web"},
                    "annotations": {"team": "shop"}},
                "spec": {
                    "replicas": 3,
                    "selector": {"matchLabels": {"app": "web"}},
                    "serviceName": "web",
                    "template": {
                        "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
                        "spec": {
                            "serviceAccountName": "web",
                            "initContainers": [{"name": "wait", "image": "z"}],
                            "containers": [
                                {"name": "main", "image": "x",
                                 "ports": [{"containerPort": 8080, "name": "http"}],
                                 "readinessProbe": {
                                    "httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
                                 "env": [
                                    {"name": "BB", "value": "2"},
                                    {"name": "PW", "valueFrom": {
                                        "secretKeyRef": {"name": "s", "key": "k"}}},
                                    {"name": "AA", "value": "1"},
                                 ],
                                 "volumeMounts": [
                                    {"name": "tmp", "mountPath": "/tmp"},
                                    {"name": "data", "mountPath": "/data"},
                                    {"name": "extra", "mountPath": "/extra"},
                                 ]},
                                {"name": "agent", "image": "y"},
                            ],
                            "volumes": [
                                {"name": "tmp", "emptyDir": {}},
                                {"name": "extra", "emptyDir": {}},
                                {"name": "data", "persistentVolumeClaim": {
                                    "claimName": "claim", "readOnly": true}},
                            ],
                        },
                    },
                },
            }),
        ]
    );
}

#[test]
fn what_score_says_anew_is_added() {
    let mut document = score();
    let main = &mut document["containers"]["main"];
    main["variables"]["NEW"] = json!("⟦secret:r/x⟧");
    main["files"]["/etc/web.conf"] = json!({"content": "a"});
    document["containers"]["later"] = json!({"image": "w"});
    document["service"]["ports"]["metrics"] = json!({"port": 9090});
    document["metadata"]["annotations"]["job.deployd.dev/agent"] = json!("before");
    let objects = adopted(&document, kept()).unwrap();
    let kinds: Vec<&Value> = objects.iter().map(|object| &object["kind"]).collect();
    assert_eq!(kinds, ["ConfigMap", "Secret", "Service", "StatefulSet", "Job"]);
    assert_eq!(objects[2]["spec"]["ports"][1]["port"], 9090);
    let template = &objects[3]["spec"]["template"];
    assert!(template["metadata"]["annotations"]["deployd.dev/config-checksum"].is_string());
    let containers = template["spec"]["containers"].as_array().unwrap();
    let names: Vec<&Value> = containers.iter().map(|container| &container["name"]).collect();
    assert_eq!(names, ["main", "later"]);
    let env = containers[0]["env"].as_array().unwrap();
    assert_eq!(env.last().unwrap()["valueFrom"]["secretKeyRef"]["name"], "web-secrets");
    let mounts = containers[0]["volumeMounts"].as_array().unwrap();
    assert_eq!(mounts.last().unwrap()["mountPath"], "/etc/web.conf");
    let volumes = template["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.last().unwrap()["configMap"]["name"], "web-files");
}

#[test]
fn replicas_are_left_to_who_scales() {
    let mut kept = kept();
    kept["leavesReplicas"] = json!(true);
    let objects = adopted(&score(), kept).unwrap();
    assert_eq!(objects[1]["spec"].get("replicas"), None);
}

#[test]
fn a_workload_that_came_later_looks_as_in_the_shipped_baseline() {
    let mut later = workload(json!({"main": {"image": "x"}}));
    later["metadata"]["name"] = json!("later");
    let values = json!({"adopted": {"web": kept()}});
    let documents = [later.clone(), score()];
    let objects = render_with(&documents, &values, &json!({}), BASELINE).unwrap();
    let shipped = render(&[later]).unwrap();
    assert_eq!(objects[..1], shipped[..]);
    assert_eq!(objects.len(), 3);
}
