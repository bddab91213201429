//! Policies, listed, and what they say of plans.

use serde_json::{Value, json};

use super::ran;
use crate::exit;
use crate::testing::{Answer, Daemon};

fn stored() -> Value {
    json!([{
        "key": {"kind": "Policy", "name": "production"}, "version": 3,
        "digest": format!("sha256:{}", "0".repeat(64)), "actor": "ada", "at": "1970-01-01T00:00:00Z",
        "document": {
            "apiVersion": "deployd.dev/v1", "kind": "Policy", "metadata": {"name": "production"},
            "spec": {
                "selector": {"environmentTypes": ["production"], "applications": ["shop"]},
                "plugin": "cel", "params": {"rules": []}, "enforce": "warn",
                "exemptions": [
                    {"application": "shop", "rule": "by-digest", "reason": "r",
                        "expires": "1970-01-01T00:00:01Z"},
                    {"application": "shop", "rule": "requests", "reason": "r",
                        "expires": "2970-01-01T00:00:01Z"},
                ],
            },
        },
    }])
}

#[tokio::test]
async fn policies_say_for_what_they_are_and_which_exemptions_are_over() {
    let daemon = Daemon::new([Answer::json(200, &stored()), Answer::json(200, &stored())]).await;
    let done = ran(&daemon, &["policy", "list"], "").await;
    assert_eq!(done.code, exit::OK, "{}", done.err);
    assert!(done.out.contains("type production; application shop"), "{}", done.out);
    assert!(done.out.contains("2, 1 of them over"), "{}", done.out);
    let done = ran(&daemon, &["policy", "show", "production"], "").await;
    assert!(done.out.contains("rule: by-digest"), "{}", done.out);
    assert!(done.err.contains("exemptions that are over: by-digest of shop"), "{}", done.err);
}

#[tokio::test]
async fn the_form_of_what_is_judged_is_a_schema() {
    let daemon = Daemon::new([]).await;
    let done = ran(&daemon, &["policy", "schema"], "").await;
    let schema: Value = serde_json::from_str(&done.out).unwrap();
    for field in ["objects", "artifacts", "now", "phase"] {
        assert!(schema["properties"][field].is_object(), "{field}: {schema:#}");
    }
}

#[tokio::test]
async fn a_plan_that_policies_refuse_has_an_exit_code_of_its_own() {
    let digest = deployd_core::Digest::of(b"plan");
    let plan = |effect: &str| {
        json!({
            "digest": digest,
            "plan": {
                "version": 1, "environment": "shop/production", "environmentType": "production",
                "set": digest, "workloads": [], "graph": {"nodes": {}, "names": {}},
                "resources": {}, "values": {}, "takeOverFields": false,
            },
            "preview": {
                "manifests": {"namespace": "", "objects": []}, "changes": [],
                "policies": {"at": "1970-01-01T00:00:00Z", "policies": ["house"], "later": 2,
                    "findings": [{
                        "policy": "house", "rule": "by-digest", "effect": effect,
                        "path": "/objects/3/spec/image", "subject": "Deployment web",
                        "message": "images are named by their digest",
                    }],
                },
            },
        })
    };
    let answers = [Answer::json(200, &plan("deny")), Answer::json(200, &plan("warn"))];
    let daemon = Daemon::new(answers).await;
    let arguments = ["plan", "shop/production"];
    let done = ran(&daemon, &arguments, "").await;
    assert_eq!(done.code, exit::REFUSED, "{}", done.err);
    let expected = "denied: house/by-digest: images are named by their digest \
                    (Deployment web, /objects/3/spec/image)";
    assert!(done.out.contains(expected), "{}", done.out);
    assert!(done.out.contains("2 more can be told once all is provisioned"), "{}", done.out);
    assert_eq!(ran(&daemon, &arguments, "").await.code, exit::OK);
}
