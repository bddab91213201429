//! kubectl: deletion, and what goes with it.

use crate::stage::{Stage, has, web};

#[tokio::test(flavor = "multi_thread")]
async fn dependents_go_stay_or_are_waited_for() {
    let stage = Stage::new("cascade").await;
    let names = |what: &str| stage.field(what, ".items[*].metadata.name");
    let up = || {
        stage.apply(&web("busybox:1.36", 2));
        stage.rolled_out("deployment/web");
    };
    up();
    // Foreground: gone only when all dependents are.
    stage.kubectl(&["delete", "deployment/web", "--cascade=foreground"]).ok();
    assert_eq!(names("replicasets,pods"), "");

    up();
    stage.kubectl(&["delete", "deployment/web", "--cascade=background"]).ok();
    let left =
        stage.kubectl(&["wait", "replicasets,pods", "--all", "--for=delete", "--timeout=60s"]);
    assert!(left.code == 0 || left.err.contains("no matching resources found"), "{left:?}");
    assert_eq!(names("replicasets,pods"), "");

    up();
    let set = names("replicasets");
    stage.kubectl(&["delete", "deployment/web", "--cascade=orphan"]).ok();
    assert_eq!(names("replicasets"), set);
    assert_eq!(stage.field(&format!("replicaset/{set}"), ".metadata.ownerReferences"), "");
    // The next deployment of the name adopts what was left behind.
    up();
    assert_eq!(names("replicasets"), set);
    assert_eq!(
        stage.field(&format!("replicaset/{set}"), ".metadata.ownerReferences[0].name"),
        "web"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizers_hold_and_grace_is_given() {
    let stage = Stage::new("hold").await;
    let held =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/hold]}\n";
    stage.apply(held);
    stage.kubectl(&["delete", "configmap/held", "--wait=false"]).ok();
    assert_ne!(stage.field("configmap/held", ".metadata.deletionTimestamp"), "");
    let late = stage.kubectl(&["delete", "configmap/held", "--timeout=1s"]).refused();
    has(&late, "timed out waiting for the condition");
    let none = r#"{"metadata":{"finalizers":null}}"#;
    stage.kubectl(&["patch", "configmap/held", "--type=merge", "-p", none]).ok();
    has(&stage.kubectl(&["get", "configmap/held"]).refused(), "not found");

    stage.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: many-}\n"
            .replace("generateName: many-", "name: one, labels: {of: many}")
            .as_str(),
    );
    let generated =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: many-, labels: {of: many}}\n";
    let made = stage.kubectl_with(&["create", "-f", "-", "-o", "name"], generated).ok();
    assert!(
        made.starts_with("configmap/many-") && made.trim().len() == "configmap/many-".len() + 5
    );
    has(
        &stage.kubectl(&["delete", "configmap", "one", "--dry-run=server"]).ok(),
        "(server dry run)",
    );
    stage.kubectl(&["get", "configmap", "one"]).ok();
    stage.kubectl(&["delete", "configmaps", "-l", "of=many"]).ok();
    assert_eq!(
        stage.field("configmaps", ".items[?(@.metadata.labels.of==\"many\")].metadata.name"),
        ""
    );
    stage.kubectl(&["delete", "configmap", "one", "--ignore-not-found"]).ok();
    has(&stage.kubectl(&["delete", "configmap", "one"]).refused(), "configmaps \"one\" not found");

    stage.kubectl(&["run", "p", "--image=busybox:1.36", "--", "sleep", "1000000"]).ok();
    stage.wait("pod/p", "condition=Ready");
    let watch = stage.follow(&["get", "pod", "p", "--watch", "--output-watch-events"]);
    watch.until("ADDED");
    stage.kubectl(&["delete", "pod", "p", "--grace-period=1"]).ok();
    watch.until("Terminating");
    watch.until("DELETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_takes_everything_with_it() {
    let stage = Stage::new("ends").await;
    let inner = format!("{}-inner", stage.namespace);
    stage.kubectl(&["create", "namespace", &inner]).ok();
    let place = format!("--namespace={inner}");
    let held =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/hold]}\n";
    stage.kubectl_with(&["apply", "-f", "-", &place], held).ok();
    stage.kubectl_with(&["apply", "-f", "-", &place], &web("busybox:1.36", 1)).ok();
    stage.kubectl(&["delete", "namespace", &inner, "--wait=false"]).ok();
    let said = stage.kubectl(&["create", "configmap", "late", &place]).refused();
    has(
        &said,
        &format!(
            "configmaps \"late\" is forbidden: unable to create new content in namespace {inner} because it is being terminated"
        ),
    );
    stage.wait(&format!("namespace/{inner}"), "condition=NamespaceFinalizersRemaining");
    has(&stage.kubectl(&["get", "namespace", &inner]).ok(), "Terminating");
    let none = r#"{"metadata":{"finalizers":null}}"#;
    stage.kubectl(&["patch", "configmap/held", &place, "--type=merge", "-p", none]).ok();
    stage.wait(&format!("namespace/{inner}"), "delete");
    let said = stage.kubectl(&["create", "configmap", "late", &place]).refused();
    has(&said, &format!("namespaces \"{inner}\" not found"));
}
