//! What a platform team can do with the baseline.

use super::*;

fn simple() -> Vec<Value> {
    vec![workload(json!({"main": {"image": "x", "variables": {"A": "⟦secret:r/a⟧"}}}))]
}

fn with(baseline: &str) -> Result<Vec<Value>, Fault> {
    let values = json!({"priority": "important"});
    render_with(&simple(), &values, &json!({"team": "shop"}), baseline)
}

#[test]
fn the_shipped_one_has_defaults_for_production() {
    let objects = render(&simple()).unwrap();
    let spec = &of_kind(&objects, "Deployment")["spec"];
    assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert_eq!(pod(&objects)["automountServiceAccountToken"], false);
    assert_eq!(
        pod(&objects)["securityContext"],
        json!({"seccompProfile": {"type": "RuntimeDefault"}})
    );
}

#[test]
fn how_pods_are_exchanged_is_said_by_the_environment() {
    let values = json!({"rollingUpdate": {"web": {"maxSurge": 2}, "other": {"maxSurge": 3}}});
    let baseline = r#"{% extends "baseline" %}"#;
    let objects = render_with(&simple(), &values, &json!({}), baseline).unwrap();
    let strategy = &of_kind(&objects, "Deployment")["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(*strategy, json!({"maxSurge": 2, "maxUnavailable": 0}));
}

#[test]
fn single_blocks_can_be_changed() {
    let objects = with(
        r#"{% extends "baseline" %}
{% block labels %}{{ workload.labels | merge({"team": config.team}) }}{% endblock %}
{% block container %}{{ container | merge({"imagePullPolicy": "Always"}) }}{% endblock %}
{% block security_context %}
        runAsNonRoot: true
{% endblock %}
{% block pod_spec_extra %}
      priorityClassName: {{ values.priority }}
{% endblock %}
{% block workload_extra %}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: {{ workload.name }} }
spec: { maxUnavailable: 1, selector: { matchLabels: {{ workload.selector }} } }
{% endblock %}
"#,
    )
    .unwrap();
    for kind in ["Secret", "Deployment"] {
        assert_eq!(of_kind(&objects, kind)["metadata"]["labels"]["team"], "shop");
    }
    let spec = pod(&objects);
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(spec["securityContext"], json!({"runAsNonRoot": true}));
    assert_eq!(spec["priorityClassName"], "important");
    let budget = of_kind(&objects, "PodDisruptionBudget");
    assert_eq!(budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"], "web");
}

#[test]
fn the_whole_shape_can_be_replaced() {
    let objects = with(
        r"{% for workload in workloads %}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ workload.name }}
  annotations: {{ none }}
spec:
  template: { spec: { containers: {{ workload.containers }} } }
{% endfor %}",
    )
    .unwrap();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["spec"]["template"]["spec"]["containers"][0]["image"], "x");
    assert_eq!(objects[0]["metadata"].get("annotations"), None);
}

#[test]
fn json_will_do_as_well() {
    let objects =
        with(r#"{"apiVersion": "v1", "kind": "X", "metadata": {"name": {{ application }}}}"#);
    assert_eq!(objects.unwrap()[0]["metadata"]["name"], "shop");
}

#[test]
fn a_mistake_is_named_by_its_line() {
    for (baseline, place) in [
        ("a: 1\nb: {{ values.nothing }}\n", "/baseline: line 2: undefined value"),
        ("a: 1\n{% if %}\n", "/baseline: line 2: syntax error"),
        ("apiVersion: v1\n  kind: X\n", "/baseline: line 2 of its output"),
        ("kind: X\n", "/baseline: document 1 of its output has no /apiVersion"),
    ] {
        let fault = with(baseline).unwrap_err().to_string();
        assert!(fault.contains(place), "{fault}");
    }
}

#[test]
fn a_baseline_can_not_put_a_secret_anywhere_else() {
    let fault = with(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: leak }\n\
         data: {{ workloads[0].secret.string_data }}\n",
    )
    .unwrap_err()
    .to_string();
    assert!(fault.contains("/data/main.A of a ConfigMap holds a secret"), "{fault}");
    assert!(!fault.contains('⟦'), "not even the reference is shown: {fault}");
}
