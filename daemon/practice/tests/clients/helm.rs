//! helm: a release from its installation to its end.

use crate::stage::{Stage, has};

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 0.1.0\nappVersion: \"1\"\n";

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app.kubernetes.io/instance: {{ .Release.Name }}, app.kubernetes.io/managed-by: {{ .Release.Service }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: shop
        image: {{ .Values.image }}
        command: [sh, -c, "echo ready; sleep 1000000"]
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80, targetPort: 8080}]}
"#;

const HOOKS: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-before
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: before, image: "busybox:1.36", command: ["true"]}]
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-test
  annotations: {helm.sh/hook: test}
spec:
  restartPolicy: Never
  containers: [{name: test, image: "busybox:1.36", command: [sh, -c, "echo fine; exit {{ .Values.test }}"]}]
"#;

fn chart(stage: &Stage) -> String {
    stage.file("shop/Chart.yaml", CHART);
    stage.file("shop/values.yaml", "replicas: 1\nimage: busybox:1.36\ntest: 0\n");
    stage.file("shop/templates/deployment.yaml", DEPLOYMENT);
    stage.file("shop/templates/hooks.yaml", HOOKS);
    stage.folder().join("shop").to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_installed_upgraded_rolled_back_and_uninstalled() {
    let stage = Stage::new("release").await;
    let chart = chart(&stage);
    let said = stage.helm(&["install", "shop", &chart, "--wait", "--timeout=60s"]).ok();
    has(&said, "STATUS: deployed");
    assert_eq!(stage.field("deployment/shop", ".status.availableReplicas"), "1");
    assert_eq!(stage.field("jobs", ".items[*].metadata.name"), "", "the hook's job was removed");
    has(&stage.helm(&["list"]).ok(), "shop-0.1.0");
    has(&stage.helm(&["status", "shop"]).ok(), "v1/Deployment");

    let upgrade = ["upgrade", "shop", &chart, "--wait", "--timeout=60s", "--set", "replicas=2"];
    has(&stage.helm(&upgrade).ok(), "REVISION: 2");
    assert_eq!(stage.field("deployment/shop", ".status.availableReplicas"), "2");
    stage.helm(&["rollback", "shop", "1", "--wait", "--timeout=60s"]).ok();
    assert_eq!(stage.field("deployment/shop", ".spec.replicas"), "1");
    let history = stage.helm(&["history", "shop"]).ok();
    has(&history, "Rollback to 1");
    has(&history, "superseded");

    has(&stage.helm(&["test", "shop", "--timeout=60s"]).ok(), "Phase:          Succeeded");
    has(&stage.helm(&["get", "manifest", "shop"]).ok(), "kind: Deployment");
    stage.helm(&["uninstall", "shop", "--wait", "--timeout=60s"]).ok();
    assert_eq!(stage.field("deployments,services,secrets", ".items[*].metadata.name"), "");
    has(&stage.helm(&["status", "shop"]).refused(), "release: not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_a_failed_release() {
    let stage = Stage::new("failing").await;
    let chart = chart(&stage);
    stage.helm(&["install", "shop", &chart, "--wait", "--timeout=60s"]).ok();
    stage.helm(&["upgrade", "shop", &chart, "--set", "test=3"]).ok();
    has(&stage.helm(&["test", "shop", "--timeout=60s"]).refused(), "failed");

    // The name of somebody else's object.
    let taken =
        "apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 1}]}";
    stage.apply(taken);
    let said = stage.helm(&["install", "other", &chart, "--timeout=60s"]).refused();
    has(&said, "exists and cannot be imported into the current release");

    // An object that the API refuses.
    let said = stage.helm(&["upgrade", "shop", &chart, "--set", "replicas=-1"]).refused();
    has(&said, "spec.replicas: Invalid value: -1: must be greater than or equal to 0");
    has(&stage.helm(&["history", "shop"]).ok(), "failed");
    stage.helm(&["rollback", "shop", "1", "--wait", "--timeout=60s"]).ok();
    has(&stage.helm(&["list"]).ok(), "deployed");
}
