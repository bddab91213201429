//! kubectl: nonsense, refused in the API server's words.

use crate::stage::{Stage, has, web};

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused_with_its_reason() {
    let stage = Stage::new("nonsense").await;
    let create = |text: &str| stage.kubectl_with(&["create", "-f", "-"], text).refused();
    let good = web("busybox:1.36", 1);
    for (from, to, said) in [
        (
            "{name: web, labels",
            "{name: Web_1, labels",
            "metadata.name: Invalid value: \"Web_1\": a lowercase RFC 1123 subdomain must consist of",
        ),
        (
            "replicas: 1",
            "replicas: -1",
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "matchLabels: {app: web}",
            "matchLabels: {app: other}",
            "`selector` does not match template `labels`",
        ),
        (
            "image: busybox:1.36",
            "image: ''",
            "spec.template.spec.containers[0].image: Required value",
        ),
        ("containerPort: 8080", "containerPort: 80800", "must be between 1 and 65535, inclusive"),
        (
            "      containers:",
            "      restartPolicy: Never\n      containers:",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            "labels: {app: web}}\nspec",
            "labels: {app: 'a b'}}\nspec",
            "metadata.labels: Invalid value: \"a b\": a valid label must be",
        ),
    ] {
        let said_by_server = create(&good.replacen(from, to, 1));
        has(&said_by_server, "is invalid: ");
        has(&said_by_server, said);
    }
    has(
        &create(&good.replace("apps/v1", "apps/v7")),
        "no matches for kind \"Deployment\" in version \"apps/v7\"",
    );
    has(
        &create(&good.replace("replicas: 1", "replicas: one")),
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    has(
        &create(&good.replace("replicas: 1", "replica: 1")),
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replica\"",
    );
    let warned = ["create", "--validate=warn", "-f", "-"];
    let warned = stage.kubectl_with(&warned, &good.replace("replicas: 1", "replica: 1"));
    has(&warned.err, "Warning: unknown field \"spec.replica\"");
    has(&create(&good), "deployments.apps \"web\" already exists");
    let change = good.replace("app: web", "app: other");
    let said = stage.kubectl_with(&["apply", "-f", "-"], &change).refused();
    has(&said, "spec.selector: Invalid value:");
    has(&said, "field is immutable");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: []}\n";
    has(&create(service), "spec.ports: Required value");
    let fixed =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fixed}\nimmutable: true\ndata: {a: b}\n";
    stage.apply(fixed);
    let said = stage.kubectl_with(&["apply", "-f", "-"], &fixed.replace("a: b", "a: c")).refused();
    has(&said, "Forbidden: field is immutable when `immutable` is set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_kept_and_told() {
    let stage = Stage::new("quota").await;
    stage.kubectl(&["create", "quota", "q", "--hard=pods=1,count/configmaps=2"]).ok();
    stage.wait("resourcequota/q", "jsonpath={.status.hard.pods}=1");
    stage.kubectl(&["run", "p", "--image=busybox:1.36", "--", "sleep", "1000000"]).ok();
    let said = stage.kubectl(&["run", "p2", "--image=busybox:1.36"]).refused();
    has(
        &said,
        "pods \"p2\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
    );
    stage.apply(&web("busybox:1.36", 1));
    stage.wait("deployment/web", "condition=ReplicaFailure");
    has(&stage.kubectl(&["get", "quota"]).ok(), "pods: 1/1");
    stage.kubectl(&["delete", "pod", "p", "--grace-period=1"]).ok();
    stage.rolled_out("deployment/web");
}
