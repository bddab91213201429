//! Policies as components: the shipped one judges, and says what no deployment could
//! mend.

use deployd_core::policy::{Severity, Violation};
use deployd_core::ports::{Call, CallLog, Policies as _};
use deployd_core::{Fault, FaultClass};
use serde_json::{Value, json};

use crate::shipped::load_with;
use crate::support::{Stage, scope};

async fn judged(
    stage: &Stage,
    policy: &str,
    input: &Value,
    params: &Value,
) -> Result<Vec<Violation>, Fault> {
    let plugin = load_with(stage, policy, &deployd_core::config::Grant::default()).await;
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    stage.host.evaluate(call, input, params).await
}

fn rules(expression: &str) -> Value {
    json!({"rules": [{
        "name": "by-digest", "each": "container", "path": "/image", "severity": "warn",
        "expression": expression, "message": "images are named by their digest"
    }]})
}

/// So many Deployments.
fn input(count: usize) -> Value {
    let deployment = |at: usize| {
        let container = json!({"name": "main", "image": format!("web:{at}")});
        let spec = json!({"template": {"spec": {"containers": [container]}}});
        json!({"kind": "Deployment", "metadata": {"name": format!("web-{at}")}, "spec": spec})
    };
    let objects: Vec<Value> = (0..count).map(deployment).collect();
    json!({
        "now": "2026-11-22T10:00:00.000Z", "environment": {"name": "production"},
        "objects": objects
    })
}

#[tokio::test]
async fn rules_in_cel_are_judged() {
    let stage = Stage::new();
    let matches = rules("container.image.matches('@sha256:[0-9a-f]{64}$')");
    let found = judged(&stage, "cel", &input(1), &matches).await.unwrap();
    let expected = Violation {
        rule: "by-digest".to_owned(),
        severity: Severity::Warn,
        path: "/objects/0/spec/template/spec/containers/0/image".to_owned(),
        message: "images are named by their digest".to_owned(),
    };
    assert_eq!(found, [expected]);
    let young = rules("timestamp(now) - timestamp('2026-11-20T10:00:00Z') < duration('168h')");
    assert_eq!(judged(&stage, "cel", &input(1), &young).await.unwrap(), []);
    let fault = judged(&stage, "cel", &input(1), &rules("container.image ==")).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Invalid);
    assert!(fault.to_string().contains("/params/rules/0/expression"), "{fault}");
}

/// A large application is judged within the time that a call has.
#[tokio::test]
async fn many_rules_over_many_containers() {
    let stage = Stage::new();
    let rule = |at: usize| {
        let expression = match at {
            0 => "container.image.matches('^web:[0-9]+$')",
            _ => "container.image.startsWith('web:')",
        };
        let mut rule = rules(expression)["rules"][0].clone();
        rule["name"] = json!(format!("rule-{at}"));
        rule
    };
    let params = json!({"rules": (0..10).map(rule).collect::<Vec<Value>>()});
    assert_eq!(judged(&stage, "cel", &input(500), &params).await.unwrap(), []);
}
