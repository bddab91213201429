//! Fields of objects, and where they are said.

use super::*;

#[test]
fn score_says_what_it_can_and_the_rest_is_kept() {
    for (container, said, with) in [
        (
            json!({"command": ["a"], "args": ["b"]}),
            json!({"command": ["a"], "args": ["b"]}),
            json!(null),
        ),
        (json!({"command": ["a", 1]}), json!({}), json!({"command": ["a", 1]})),
        (
            json!({"resources": {"limits": {"memory": "64Mi", "ephemeral-storage": "1Gi"}, "requests": {"cpu": 1}}}),
            json!({"resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "1"}}}),
            json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}}),
        ),
        (
            json!({"ports": [{"name": "http", "containerPort": 80}],
                "livenessProbe": {"httpGet": {"path": "/l", "port": "http"}, "periodSeconds": 5}}),
            json!({"livenessProbe": {"httpGet": {"path": "/l", "port": 80}}}),
            json!({"ports": [{"name": "http", "containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 5}}),
        ),
        (
            json!({"readinessProbe": {"httpGet": {"port": 80}}}),
            json!({"readinessProbe": {"httpGet": {"path": "/", "port": 80}}}),
            json!({"readinessProbe": {"httpGet": {"path": null}}}),
        ),
        (
            json!({"readinessProbe": {"tcpSocket": {"port": 80}}}),
            json!({}),
            json!({"readinessProbe": {"tcpSocket": {"port": 80}}}),
        ),
        (
            json!({"livenessProbe": {"exec": {"command": ["x"]}}, "tty": true}),
            json!({"livenessProbe": {"exec": {"command": ["x"]}}}),
            json!({"tty": true}),
        ),
    ] {
        let (score, kept) = web(&[simple("web", container.clone())]);
        let mut main = score["containers"]["main"].clone();
        main.as_object_mut().unwrap().remove("image");
        assert_eq!(main, said, "{container}");
        let item = kept.pointer("/containers/0/with").cloned().unwrap_or_default();
        assert_eq!(item, with, "{container}");
    }
}

#[test]
fn variables_keep_their_order_and_their_references() {
    let plain = json!([{"name": "A", "value": "${HOME} $(B)"}, {"name": "B", "value": "2"}]);
    let (score, kept) = web(&[simple("web", json!({"env": plain}))]);
    let variables = &score["containers"]["main"]["variables"];
    assert_eq!(*variables, json!({"A": "$${HOME} $(B)", "B": "2"}));
    assert_eq!(kept.get("containers"), None, "nothing but what Score says");

    let of = json!({"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}});
    let mixed = json!([{"name": "Z", "value": "1"}, of, {"name": "A", "value": "2"}]);
    let (score, kept) = web(&[simple("web", json!({"env": mixed}))]);
    assert_eq!(score["containers"]["main"]["variables"], json!({"A": "2", "Z": "1"}));
    let env = &kept["containers"][0]["env"];
    assert_eq!(*env, json!([{"score": "Z"}, {"kept": of}, {"score": "A"}]));

    let twice = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    let (score, kept) = web(&[simple("web", json!({"env": twice}))]);
    assert_eq!(score["containers"]["main"].get("variables"), None);
    assert_eq!(kept["containers"][0]["env"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_mounted_becomes_a_resource_of_the_workload() {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "web-config-5k8d9h2f7t"}, "data": {"a": "{{ x }} ${y}"}});
    let pod = json!({
        "containers": [{"name": "main", "image": "x", "volumeMounts": [
            {"name": "data", "mountPath": "/data", "subPath": "in"},
            {"name": "conf", "mountPath": "/etc/web", "readOnly": true},
            {"name": "one", "mountPath": "/one"},
            {"name": "two", "mountPath": "/two"},
            {"name": "elsewhere", "mountPath": "/else"},
        ]}],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "conf", "configMap": {"name": "web-config-5k8d9h2f7t", "defaultMode": 256}},
            {"name": "one", "emptyDir": {}},
            {"name": "two", "emptyDir": {}},
            {"name": "elsewhere", "configMap": {"name": "of-others"}},
        ],
    });
    let objects = [deployment("web", pod), claim, config];
    let (score, kept) = web(&objects);
    let volumes = &score["containers"]["main"]["volumes"];
    assert_eq!(volumes["/data"], json!({"source": "${resources.data.source}", "path": "in"}));
    let source = json!({"source": "${resources.web-config.source}", "readOnly": true});
    assert_eq!(volumes["/etc/web"], source);
    assert_eq!(volumes["/else"]["source"], r#"{"configMap":{"name":"of-others"}}"#);
    assert_eq!(volumes.get("/one"), None, "two of the same source would be one to Score");
    assert_eq!(kept["volumes"][0], json!({"score": "data"}));
    assert_eq!(
        kept["volumes"][1],
        json!({"score": "conf", "with": {"configMap": {"defaultMode": 256}}})
    );
    assert_eq!(kept["volumes"][2]["kept"]["name"], "one");
    let resources = &score["resources"];
    assert_eq!(resources["data"]["type"], "volume");
    assert_eq!(resources["web-config"]["type"], "config");

    let adoption = proposal(&objects);
    let of = |id: &str| {
        let mut all = adoption.definitions.iter();
        all.find(|it| it.spec.criteria[0].id.as_deref() == Some(id)).expect(id).spec.clone()
    };
    let carried = of("web.data").inputs;
    assert_eq!(carried["manifests"][0]["metadata"]["namespace"], "${resources.k8s-namespace.name}");
    assert_eq!(carried["outputs"]["source"], "data");
    // What looks like a template is handed on as a value, which nobody renders.
    let carried = of("web.web-config").inputs;
    assert_eq!(carried["manifests"], json!(["{{ values.object }}"]));
    assert_eq!(carried["values"]["object"]["data"]["a"], "{{ x }} $${y}");
    let hashed = adoption.notes.iter().find(|note| note.field == "metadata.name").unwrap();
    assert!(hashed.why.contains("hash of its content"), "{hashed:?}");
}

#[test]
fn what_two_workloads_mount_is_shared() {
    let pod = json!({
        "containers": [{"name": "main", "image": "x",
            "volumeMounts": [{"name": "c", "mountPath": "/c"}]}],
        "volumes": [{"name": "c", "configMap": {"name": "common"}}],
    });
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "common"}});
    let adoption = proposal(&[deployment("web", pod.clone()), deployment("api", pod), config]);
    assert_eq!(adoption.application.spec.resources["common"].resource_type, "config");
    for workload in adoption.workloads.values() {
        let source = &workload.containers["main"].volumes["/c"].source;
        assert_eq!(source, "${resources.common.source}");
        assert!(workload.resources.is_empty());
    }
}

#[test]
fn ports_of_a_service_are_those_of_the_workload() {
    let web_pods = simple("web", json!({"ports": [{"name": "http", "containerPort": 8080}]}));
    let service = |name: &str, more: Value| {
        let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": [
            {"port": 80, "targetPort": "http"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "sctp", "port": 9, "protocol": "SCTP"},
        ]}});
        json_patch::merge(&mut service["spec"], &more);
        service
    };
    let objects = [
        web_pods,
        service("web-all", json!({"clusterIP": "None"})),
        service("web-front", json!({})),
    ];
    let (score, kept) = web(&objects);
    assert_eq!(
        score["service"]["ports"],
        json!({"port-80": {"port": 80, "targetPort": 8080}, "dns": {"port": 53, "protocol": "UDP"}})
    );
    assert_eq!(kept["service"]["object"]["metadata"]["name"], "web-front", "one with an address");
    let ports = &kept["service"]["ports"];
    let with = json!({"name": null, "protocol": null, "targetPort": "http"});
    assert_eq!(ports[0], json!({"score": "port-80", "with": with}));
    assert_eq!(ports[1], json!({"score": "dns", "with": {"targetPort": null}}));
    assert_eq!(ports[2]["kept"]["protocol"], "SCTP");
    let adoption = proposal(&objects);
    let carried = adoption.application.spec.resources.contains_key("service-web-all");
    assert!(carried, "the other one is carried as it is");
}

#[test]
fn init_containers_run_in_their_order() {
    let container = |name: &str| json!({"name": name, "image": name});
    let mut sidecar = container("a-proxy");
    sidecar["restartPolicy"] = json!("Always");
    let (score, kept) = web(&[deployment(
        "web",
        json!({
            "initContainers": [container("z-first"), sidecar, container("m-last")],
            "containers": [container("two"), container("one")],
        }),
    )]);
    let before = |name: &str| score["containers"][name]["before"].clone();
    assert_eq!(before("z-first"), json!({"a-proxy": {"ready": "complete"}}));
    assert_eq!(before("a-proxy"), json!({"m-last": {"ready": "started"}}));
    assert_eq!(before("m-last"), json!({"two": {"ready": "complete"}}));
    assert_eq!(kept["containers"], json!([{"score": "two"}, {"score": "one"}]));
}

#[test]
fn how_many_pods_there_are_is_the_environments_to_say() {
    let adoption = proposal(&everything());
    let values = &adoption.environment.spec.values;
    assert_eq!(values["adopted"]["web"]["leavesReplicas"], true, "an autoscaler says it");
    assert!(!values.contains_key("replicas"));
    assert!(adoption.notes.iter().any(|note| note.field == "spec.replicas"));
    let adoption = proposal(&[simple("web", json!({}))]);
    assert_eq!(adoption.environment.spec.values["replicas"]["web"], 2);
}

#[test]
fn a_simple_ingress_asks_for_its_host_and_path() {
    let adoption = proposal(&everything());
    let workload = adoption.workloads.values().next().unwrap();
    let route = &workload.resources["web"];
    assert_eq!(route.resource_type, "route");
    let params = json!({"host": "shop.test", "path": "/", "port": 80});
    assert_eq!(json!(route.params), params);
    let definition =
        adoption.definitions.iter().find(|it| it.spec.resource_type == "route").unwrap();
    let manifest = &definition.spec.inputs["manifests"][0];
    assert_eq!(manifest["spec"]["rules"][0]["host"], "{{ params.host }}");
    assert_eq!(manifest["spec"]["tls"][0]["hosts"][0], "{{ params.host }}");
    assert_eq!(
        definition.spec.inputs["outputs"]["url"],
        "https://{{ params.host }}{{ params.path }}"
    );
}

#[test]
fn what_others_make_is_left_out_with_the_reason() {
    let web = simple("web", json!({}));
    let mut owned = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata":
        {"name": "web-1", "ownerReferences": [{"controller": true, "kind": "Deployment"}]}});
    let meta = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    let mut hook = meta("Pod", "test");
    hook["metadata"]["annotations"] = json!({"helm.sh/hook": "test"});
    let mut release = meta("Secret", "sh.helm.release.v1.shop.v1");
    release["type"] = json!("helm.sh/release.v1");
    let mut account = meta("Secret", "default-token-x");
    account["type"] = json!("kubernetes.io/service-account-token");
    for (object, expected) in [
        (owned.take(), "belongs to another object"),
        (meta("Endpoints", "web"), "servers and controllers"),
        (meta("Event", "web.1"), "servers and controllers"),
        (meta("ServiceAccount", "default"), "each namespace"),
        (meta("ConfigMap", "kube-root-ca.crt"), "each namespace"),
        (hook, "hook of Helm"),
        (release, "Helm's record"),
        (account, "for an account"),
    ] {
        let adoption = proposal(&[web.clone(), object.clone()]);
        let kind = object["kind"].as_str().unwrap();
        let Place::LeftOut { why } = place_of(&adoption, kind) else { panic!("{object}") };
        assert!(why.contains(expected), "{why}");
        assert_eq!(adoption.expected.len(), 1);
    }
}

#[test]
fn claims_of_templates_are_left_to_their_stateful_sets() {
    let mut cache = deployment("cache", json!({"containers": [{"name": "main", "image": "x"}]}));
    cache["kind"] = json!("StatefulSet");
    cache["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
    let claim = |name: &str| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}});
    let places = |name: &str| {
        place_of(&proposal(&[cache.clone(), claim(name)]), "PersistentVolumeClaim").clone()
    };
    assert!(matches!(places("data-cache-0"), Place::LeftOut { .. }));
    for other in ["data-cache", "data-cache-x", "data-other-0"] {
        assert!(matches!(places(other), Place::Definition { .. }), "{other}");
    }
}

#[test]
fn live_objects_lose_what_servers_have_added() {
    let mut live = simple(
        "web",
        json!({
            "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "resources": {},
            "livenessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 20, "successThreshold": 1, "failureThreshold": 3},
        }),
    );
    live["status"] = json!({"replicas": 1});
    json_patch::merge(
        &mut live["metadata"],
        &json!({
            "uid": "1", "resourceVersion": "2", "generation": 3, "creationTimestamp": "x",
            "managedFields": [{}], "annotations": {
                "deployment.kubernetes.io/revision": "4",
                "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        }),
    );
    json_patch::merge(
        &mut live["spec"],
        &json!({
            "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
            "strategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        }),
    );
    live["spec"]["template"]["metadata"]["creationTimestamp"] = json!(null);
    json_patch::merge(
        &mut live["spec"]["template"]["spec"],
        &json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "securityContext": {},
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
        }),
    );
    let (score, kept) = web(&[live]);
    let (plain_score, plain_kept) = web(&[simple(
        "web",
        json!({
            "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 20},
        }),
    )]);
    assert_eq!(score, plain_score);
    assert_eq!(kept, plain_kept);
}

#[test]
fn what_can_not_be_a_workload_is_carried_as_it_is() {
    let none = deployment("web", json!({"containers": []}));
    let adoption = proposal(&[none]);
    assert!(adoption.workloads.is_empty());
    assert!(matches!(place_of(&adoption, "Deployment"), Place::Definition { .. }));
    let note = &adoption.notes[0];
    assert_eq!(note.field, "spec.template.spec.containers");
    assert!(note.why.contains("no containers"), "{}", note.why);
}

#[test]
fn names_that_score_does_not_take_are_changed_in_score_alone() {
    let pod = json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]});
    let (score, kept) = web(&[deployment("web.front", pod)]);
    assert_eq!(score["metadata"]["name"], "web-front");
    assert_eq!(kept["object"]["metadata"]["name"], "web.front");
    let items =
        json!([{"score": "a-a", "with": {"name": "a"}}, {"score": "b-b", "with": {"name": "b"}}]);
    assert_eq!(kept["containers"], items);
}

#[test]
fn images_of_registries_are_announced_for_their_containers() {
    let adoption = proposal(&[
        simple("web", json!({})),
        simple("cache", json!({"image": "redis:7"})),
        simple("by-digest", json!({"image": "localhost:5000/a/b:1@sha256:00"})),
    ]);
    let rules: Vec<(&str, &str)> = adoption
        .application
        .spec
        .artifacts
        .iter()
        .map(|rule| (rule.repository.as_str(), rule.workload.as_str()))
        .collect();
    assert_eq!(rules, [("localhost:5000/a/b", "by-digest"), ("registry.test/shop/web", "web")]);
}

#[test]
fn a_check_tells_fields_and_what_is_not_there() {
    let mut rendered = everything();
    let adoption = proposal(&rendered);
    rendered[0]["spec"].as_object_mut().unwrap().remove("replicas");
    rendered[0]["metadata"]["labels"] = json!({"deployd.dev/workload": "web"});
    rendered[0]["metadata"]["namespace"] = json!("shop");
    rendered[1]["spec"]["ports"][0]["port"] = json!(81);
    rendered[3]["stringData"]["p"] = json!("⟦secret:operator/x⟧");
    rendered.remove(2);
    rendered.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}));
    let found = check(&adoption, &rendered, &options());
    let of = |kind: &str| &found.iter().find(|it| it.object.kind == kind).unwrap().outcome;
    assert_eq!(*of("Deployment"), Outcome::Identical);
    assert_eq!(*of("Secret"), Outcome::Identical);
    assert_eq!(*of("ConfigMap"), Outcome::Added);
    assert!(matches!(of("PersistentVolumeClaim"), Outcome::NotCarriedOver { .. }));
    let Outcome::Differs { fields } = of("Service") else { panic!("{found:?}") };
    assert_eq!(fields[0].path, "/spec/ports/[http]/port");
}
