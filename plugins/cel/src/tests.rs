use crate::Cel;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::policy::{Policy, Severity, Violation};
use deployd_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

const DIGEST: &str = "sha256:0123456789012345678901234567890123456789012345678901234567890123";

/// What the daemon asks of a deployment that breaks none of the rules here.
fn good() -> Value {
    json!({
        "phase": "rendered",
        "now": "2026-11-22T10:00:00.000Z",
        "application": "shop",
        "environment": {"name": "production", "type": "production"},
        "artifacts": [{
            "workload": "web", "container": "main",
            "image": format!("registry.example.com/shop/web@{DIGEST}"),
            "results": [{
                "kind": "scan", "name": "trivy", "at": "2026-11-20T10:00:00.000Z",
                "passed": true, "findings": {"critical": 0, "high": 3}
            }]
        }],
        "resources": [{"key": "postgres.db", "type": "postgres", "class": "default"}],
        "plugins": [{"role": "strategy", "name": "canary"}],
        "workloads": {"web": {"metadata": {"name": "web"}}},
        "objects": [
            {"kind": "Service", "spec": {"type": "ClusterIP"}},
            {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": 2,
                "template": {"spec": {
                    "initContainers": [container("init")],
                    "containers": [container("main")]
                }}
            }},
            {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {
                "containers": [container("nightly")]
            }}}}}}
        ]
    })
}

fn container(name: &str) -> Value {
    json!({
        "name": name,
        "image": format!("registry.example.com/shop/web@{DIGEST}"),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}
    })
}

/// [`good`] with another value at a place.
fn with(path: &str, other: Value) -> Value {
    let mut input = good();
    let (parent, key) = path.rsplit_once('/').unwrap();
    match input.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = other,
        Value::Object(map) => _ = map.insert(key.to_owned(), other),
        _ => panic!("{path}"),
    }
    input
}

fn params() -> Value {
    json!({
        "constants": {"registries": ["registry.example.com/", "mirror.example.com/"]},
        "rules": [
            {
                "name": "allowed-registries", "each": "container", "path": "/image",
                "expression": "constants.registries.exists(r, container.image.startsWith(r))",
                "message": "images come from the company's registries",
                "messageExpression": "'found ' + container.image + ', expected an image of the company'"
            },
            {
                "name": "by-digest", "each": "container", "path": "/image",
                "expression": "container.image.matches('@sha256:[0-9a-f]{64}$')",
                "message": "images are named by their digest"
            },
            {
                "name": "requests", "each": "container",
                "expression": "has(container.resources.requests.cpu) && has(container.resources.requests.memory)",
                "message": "containers say how much processor and memory they request"
            },
            {
                "name": "not-privileged", "each": "pod",
                "expression": "pod.containers.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) || !c.securityContext.privileged)",
                "message": "no privileged pods"
            },
            {
                "name": "fresh-scan", "each": "artifact",
                "expression": "artifact.results.exists(r, r.kind == 'scan' && timestamp(now) - timestamp(r.at) < duration('168h'))",
                "message": "scanned within the last week"
            },
            {
                "name": "no-critical", "each": "artifact", "path": "/results",
                "expression": "artifact.results.filter(r, r.kind == 'scan').all(r, r.findings.critical == 0)",
                "message": "no critical findings"
            },
            {
                "name": "two-replicas", "each": "object", "path": "/spec/replicas", "severity": "warn",
                "when": "environment.type == 'production' && object.kind == 'Deployment'",
                "expression": "object.spec.replicas >= 2",
                "message": "at least two replicas in production"
            },
            {
                "name": "no-node-port", "each": "object",
                "when": "object.kind == 'Service'",
                "expression": "object.spec.type != 'NodePort'",
                "message": "no port of every node"
            },
            {
                "name": "database-class", "each": "resource", "path": "/class",
                "expression": "resource.type != 'postgres' || resource.class in ['default', 'large']",
                "message": "a class that is offered"
            },
            {
                "name": "strategy",
                "expression": "input.plugins.exists(p, p.role == 'strategy' && p.name == 'canary')",
                "message": "production is rolled out by a canary"
            }
        ]
    })
}

fn judge(input: &Value, params: &Value) -> Result<Vec<Violation>, Fault> {
    let params = serde_json::from_value(params.clone()).unwrap();
    Cel::evaluate(input, &params, &FakeHost::new())
}

fn only(rule: &Value) -> Value {
    json!({"rules": [rule]})
}

#[test]
fn what_is_right_is_let_through() {
    assert_eq!(judge(&good(), &params()).unwrap(), []);
}

#[test]
fn each_rule_finds_what_breaks_it_and_says_where() {
    let web = "/objects/1/spec/template/spec/containers/0";
    let tagged = json!("registry.example.com/shop/web:1.4");
    let foreign = json!(format!("docker.io/library/web@{DIGEST}"));
    for (place, found, rule, path) in [
        (format!("{web}/image"), foreign.clone(), "allowed-registries", format!("{web}/image")),
        (format!("{web}/image"), tagged, "by-digest", format!("{web}/image")),
        (format!("{web}/resources"), json!({}), "requests", web.to_owned()),
        (format!("{web}/resources"), Value::Null, "requests", web.to_owned()),
        (
            "/objects/1/spec/template/spec/initContainers/0/image".to_owned(),
            foreign.clone(),
            "allowed-registries",
            "/objects/1/spec/template/spec/initContainers/0/image".to_owned(),
        ),
        (
            "/objects/2/spec/jobTemplate/spec/template/spec/containers/0/image".to_owned(),
            foreign,
            "allowed-registries",
            "/objects/2/spec/jobTemplate/spec/template/spec/containers/0/image".to_owned(),
        ),
        (
            format!("{web}/securityContext"),
            json!({"privileged": true}),
            "not-privileged",
            "/objects/1/spec/template/spec".to_owned(),
        ),
        (
            "/artifacts/0/results/0/at".to_owned(),
            json!("2026-11-15T09:59:59Z"),
            "fresh-scan",
            "/artifacts/0".to_owned(),
        ),
        ("/artifacts/0/results".to_owned(), json!([]), "fresh-scan", "/artifacts/0".to_owned()),
        (
            "/artifacts/0/results/0/findings/critical".to_owned(),
            json!(1),
            "no-critical",
            "/artifacts/0/results".to_owned(),
        ),
        (
            "/objects/1/spec/replicas".to_owned(),
            json!(1),
            "two-replicas",
            "/objects/1/spec/replicas".to_owned(),
        ),
        (
            "/objects/0/spec/type".to_owned(),
            json!("NodePort"),
            "no-node-port",
            "/objects/0".to_owned(),
        ),
        (
            "/resources/0/class".to_owned(),
            json!("huge"),
            "database-class",
            "/resources/0/class".to_owned(),
        ),
        ("/plugins".to_owned(), json!([]), "strategy", String::new()),
    ] {
        let violations = judge(&with(&place, found), &params()).unwrap();
        let told: Vec<(&str, &str)> =
            violations.iter().map(|v| (v.rule.as_str(), v.path.as_str())).collect();
        assert_eq!(told, [(rule, path.as_str())], "{place}");
        let severity = if rule == "two-replicas" { Severity::Warn } else { Severity::Deny };
        assert_eq!(violations[0].severity, severity, "{rule}");
        assert!(with(&place, Value::Null).pointer(&violations[0].path).is_some(), "{rule}");
    }
    let staging = with("/objects/1/spec/replicas", json!(1));
    let mut staging = staging;
    staging["environment"]["type"] = json!("staging");
    assert_eq!(judge(&staging, &params()).unwrap(), [], "rules are asked where they are for");
}

#[test]
fn messages_say_what_was_found() {
    let image = "/objects/1/spec/template/spec/containers/0/image";
    let violations =
        judge(&with(image, json!(format!("evil.example/x@{DIGEST}"))), &params()).unwrap();
    let expected = format!("found evil.example/x@{DIGEST}, expected an image of the company");
    assert_eq!(violations[0].message, expected);
    // Where the expression gives no text, the message stands in for it.
    let violations = judge(&with(image, json!(5)), &params()).unwrap();
    assert!(violations[0].message.starts_with("images come from"), "{violations:?}");
    assert!(violations[0].message.contains("can't be told"), "{violations:?}");
}

#[test]
fn a_place_that_stands_in_a_key_is_escaped() {
    let mut input = good();
    input["workloads"] = json!({"a/b~c": {}});
    let rule = json!({"name": "x", "each": "workload", "expression": "false", "message": "m"});
    let violations = judge(&input, &only(&rule)).unwrap();
    assert_eq!(violations[0].path, "/workloads/a~1b~0c");
    assert!(input.pointer(&violations[0].path).is_some());
}

#[test]
fn a_rule_that_is_broken_everywhere_is_told_a_dozen_times() {
    let mut input = good();
    input["objects"] = (0..100).map(|_| json!({"kind": "Secret"})).collect();
    let rule = json!({"name": "x", "each": "object", "expression": "false", "message": "m"});
    let violations = judge(&input, &only(&rule)).unwrap();
    assert_eq!(violations.len(), 12);
    assert!(violations[11].message.ends_with("(and so in 88 more places)"), "{violations:?}");
}

#[test]
fn what_no_deployment_could_mend_is_a_fault_with_its_place() {
    let rule = |expression: &str| {
        only(&json!({"name": "x", "each": "container", "expression": expression, "message": "m"}))
    };
    for wrong in [
        "container.image",
        "contaner.image == ''",
        "container.image ==",
        "lenght(container.image) > 3",
        "",
    ] {
        let fault = judge(&good(), &rule(wrong)).unwrap_err().to_string();
        assert!(fault.contains("/params/rules/0/expression"), "{wrong}: {fault}");
    }
    let mut twice = params();
    let first = twice["rules"][0].clone();
    twice["rules"].as_array_mut().unwrap().push(first);
    let fault = judge(&good(), &twice).unwrap_err().to_string();
    assert!(fault.contains("/params/rules/10/name"), "{fault}");
    // Also where nothing is there that it would be asked for.
    let mut empty = good();
    empty["objects"] = json!([]);
    assert!(judge(&empty, &rule("container.image ==")).is_err());
}
