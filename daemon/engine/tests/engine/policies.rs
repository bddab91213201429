//! Policies judge what is deployed, in its plan and before anything is applied.

use std::sync::Arc;
use std::time::Duration;

use deployd_core::config::{Document, DocumentKey, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Outcome};
use deployd_core::policy::Effect;
use deployd_core::views::RollbackRequest;
use serde_json::{Value, json};

use crate::crashes::{Client, run};
use crate::documents::{document, plugin};
use crate::world::{Stage, World, assert_succeeded, caller, development, request};

const PATH: &str = "/objects/0/data/baseline";

/// A policy with these parameters and, over its spec, these fields.
fn policy(params: Value, fields: Value) -> Vec<Document> {
    let mut spec = json!({"plugin": "rules", "params": params});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    vec![plugin("rules", "policy", json!({})), document(DocumentKind::Policy, "house", spec)]
}

fn finds(severity: &str) -> Value {
    json!({"finds": [
        {"rule": "baseline", "severity": severity, "path": PATH, "message": "another baseline"},
    ]})
}

fn after_rendering(severity: &str) -> Value {
    let mut params = finds(severity);
    params["phase"] = json!("rendered");
    params
}

fn effects(record: &DeploymentRecord) -> Vec<Effect> {
    let report = record.work.as_ref().unwrap().policies.as_ref().unwrap();
    report.findings.iter().map(|finding| finding.effect).collect()
}

fn assert_refused(record: &DeploymentRecord, code: &str) {
    assert_eq!(record.outcome, Some(Outcome::Failed), "{record:#?}");
    assert_eq!(record.fault.as_ref().unwrap().code, code, "{:?}", record.fault);
}

fn is_applied(stage: &Stage) -> bool {
    stage.world.cluster().object("Deployment", "backend").is_some()
}

#[tokio::test(start_paused = true)]
async fn what_the_plan_tells_is_refused_before_anything_is_provisioned() {
    let stage = Stage::new().await;
    stage.apply(policy(finds("deny"), json!({}))).await;
    let record = stage.deployed("1").await;
    assert_refused(&record, "policy-denied");
    let fault = record.fault.unwrap();
    assert_eq!(fault.detail["findings"][0]["path"], PATH);
    assert!(stage.world.drivers().done.is_empty(), "nothing was provisioned");
    assert!(!is_applied(&stage));
    let shown = stage.engine.plan(&request()).await.unwrap().preview.policies.unwrap();
    assert!(shown.denies());
    assert_eq!(shown.findings[0].path, PATH);
    assert_eq!(shown.findings[0].subject.as_deref(), Some("ConfigMap platform"));
}

#[tokio::test(start_paused = true)]
async fn what_only_the_manifests_tell_is_refused_before_anything_is_applied() {
    let stage = Stage::new().await;
    stage.apply(policy(after_rendering("deny"), json!({}))).await;
    assert_refused(&stage.deployed("1").await, "policy-denied");
    assert!(!is_applied(&stage));
    assert!(!stage.engine.plan(&request()).await.unwrap().preview.policies.unwrap().denies());
}

#[tokio::test(start_paused = true)]
async fn warnings_go_on_and_stand_in_the_record() {
    let stage = Stage::new().await;
    stage.apply(policy(finds("warn"), json!({}))).await;
    let record = stage.deployed("1").await;
    assert_succeeded(&record);
    assert_eq!(effects(&record), [Effect::Warn]);
    // One that is only tried warns of what it would refuse.
    stage.apply(policy(finds("deny"), json!({"enforce": "warn"}))).await;
    let record = stage.deployed("2").await;
    assert_succeeded(&record);
    assert_eq!(effects(&record), [Effect::Warn]);
}

#[tokio::test(start_paused = true)]
async fn policies_are_for_the_environments_that_they_select() {
    let stage = Stage::new().await;
    let production = json!({"selector": {"environments": ["production"]}});
    stage.apply(policy(finds("deny"), production)).await;
    let record = stage.deployed("1").await;
    assert_succeeded(&record);
    assert_eq!(record.work.unwrap().policies, None);
}

#[tokio::test(start_paused = true)]
async fn an_exemption_lets_through_until_it_expires() {
    let stage = Stage::new().await;
    // The world begins on 2026-11-21 at three.
    let exemption = json!({"exemptions": [{
        "application": "shop", "rule": "baseline", "reason": "it moves tonight",
        "expires": "2026-11-21T06:00:00Z",
    }]});
    stage.apply(policy(finds("deny"), exemption)).await;
    let record = stage.deployed("1").await;
    assert_succeeded(&record);
    assert_eq!(effects(&record), [Effect::Exempt]);
    tokio::time::sleep(Duration::from_secs(4 * 3_600)).await;
    assert_refused(&stage.deployed("2").await, "policy-denied");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_can_not_judge_refuses_unless_it_is_only_tried() {
    let stage = Stage::new().await;
    stage.apply(policy(json!({"fails": "bug"}), json!({}))).await;
    let record = stage.deployed("1").await;
    assert_refused(&record, "policy-failed");
    let message = record.fault.unwrap().message;
    assert!(message.contains("house") && message.contains("the policy has trapped"), "{message}");
    // What may pass is tried again, and is a refusal in the end.
    stage.apply(policy(json!({"fails": "transient"}), json!({}))).await;
    let record = stage.deployed("2").await;
    assert_refused(&record, "plugin-fails");
    assert!(record.work.unwrap().steps.find("plan").unwrap().attempts > 1);
    assert!(stage.world.drivers().done.is_empty());
    stage.apply(policy(json!({"fails": "transient"}), json!({"enforce": "warn"}))).await;
    let record = stage.deployed("3").await;
    assert_succeeded(&record);
    assert_eq!(effects(&record), [Effect::Warn]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kept_from_going_back() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    assert_succeeded(&first);
    assert_succeeded(&stage.deployed("2").await);
    let key = DocumentKey {
        kind: DocumentKind::Policy,
        application: None,
        name: "house".parse().unwrap(),
    };
    let broken = [finds("deny"), json!({"fails": "bug"}), json!({"fails": "transient"})];
    for (params, version) in broken.into_iter().zip(["3", "4", "5"]) {
        stage.apply(policy(params, json!({}))).await;
        let (place, asked) = (development(), RollbackRequest::default());
        let back = stage.engine.rollback(&caller(), &place, asked).await.unwrap();
        let record = stage.end_of(&back.id).await;
        assert_succeeded(&record);
        assert_eq!(effects(&record), [Effect::Warn]);
        stage.engine.remove_document(&caller(), &key, false, false).await.unwrap();
        stage.release().await;
        assert_succeeded(&stage.deployed(version).await);
    }
}

/// Crashes at each of its points: what policies say is recorded once, and what they
/// refuse is applied at none.
#[test]
fn a_crash_at_any_point_asks_again() {
    for (severity, expected) in [("warn", Outcome::Succeeded), ("deny", Outcome::Failed)] {
        let points = crashed(severity, Vec::new(), expected);
        assert!(points > 20, "{points}");
        for point in (1..=points).step_by(3) {
            crashed(severity, vec![point], expected);
        }
    }
}

/// A deployment that policies judge, with crashes at these points; how many points the
/// last life has passed.
fn crashed(severity: &str, crashes: Vec<usize>, expected: Outcome) -> usize {
    run(async {
        let stage = Stage::new().await;
        stage.apply(policy(after_rendering(severity), json!({}))).await;
        stage.engine.stop().await;
        let world: Arc<World> = stage.world.clone();
        let mut client = Client::new(world.clone(), crashes.clone()).await;
        let id = client.announce("1").await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome, expected, "{severity} {crashes:?}");
        let record = client.engine.deployment(&id).await.unwrap();
        match expected {
            Outcome::Succeeded => assert_eq!(effects(&record), [Effect::Warn]),
            _ => assert_refused(&record, "policy-denied"),
        }
        assert_eq!(is_applied(&stage), expected == Outcome::Succeeded, "{crashes:?}");
        client.life.passed()
    })
}
