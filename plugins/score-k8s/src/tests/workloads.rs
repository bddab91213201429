//! What becomes of what Score says.

use super::*;

fn full() -> Value {
    json!({
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": "web", "annotations": {"team": "shop"}},
        "service": {"ports": {
            "http": {"port": 80, "targetPort": 8080},
            "dns": {"port": 53, "protocol": "UDP"},
        }},
        "containers": {"main": {
            "image": "shop/web@sha256:abc",
            "command": ["/web"],
            "args": ["--port", "8080"],
            "variables": {
                "VERSION": "1.20",
                "TRICKY": "a: b # \"c\"\n- 'd' <e>",
                "DB_URL": "postgres://u:⟦secret:r-1/password⟧@db/app",
            },
            "files": {
                "/etc/web/app.conf": {"content": "debug = false\n", "mode": "0600"},
                "/etc/web/tls.key": {"content": "⟦secret:r-2/key⟧"},
                "/etc/web/logo.png": {"binaryContent": "iVBORw0KGgo="},
            },
            "volumes": {
                "/data": {"source": "web-data", "path": "/sub", "readOnly": true},
                "/tmp/cache": {"source": "{\"emptyDir\":{\"sizeLimit\":\"1Gi\"}}"},
            },
            "resources": {"limits": {"memory": "128Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
            "livenessProbe": {"httpGet": {"path": "/live", "port": 8080, "scheme": "HTTP"}},
            "readinessProbe": {"exec": {"command": ["/ready"]}},
        }},
    })
}

#[test]
fn objects_come_in_the_order_in_which_they_are_needed() {
    let objects = render(&[full()]).unwrap();
    let kinds: Vec<&Value> = objects.iter().map(|object| &object["kind"]).collect();
    assert_eq!(kinds, ["ConfigMap", "Secret", "Service", "Deployment"]);
    for object in &objects {
        assert_eq!(object["metadata"]["namespace"], "shop-staging-1");
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "web");
        assert_eq!(labels["app.kubernetes.io/instance"], "shop-staging-1");
        assert_eq!(labels["app.kubernetes.io/part-of"], "shop");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "deployd");
        assert_eq!(labels["deployd.dev/environment"], "staging-1");
    }
}

#[test]
fn a_container_keeps_all_that_score_says() {
    let objects = render(&[full()]).unwrap();
    let container = &pod(&objects)["containers"][0];
    assert_eq!(container["name"], "main");
    assert_eq!(container["image"], "shop/web@sha256:abc");
    assert_eq!(container["command"], json!(["/web"]));
    assert_eq!(container["args"], json!(["--port", "8080"]));
    assert_eq!(container["resources"]["limits"], json!({"memory": "128Mi"}));
    assert_eq!(container["resources"]["requests"], json!({"cpu": "100m", "memory": "64Mi"}));
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/live");
    assert_eq!(container["readinessProbe"]["exec"]["command"], json!(["/ready"]));
}

#[test]
fn no_text_is_taken_for_anything_else() {
    let objects = render(&[full()]).unwrap();
    let env = pod(&objects)["containers"][0]["env"].as_array().unwrap();
    let value = |name: &str| &env.iter().find(|it| it["name"] == name).unwrap()["value"];
    assert_eq!(value("VERSION"), "1.20");
    assert_eq!(value("TRICKY"), "a: b # \"c\"\n- 'd' <e>");
}

#[test]
fn secrets_stand_in_string_data_only() {
    let objects = render(&[full()]).unwrap();
    let secret = of_kind(&objects, "Secret");
    assert_eq!(secret["stringData"]["main.DB_URL"], "postgres://u:⟦secret:r-1/password⟧@db/app");
    let env = &pod(&objects)["containers"][0]["env"][0];
    assert_eq!(
        env["valueFrom"]["secretKeyRef"],
        json!({"name": "web-secrets", "key": "main.DB_URL"})
    );
    for object in objects.iter().filter(|object| object["kind"] != "Secret") {
        assert!(!object.to_string().contains("⟦secret:"), "{object}");
    }
}

#[test]
fn files_are_mounted_one_by_one_with_their_modes() {
    let objects = render(&[full()]).unwrap();
    let config = of_kind(&objects, "ConfigMap");
    let spec = pod(&objects);
    let mount = |target: &str| {
        let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
        mounts.iter().find(|it| it["mountPath"] == target).unwrap().clone()
    };
    let volume = |name: &Value| {
        let volumes = spec["volumes"].as_array().unwrap();
        volumes.iter().find(|it| it["name"] == *name).unwrap().clone()
    };
    let conf = mount("/etc/web/app.conf");
    let key = conf["subPath"].as_str().unwrap();
    assert_eq!(config["data"][key], "debug = false\n");
    let items = &volume(&conf["name"])["configMap"]["items"];
    let item = items.as_array().unwrap().iter().find(|it| it["key"] == key).unwrap();
    assert_eq!(item["mode"], 0o600);
    let logo = mount("/etc/web/logo.png");
    assert_eq!(config["binaryData"][logo["subPath"].as_str().unwrap()], "iVBORw0KGgo=");
    let tls = mount("/etc/web/tls.key");
    assert_eq!(volume(&tls["name"])["secret"]["secretName"], "web-secrets");
}

#[test]
fn volumes_are_claims_or_whatever_a_resource_gave() {
    let objects = render(&[full()]).unwrap();
    let spec = pod(&objects);
    let text = spec["volumes"].to_string();
    assert!(text.contains(r#""persistentVolumeClaim":{"claimName":"web-data"}"#), "{text}");
    assert!(text.contains(r#""emptyDir":{"sizeLimit":"1Gi"}"#), "{text}");
    let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
    let data = mounts.iter().find(|it| it["mountPath"] == "/data").unwrap();
    assert_eq!((&data["subPath"], &data["readOnly"]), (&json!("sub"), &json!(true)));
}

#[test]
fn ports_become_a_service() {
    let objects = render(&[full()]).unwrap();
    let service = &of_kind(&objects, "Service")["spec"];
    assert_eq!(
        service["ports"],
        json!([
            {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
            {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
        ])
    );
    let deployment = &of_kind(&objects, "Deployment")["spec"];
    assert_eq!(service["selector"], deployment["selector"]["matchLabels"]);
    assert_eq!(service["selector"]["deployd.dev/track"], "stable");
    assert_eq!(deployment["template"]["metadata"]["labels"]["deployd.dev/track"], "stable");
}

#[test]
fn pods_roll_when_a_file_or_a_reference_changes() {
    let checksum = |document: Value| {
        let objects = render(&[document]).unwrap();
        let template = &of_kind(&objects, "Deployment")["spec"]["template"];
        template["metadata"]["annotations"]["deployd.dev/config-checksum"].clone()
    };
    let before = checksum(full());
    assert!(before.is_string());
    let mut file = full();
    file["containers"]["main"]["files"]["/etc/web/app.conf"]["content"] = json!("debug = true\n");
    let mut secret = full();
    secret["containers"]["main"]["variables"]["DB_URL"] = json!("⟦secret:r-9/url⟧");
    assert_ne!(before, checksum(file));
    assert_ne!(before, checksum(secret));
    assert_eq!(checksum(workload(json!({"main": {"image": "x"}}))), Value::Null);
}

#[test]
fn containers_that_others_wait_for_become_init_containers_in_order() {
    let objects = render(&[workload(json!({
        "app": {"image": "app"},
        "migrate": {"image": "migrate", "before": {"app": {"ready": "complete"}}},
        "proxy": {
            "image": "proxy",
            "before": {"migrate": {"ready": "healthy"}, "app": {"ready": "started"}},
            "readinessProbe": {"httpGet": {"path": "/", "port": 1}},
        },
        "agent": {"image": "agent", "before": {"proxy": {"ready": "started"}}},
    }))])
    .unwrap();
    let spec = pod(&objects);
    let init = spec["initContainers"].as_array().unwrap();
    let names: Vec<&Value> = init.iter().map(|container| &container["name"]).collect();
    assert_eq!(names, ["agent", "proxy", "migrate"]);
    assert_eq!(init[0]["restartPolicy"], "Always");
    assert_eq!(init[0].get("startupProbe"), None);
    assert_eq!(init[1]["startupProbe"]["httpGet"]["port"], 1);
    assert_eq!(init[1]["startupProbe"]["failureThreshold"], 150);
    assert_eq!(init[2].get("restartPolicy"), None);
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
}

#[test]
fn impossible_orders_are_refused() {
    for (containers, place) in [
        (
            json!({"aa": {"image": "x", "before": {"bb": {"ready": "started"}}},
                   "bb": {"image": "x", "before": {"aa": {"ready": "started"}}}}),
            "/workloads/0/containers: aa, bb wait for each other",
        ),
        (
            json!({"aa": {"image": "x", "before": {"zz": {"ready": "started"}}}}),
            "/workloads/0/containers/aa/before/zz",
        ),
        (
            json!({"aa": {"image": "x", "before": {"bb": {"ready": "healthy"}}}, "bb": {"image": "x"}}),
            "/workloads/0/containers/aa/readinessProbe",
        ),
    ] {
        let fault = render(&[workload(containers)]).unwrap_err().to_string();
        assert!(fault.contains(place), "{fault}");
    }
}

#[test]
fn what_can_not_be_rendered_is_named_by_its_place() {
    for (container, place) in [
        (json!({"image": "."}), "/workloads/0/containers/aa/image"),
        (
            json!({"image": "x", "args": ["-p", "⟦secret:r/p⟧"]}),
            "/workloads/0/containers/aa/args/1",
        ),
        (
            json!({"image": "x", "files": {"/a": {"source": "f"}}}),
            "/containers/aa/files/~1a/source",
        ),
        (
            json!({"image": "x", "files": {"/a": {"content": "", "mode": "0999"}}}),
            "/files/~1a/mode",
        ),
        (json!({"image": "x", "volumes": {"rel": {"source": "v"}}}), "/volumes/rel"),
        (json!({"image": "x", "imagee": "y"}), "/workloads/0/containers/aa"),
    ] {
        let fault = render(&[workload(json!({"aa": container}))]).unwrap_err().to_string();
        assert!(fault.contains(place), "{fault}");
    }
}

#[test]
fn replicas_come_from_values_then_annotation_then_one() {
    let mut annotated = workload(json!({"main": {"image": "x"}}));
    annotated["metadata"]["annotations"] = json!({"deployd.dev/replicas": "3"});
    let replicas = |document: &Value, values: Value| {
        let objects = render_with(std::slice::from_ref(document), &values, &json!({}), "").unwrap();
        of_kind(&objects, "Deployment")["spec"]["replicas"].clone()
    };
    assert_eq!(replicas(&workload(json!({"main": {"image": "x"}})), json!({})), 1);
    assert_eq!(replicas(&annotated, json!({})), 3);
    assert_eq!(replicas(&annotated, json!({"replicas": {"web": 0}})), 0);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bytes = || serde_json::to_string(&render(&[full()]).unwrap()).unwrap();
    assert_eq!(bytes(), bytes());
}

#[test]
fn containers_that_run_once_are_jobs() {
    let mut web = full();
    web["metadata"]["annotations"] = json!({
        "job.deployd.dev/migrate": "before", "job.deployd.dev/back": "undoes migrate",
    });
    web["containers"]["migrate"] = json!({
        "image": "shop/web@sha256:abc", "command": ["/web", "migrate"],
        "variables": {"DB_URL": "postgres://u:⟦secret:r-1/password⟧@db/app"},
    });
    web["containers"]["back"] =
        json!({"image": "shop/web@sha256:abc", "command": ["/web", "back"]});
    let objects = render(&[web.clone()]).unwrap();
    assert_eq!(pod(&objects)["containers"].as_array().unwrap().len(), 1, "only the main one");
    let jobs: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Job").collect();
    let names: Vec<&Value> = jobs.iter().map(|job| &job["metadata"]["name"]).collect();
    assert_eq!(names, ["web-back", "web-migrate"]);
    assert_eq!(jobs[0]["metadata"]["annotations"], json!({"deployd.dev/undoes": "web-migrate"}));
    assert_eq!(jobs[1]["metadata"]["annotations"], json!({"deployd.dev/job": "before"}));
    let template = &jobs[1]["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["command"], json!(["/web", "migrate"]));
    let secret = &template["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!(secret["name"], "web-secrets");
    assert_eq!(template["spec"]["restartPolicy"], "Never");
    // No Service leads to them.
    assert_eq!(template["metadata"]["labels"].get("deployd.dev/track"), None);
    assert_eq!(jobs[1]["metadata"]["labels"]["deployd.dev/workload"], "web", "whose it is");

    for (annotation, value, expected) in [
        ("job.deployd.dev/migrat", "before", "one of back, main, migrate"),
        ("job.deployd.dev/migrate", "pre-sync", "before, after, or"),
        ("job.deployd.dev/back", "undoes ", "before, after, or"),
    ] {
        let mut wrong = web.clone();
        wrong["metadata"]["annotations"] = json!({annotation: value});
        let fault = render(&[wrong]).unwrap_err().to_string();
        assert!(fault.contains(expected) && fault.contains("job.deployd.dev"), "{fault}");
    }
    web["containers"]["migrate"]["before"] = json!({"main": {"ready": "complete"}});
    let fault = render(&[web]).unwrap_err().to_string();
    assert!(fault.contains("in a pod of its own"), "{fault}");
}
