//! kubectl: get, describe, logs, events, explain, and what the server serves.

use crate::stage::{Stage, has, web};

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_in_every_form() {
    let stage = Stage::new("forms").await;
    stage.apply(&web("busybox:1.36", 2));
    stage.rolled_out("deployment/web");
    let wide = stage.kubectl(&["get", "all", "-o", "wide"]).ok();
    for column in ["NOMINATED NODE", "READINESS GATES", "CONTAINERS", "IMAGES", "SELECTOR"] {
        has(&wide, column);
    }
    has(&wide, "busybox:1.36   app=web");
    let named = stage.kubectl(&["get", "deployment", "web", "-o", "name"]).ok();
    assert_eq!(named.trim(), "deployment.apps/web");
    has(
        &stage.kubectl(&["get", "deployment/web", "-o", "yaml"]).ok(),
        "strategy:\n    rollingUpdate:",
    );
    let images = stage.field("pods", ".items[*].spec.containers[*].image");
    assert_eq!(images, "busybox:1.36 busybox:1.36");
    let columns = "custom-columns=NAME:.metadata.name,READY:.status.readyReplicas";
    has(&stage.kubectl(&["get", "deployment", "-o", columns]).ok(), "web    2");

    let count = |arguments: &[&str]| {
        let all = [&["get", "pods", "-o", "name"], arguments].concat();
        stage.kubectl(&all).ok().lines().count()
    };
    assert_eq!(count(&["-l", "app=web"]), 2);
    assert_eq!(count(&["-l", "app notin (web),app"]), 0);
    assert_eq!(count(&["--field-selector=status.phase=Running"]), 2);
    assert_eq!(count(&["--field-selector=status.phase!=Running"]), 0);
    assert!(count(&["--all-namespaces", "--chunk-size=1"]) >= 2);
    has(
        &stage.kubectl(&["get", "pods", "--field-selector=a=b"]).refused(),
        "field label not supported: a",
    );
    has(&stage.kubectl(&["get", "pods", "nobody"]).refused(), "pods \"nobody\" not found");
    has(&stage.kubectl(&["get", "gadgets"]).refused(), "the server doesn't have a resource type");
    has(&stage.kubectl(&["get", "pods", "-l", "a=b"]).err, "No resources found in");
    let raw = format!("/api/v1/namespaces/{}/pods?limit=1", stage.namespace);
    has(&stage.kubectl(&["get", "--raw", &raw]).ok(), "\"remainingItemCount\":1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_s_story_is_told() {
    let stage = Stage::new("story").await;
    let crashing = "
apiVersion: v1
kind: Pod
metadata: {name: crashing, labels: {app: crashing}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1.36', command: [sh, -c, 'echo first; echo second; exit 3']}
";
    stage.apply(crashing);
    stage.wait("pod/crashing", "jsonpath={.status.containerStatuses[0].restartCount}=1");
    has(&stage.kubectl(&["logs", "crashing", "--previous"]).ok(), "first\nsecond\n");
    assert_eq!(stage.kubectl(&["logs", "-l", "app=crashing", "-p", "--tail=1"]).ok(), "second\n");
    let described = stage.kubectl(&["describe", "pod", "crashing"]).ok();
    has(&described, "Exit Code:    3");
    has(&described, "Started container main");
    let told = stage.kubectl(&["events", "--for=pod/crashing"]).ok();
    has(&told, "Created");
    has(&stage.kubectl(&["get", "events"]).ok(), "pod/crashing");
    has(
        &stage.kubectl(&["logs", "crashing", "-c", "other"]).refused(),
        "container other is not valid for pod crashing",
    );

    stage.apply(&web("busybox:1.36", 1));
    stage.rolled_out("deployment/web");
    let follow = stage.follow(&["logs", "-f", "deployment/web"]);
    follow.until("ready");
    let stamped = stage.kubectl(&["logs", "deployment/web", "--timestamps", "--tail=1"]).ok();
    assert!(stamped.starts_with("20") && stamped.contains("Z ready"), "{stamped}");
    stage.kubectl(&["delete", "deployment/web"]).ok();
    assert!(follow.ended(), "following ends with the container");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_can_be_described() {
    let stage = Stage::new("describe").await;
    stage.apply(&web("busybox:1.36", 1));
    for arguments in [
        vec!["expose", "deployment", "web", "--port=80"],
        vec!["create", "ingress", "web", "--rule=shop.example/=web:80"],
        vec!["create", "quota", "q", "--hard=pods=20"],
        vec!["create", "configmap", "c", "--from-literal=a=b"],
        vec!["create", "secret", "generic", "s", "--from-literal=a=b"],
        vec!["create", "job", "j", "--image=busybox:1.36", "--", "true"],
        vec!["create", "cronjob", "cj", "--image=busybox:1.36", "--schedule=0 0 1 1 *"],
        vec!["create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1"],
        vec!["autoscale", "deployment", "web", "--max=3", "--cpu=50%"],
    ] {
        stage.kubectl(&arguments).ok();
    }
    stage.rolled_out("deployment/web");
    stage.wait("job/j", "condition=Complete");
    for (what, told) in [
        ("deployment/web", "NewReplicaSet:"),
        ("replicaset", "Controlled By:  Deployment/web"),
        ("pods", "QoS Class:"),
        ("service/web", "Endpoints:"),
        ("ingress/web", "shop.example"),
        ("quota/q", "pods"),
        ("configmap/c", "a:\n----\nb"),
        ("secret/s", "a:  1 bytes"),
        ("job/j", "Pods Statuses:"),
        ("cronjob/cj", "0 0 1 1 *"),
        ("poddisruptionbudget/web", "Min available:"),
        ("horizontalpodautoscaler/web", "Max replicas:"),
        ("serviceaccount/default", "Image pull secrets:"),
    ] {
        has(&stage.kubectl(&["describe", what]).ok(), told);
    }
    has(&stage.kubectl(&["describe", "namespace", &stage.namespace]).ok(), "Resource Quotas");
    has(&stage.kubectl(&["describe", "nodes"]).ok(), "Allocatable:");
    let tables = "deploy,rs,po,svc,ing,quota,cm,secret,jobs,cj,pdb,hpa,sa,ep,endpointslices";
    for said in ["-o=wide", "--show-labels", "--no-headers"] {
        stage.kubectl(&["get", tables, said]).ok();
    }
    let table = stage.kubectl(&["get", "job", "j"]).ok();
    has(&table, "Complete   1/1");
    has(&stage.kubectl(&["get", "secret", "s"]).ok(), "Opaque");
    has(&stage.kubectl(&["get", "hpa"]).ok(), "Deployment/web");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_what_it_serves() {
    let stage = Stage::new("serves").await;
    let resources = stage.kubectl(&["api-resources", "--no-headers"]).ok();
    for line in ["deployments", "customresourcedefinitions", "subjectaccessreviews"] {
        has(&resources, line);
    }
    let namespaced = ["api-resources", "--namespaced=true", "--verbs=list", "-o", "name"];
    let namespaced = stage.kubectl(&namespaced).ok();
    assert!(namespaced.lines().any(|line| line == "pods"), "{namespaced}");
    assert!(!namespaced.lines().any(|line| line == "nodes"), "{namespaced}");
    has(&stage.kubectl(&["api-versions"]).ok(), "rbac.authorization.k8s.io/v1");
    let explained = stage.kubectl(&["explain", "deployment.spec.strategy.rollingUpdate"]).ok();
    has(&explained, "GROUP:      apps");
    has(&explained, "maxSurge\t<");
    let recursive = stage.kubectl(&["explain", "pod.spec.containers", "--recursive"]).ok();
    has(&recursive, "readinessProbe\t<Probe>");
    has(
        &stage.kubectl(&["explain", "pod.spec.nothing"]).refused(),
        "field \"nothing\" does not exist",
    );
    has(&stage.kubectl(&["version"]).ok(), "Server Version: v1.");
    has(&stage.kubectl(&["get", "--raw", "/readyz"]).ok(), "ok");
}
