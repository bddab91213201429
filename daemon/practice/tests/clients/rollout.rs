//! kubectl: deployments from the first apply to the last undo.

use crate::stage::{Stage, has, web};

const SERVICE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_applied_changed_and_undone() {
    let stage = Stage::new("rollout").await;
    let first = format!("{}{SERVICE}", web("busybox:1.36", 2));
    has(&stage.apply(&first), "deployment.apps/web created");
    stage.rolled_out("deployment/web");
    let again = stage.apply(&first);
    has(&again, "deployment.apps/web unchanged");
    has(&again, "service/web unchanged");

    let second = first.replace("1.36", "1.37");
    let diff = stage.kubectl_with(&["diff", "-f", "-"], &second);
    assert_eq!(diff.code, 1, "{}", diff.err);
    has(&diff.out, "-        image: busybox:1.36");
    has(&diff.out, "+        image: busybox:1.37");
    has(&stage.apply(&second), "deployment.apps/web configured");
    stage.rolled_out("deployment/web");
    assert_eq!(stage.kubectl_with(&["diff", "-f", "-"], &second).code, 0);

    let history = stage.kubectl(&["rollout", "history", "deployment/web"]).ok();
    has(&history, "1         <none>\n2         <none>");
    let revision = ["rollout", "history", "deployment/web", "--revision=1"];
    has(&stage.kubectl(&revision).ok(), "busybox:1.36");
    stage.kubectl(&["rollout", "undo", "deployment/web"]).ok();
    stage.rolled_out("deployment/web");
    let image = ".spec.template.spec.containers[0].image";
    assert_eq!(stage.field("deployment/web", image), "busybox:1.36");

    let before = stage.field("pods", ".items[*].metadata.uid");
    stage.kubectl(&["rollout", "restart", "deployment/web"]).ok();
    stage.rolled_out("deployment/web");
    assert_ne!(stage.field("pods", ".items[*].metadata.uid"), before);

    stage.kubectl(&["rollout", "pause", "deployment/web"]).ok();
    stage.kubectl(&["set", "image", "deployment/web", "web=busybox:1.35"]).ok();
    let said = stage.kubectl(&["rollout", "status", "deployment/web", "--watch=false"]).ok();
    has(&said, "Waiting for deployment \"web\" rollout to finish: 0 out of 2 new replicas");
    stage.kubectl(&["rollout", "resume", "deployment/web"]).ok();
    stage.rolled_out("deployment/web");
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_is_seen_by_a_watch_and_guarded_by_a_precondition() {
    let stage = Stage::new("scale").await;
    stage.apply(&web("busybox:1.36", 1));
    stage.rolled_out("deployment/web");
    let watch = stage.follow(&["get", "deployment", "web", "--watch"]);
    watch.until("1/1");
    stage.kubectl(&["scale", "deployment/web", "--replicas=3"]).ok();
    watch.until("3/3");
    let wrong = ["scale", "deployment/web", "--replicas=5", "--current-replicas=2"];
    has(&stage.kubectl(&wrong).refused(), "Expected replicas to be 2, was 3");
    stage.kubectl(&["scale", "deployment/web", "--replicas=0"]).ok();
    stage.wait("deployment/web", "jsonpath={.status.observedGeneration}=3");
    stage.rolled_out("deployment/web");
    assert_eq!(stage.field("deployment/web", ".status.replicas"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_kubectl_works_as_well() {
    let stage = Stage::new("older").await;
    stage.old_kubectl(&["apply", "-f", "-"], &web("busybox:1.36", 1)).ok();
    stage.old_kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"], "").ok();
    stage.old_kubectl(&["create", "configmap", "c", "--from-literal=a=b"], "").ok();
    has(&stage.old_kubectl(&["get", "all,configmaps"], "").ok(), "configmap/c");
    stage.old_kubectl(&["delete", "deployment", "web", "--cascade=foreground"], "").ok();
    has(&stage.old_kubectl(&["get", "replicasets"], "").err, "No resources found");
}

#[tokio::test(flavor = "multi_thread")]
async fn stateful_sets_and_daemon_sets_have_a_history_as_well() {
    let stage = Stage::new("sets").await;
    let sets = |image: &str| {
        let template = format!(
            "    metadata: {{labels: {{app: a}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      containers: [{{name: a, image: '{image}', command: [sleep, '1000000']}}]\n"
        );
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  replicas: 2\n  serviceName: db\n  selector: {{matchLabels: {{app: a}}}}\n  template:\n{template}---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: agent}}\nspec:\n  selector: {{matchLabels: {{app: agent}}}}\n  template:\n{}",
            template.replace("app: a}", "app: agent}")
        )
    };
    let rolled = || {
        for set in ["statefulset/db", "daemonset/agent"] {
            stage.kubectl(&["rollout", "status", set, "--timeout=120s"]).ok();
        }
    };
    stage.apply(&sets("busybox:1.36"));
    rolled();
    assert_eq!(
        stage.field("pods", ".items[?(@.metadata.labels.app==\"a\")].metadata.name"),
        "db-0 db-1"
    );
    stage.apply(&sets("busybox:1.37"));
    rolled();
    for set in ["statefulset/db", "daemonset/agent"] {
        has(
            &stage.kubectl(&["rollout", "history", set]).ok(),
            "1         <none>\n2         <none>",
        );
        stage.kubectl(&["rollout", "undo", set]).ok();
    }
    rolled();
    let images = ".items[*].spec.template.spec.containers[0].image";
    assert_eq!(stage.field("statefulsets,daemonsets", images), "busybox:1.36 busybox:1.36");
    has(
        &stage.kubectl(&["rollout", "history", "statefulset/db"]).ok(),
        "2         <none>\n3         <none>",
    );
    stage.kubectl(&["scale", "statefulset/db", "--replicas=0"]).ok();
    rolled();
}
