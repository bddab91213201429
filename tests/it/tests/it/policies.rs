//! Nothing goes anywhere unless policies let it, as the README has it.

use serde_json::{Value, json};

use crate::program::{deployd, root};
use crate::sample::{document, request};
use crate::stage::{ENVIRONMENT, Stage};

/// The sample's rules, for where the sample is deployed to.
fn policy(rules: &[Value], enforce: &str) -> Value {
    let plugin = json!({"kind": "policy", "source": {"shipped": "cel"}});
    let spec = json!({"plugin": "cel", "enforce": enforce, "params": {"rules": rules}});
    request(&[document("Plugin", "cel", plugin), document("Policy", "house", spec)])
}

fn rule(name: &str, expression: &str) -> Value {
    json!({
        "name": name, "each": "container", "path": "/image", "expression": expression,
        "message": "another image",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policies_deny_is_not_deployed_and_what_they_warn_of_is_shown() {
    let stage = Stage::set().await;
    let digest = rule("by-digest", "container.image.matches('@sha256:[0-9a-f]{64}$')");
    let elsewhere = rule("elsewhere", "container.image.startsWith('elsewhere.example.com/')");
    let apply = "/v1/documents:apply";
    stage.client.post(apply, &policy(&[digest, elsewhere], "deny")).await.ok();
    let id = stage.announce('1').await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "failed", "{record:#}");
    assert_eq!(record["fault"]["code"], "policy-denied", "{record:#}");
    let findings = record["fault"]["detail"]["findings"].as_array().unwrap();
    assert!(findings.iter().all(|one| one["rule"] == "elsewhere"), "{findings:#?}");
    let path = findings[0]["path"].as_str().unwrap();
    assert!(path.starts_with("/objects/") && path.ends_with("/image"), "{path}");

    // Only tried, it warns.
    let elsewhere = rule("elsewhere", "container.image.startsWith('elsewhere.example.com/')");
    stage.client.post(apply, &policy(&[elsewhere], "warn")).await.ok();
    let asked = json!({"environment": ENVIRONMENT});
    let plan = stage.client.post("/v1/deployments?dry_run=true", &asked).await.ok();
    assert_eq!(plan["preview"]["policies"]["findings"][0]["effect"], "warn", "{plan:#}");
    let record = stage.ended(&stage.announce('2').await).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    let found = &record["work"]["policies"]["findings"][0];
    assert_eq!((&found["effect"], &found["rule"]), (&json!("warn"), &json!("elsewhere")));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_tested_without_a_daemon() {
    let path = |name: &str| root().join(name).display().to_string();
    let policy = path("daemon/sample/policies/production.yaml");
    let cases = path("daemon/scenarios/policy-cases.yaml");
    let said = deployd(["policy", "test", &policy, "--cases", &cases]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("ok      an image by its tag"), "{said:?}");

    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("cases.json");
    let pod = json!({"kind": "Pod", "metadata": {"name": "web"}, "spec": {
        "containers": [{"name": "web", "image": "registry.test/web:1"}],
    }});
    let case = json!({"name": "wrong", "input": {"objects": [pod]}, "expect": [
        {"rule": "by-digest"}, {"rule": "not-privileged"},
    ]});
    std::fs::write(&wrong, json!({"cases": [case]}).to_string()).unwrap();
    let wrong = wrong.display().to_string();
    let said = deployd(["policy", "test", &policy, "--cases", &wrong]).await;
    assert_eq!(said.code, Some(19), "{said:?}");
    assert!(said.out.contains("expected and not found: not-privileged"), "{said:?}");
    let unexpected = "found and not expected: ! warning: production/requests";
    assert!(said.out.contains(unexpected), "{said:?}");
    assert!(said.out.contains("/objects/0/spec/containers/0"), "{said:?}");
}
