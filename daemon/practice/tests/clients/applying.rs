//! kubectl: server-side apply, its conflicts, and the way there from
//! client-side apply.

use serde_json::Value;

use crate::stage::{Stage, has, web};

/// The manager and operation of each entry, in order.
fn owners(object: &Value) -> Vec<String> {
    object["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let of = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", of("manager"), of("operation"), of("subresource")).trim().to_owned()
        })
        .collect()
}

fn config(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{{data}}}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_conflict_are_forced_share_and_let_go() {
    let stage = Stage::new("owners").await;
    let apply = |manager: &str, data: &str, more: &[&str]| {
        let manager = format!("--field-manager={manager}");
        let all = [&["apply", "--server-side", manager.as_str(), "-f", "-"], more].concat();
        stage.kubectl_with(&all, &config(data))
    };
    apply("one", "a: '1', b: '1'", &[]).ok();
    has(
        &apply("two", "a: '2'", &[]).refused(),
        "Apply failed with 1 conflict: conflict with \"one\": .data.a",
    );
    let both = apply("two", "a: '2', b: '2'", &[]).refused();
    has(&both, "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b");
    // Equal values are shared.
    apply("two", "b: '1', c: '2'", &[]).ok();
    // What both own stays when one lets go; what one owned alone goes.
    apply("one", "a: '1'", &[]).ok();
    assert_eq!(stage.get("configmap/c")["data"], serde_json::json!({"a": "1", "b": "1", "c": "2"}));
    apply("two", "c: '2'", &[]).ok();
    assert_eq!(stage.get("configmap/c")["data"], serde_json::json!({"a": "1", "c": "2"}));
    // Force takes it away from the other.
    apply("two", "a: '2', c: '2'", &["--force-conflicts"]).ok();
    let object = stage.get("configmap/c");
    assert_eq!(object["data"]["a"], "2");
    assert_eq!(owners(&object), ["two Apply"]);
    // An update owns what it changed, and conflicts with an apply as well.
    stage.kubectl(&["patch", "configmap", "c", "-p", r#"{"data":{"c":"3"}}"#]).ok();
    let said = apply("two", "a: '2', c: '2'", &[]).refused();
    has(&said, "conflict with \"kubectl-patch\" using v1: .data.c");
    let dry = ["--dry-run=server", "--force-conflicts"];
    has(&apply("two", "c: '2'", &dry).ok(), "serverside-applied (server dry run)");
    assert_eq!(stage.get("configmap/c")["data"]["c"], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn list_items_are_merged_by_their_keys() {
    let stage = Stage::new("lists").await;
    stage.kubectl_with(&["apply", "--server-side", "-f", "-"], &web("busybox:1.36", 1)).ok();
    let other = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
        ports: [{containerPort: 9090, protocol: UDP}]
        env: [{name: A, value: a}]
";
    let apply = ["apply", "--server-side", "--field-manager=other", "--validate=false", "-f", "-"];
    stage.kubectl_with(&apply, other).ok();
    let ports = ".spec.template.spec.containers[0].ports[*].containerPort";
    assert_eq!(stage.field("deployment/web", ports), "8080 9090");
    let tolerations = other.replace(
        "      containers:",
        "      tolerations: [{key: a, operator: Exists}]\n      containers:",
    );
    stage.kubectl_with(&apply, &tolerations).ok();
    let less = tolerations.replace("        env: [{name: A, value: a}]\n", "");
    stage.kubectl_with(&apply, &less).ok();
    assert_eq!(stage.field("deployment/web", ".spec.template.spec.containers[0].env"), "");
    assert_eq!(stage.field("deployment/web", ".spec.template.spec.tolerations[0].key"), "a");
    let twice = less.replace(
        "[{containerPort: 9090, protocol: UDP}]",
        "[{containerPort: 9}, {containerPort: 9, protocol: TCP}]",
    );
    let said = stage.kubectl_with(&apply, &twice).refused();
    has(&said, "duplicate entries for key [containerPort=9,protocol=\"TCP\"]");
    let unknown = less.replace("tolerations:", "tolerationz:");
    let said = stage.kubectl_with(&apply, &unknown).refused();
    has(&said, ".spec.template.spec.tolerationz: field not declared in schema");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_side_apply_gives_way_to_server_side_apply() {
    let stage = Stage::new("moves").await;
    stage.apply(&web("busybox:1.36", 1));
    let before = owners(&stage.get("deployment/web"));
    assert!(before.contains(&"kubectl-client-side-apply Update".to_owned()), "{before:?}");
    // With another value of a field that client-side apply set.
    let next = web("busybox:1.37", 1);
    stage.kubectl_with(&["apply", "--server-side", "-f", "-"], &next).ok();
    let object = stage.get("deployment/web");
    let after = owners(&object);
    assert!(!after.contains(&"kubectl-client-side-apply Update".to_owned()), "{after:?}");
    assert!(after.contains(&"kubectl Apply".to_owned()), "{after:?}");
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    has(object["metadata"]["annotations"][annotation].as_str().unwrap(), "busybox:1.37");
    // A field that is applied no longer goes, though it came from client-side apply.
    let without =
        next.replace("metadata: {name: web, labels: {app: web}}", "metadata: {name: web}");
    stage.kubectl_with(&["apply", "--server-side", "-f", "-"], &without).ok();
    assert_eq!(stage.field("deployment/web", ".metadata.labels"), "");
    stage.rolled_out("deployment/web");
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_of_every_type_do_what_they_say() {
    let stage = Stage::new("patches").await;
    stage.apply(&web("busybox:1.36", 1));
    let patch = |kind: &str, patch: &str| {
        stage.kubectl(&["patch", "deployment", "web", &format!("--type={kind}"), "-p", patch])
    };
    let containers = ".spec.template.spec.containers[*].name";
    let side = r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox:1.36","command":["sleep","1000000"]}]}}}}"#;
    patch("strategic", side).ok();
    assert_eq!(stage.field("deployment/web", containers), "side web");
    let gone =
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}]}}}}"#;
    patch("strategic", gone).ok();
    assert_eq!(stage.field("deployment/web", containers), "web");
    let strategy = r#"{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}"#;
    patch("strategic", strategy).ok();
    assert_eq!(stage.field("deployment/web", ".spec.strategy"), r#"{"type":"Recreate"}"#);
    patch("merge", r#"{"metadata":{"labels":{"app":null,"tier":"x"}}}"#).ok();
    assert_eq!(stage.field("deployment/web", ".metadata.labels"), r#"{"tier":"x"}"#);
    patch("json", r#"[{"op":"replace","path":"/spec/replicas","value":2}]"#).ok();
    assert_eq!(stage.field("deployment/web", ".spec.replicas"), "2");
    let said = patch("json", r#"[{"op":"test","path":"/spec/replicas","value":5}]"#).refused();
    has(&said, "The request is invalid: ");
    has(&patch("merge", r#"{"spec":{"replicas":2}}"#).ok(), "patched (no change)");

    stage.kubectl(&["label", "deployment/web", "tier=y"]).refused();
    stage.kubectl(&["label", "deployment/web", "tier=y", "--overwrite"]).ok();
    stage.kubectl(&["label", "deployment/web", "tier-"]).ok();
    stage.kubectl(&["annotate", "deployment/web", "note=a b"]).ok();
    assert_eq!(stage.field("deployment/web", ".metadata.annotations.note"), "a b");
    stage.kubectl(&["set", "env", "deployment/web", "A=b"]).ok();
    stage.kubectl(&["set", "resources", "deployment/web", "--limits=cpu=1000m,memory=1024Mi"]).ok();
    let limits = ".spec.template.spec.containers[0].resources.limits";
    assert_eq!(stage.field("deployment/web", limits), r#"{"cpu":"1","memory":"1Gi"}"#);
    let yaml = stage.kubectl(&["get", "deployment", "web", "-o", "yaml"]).ok();
    let replaced = yaml.replace("replicas: 2", "replicas: 1");
    stage.kubectl_with(&["replace", "-f", "-"], &replaced).ok();
    has(
        &stage.kubectl_with(&["replace", "-f", "-"], &yaml).refused(),
        "the object has been modified; please apply your changes to the latest version and try again",
    );
    let status = ["patch", "deployment", "web", "--subresource=status", "--type=merge", "-p"];
    let said = stage.kubectl(&[&status[..], &[r#"{"status":{"collisionCount":1}}"#]].concat());
    has(&said.ok(), "patched");
    stage.kubectl(&["wait", "deployment/web", "--for=create", "--timeout=5s"]).ok();
}
